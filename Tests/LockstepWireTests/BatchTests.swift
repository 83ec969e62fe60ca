import CLockstepWire
import CProtobufC
import LockstepRequests
import Testing

@testable import LockstepWire

@Suite("Batches")
struct BatchTests {
  private let codec = Codec(maximumMessage: 1 << 20)

  private struct Parts: Equatable {
    var header = BatchHeader(id: 0)
    var method: [UInt8] = []
    var payloads: [[UInt8]] = []
    var count = 0
    var bytes = 0
  }

  private func read(_ bytes: [UInt8]) throws(WireError) -> Parts {
    var parts = Parts()
    try reading(bytes) { (bytes) throws(WireError) in
      try codec.unpackBatch(bytes) { header, method, payloads in
        let all = Payloads.batch(in: bytes, payloads)
        parts = Parts(
          header: header, method: [UInt8](method), payloads: (0..<all.count).map { [UInt8](all[$0]) }, count: all.count,
          bytes: all.bytes)
      }
    }
    return parts
  }

  private func reply(_ results: [BatchResult]) -> BatchReply {
    var reply = BatchReply(id: 9)
    reply.results = results
    return reply
  }

  private func result(
    _ index: UInt64, _ term: UInt64, code: UInt32 = 0, _ applied: Applied = .yes, payload: [UInt8] = []
  ) -> BatchResult {
    var result = BatchResult()
    (result.index, result.term, result.code, result.applied, result.payload) = (index, term, code, applied, payload)
    return result
  }

  @Test("a batch comes back as it was, empty requests and all", arguments: [0, 1, 300, .max] as [UInt64])
  func request(number: UInt64) throws {
    let header = BatchHeader(
      id: number, group: number, timeoutMilliseconds: number, ack: UInt32(truncatingIfNeeded: number))
    for payloads in [[], [[]], [[], [1], []], Array(repeating: [UInt8](repeating: 7, count: 200), count: 500)] {
      Array("a.B/C".utf8).withUnsafeBytes { codec.pack(header, method: $0, payloads: payloads) }
      let parts = try read(codec.packed)
      #expect(parts.header == header && parts.method == Array("a.B/C".utf8) && parts.payloads == payloads)
      #expect(parts.count == payloads.count && parts.bytes == payloads.reduce(0) { $0 + $1.count })
    }
  }

  @Test("requests between other fields are found, in their order; the last of a field that is there twice counts")
  func mixed() throws {
    let parts = try read(
      field(4, [1]) + field(1, 5) + field(3, [65]) + field(4, []) + field(99, 3) + field(1, 6) + field(4, [2, 3]))
    #expect(parts.header.id == 6 && parts.method == [65] && parts.payloads == [[1], [], [2, 3]])
  }

  @Test("many requests in few bytes are counted, and cost one look at them")
  func many() throws {
    let parts = try read((0..<200_000).flatMap { _ in [4 << 3 | 2, 0] as [UInt8] })
    #expect(parts.count == 200_000 && parts.bytes == 0)
  }

  @Test("fields of another wire type, and numbers that are none, are refused")
  func wireTypes() {
    let eight = [UInt8](repeating: 0, count: 8)
    let all: [[UInt8]] = [[1 << 3 | 2, 0], [4 << 3, 1], [3 << 3, 1], [5 << 3 | 1] + eight, [0, 1], [7]]
    for bytes in all { #expect(throws: WireError.self) { try read(bytes) } }
  }

  @Test("a reply comes back as it was, whatever its entries are")
  func replies() throws {
    let replies = [
      Sample.batchReply, reply([]),
      reply([result(7, 3, payload: [1]), result(8, 3), result(9, 3, code: 5)]),
      // Others' entries lie between, the leader changes, the first has no entry, one is far away.
      reply([result(7, 3), result(9, 3), result(9, 4, code: 14, .unknown), result(12, 5)]),
      reply([result(0, 0, code: 14, .no), result(1, 2), result(2, 2, code: 4, .unknown), result(.max, .max)]),
      reply([result(.max, 1), result(1, 1), result(2, 1)]), reply([result(0, 0, code: 8, .no)]),
    ]
    for reply in replies {
      codec.pack(reply)
      #expect(try reading(codec.packed, codec.unpackBatchReply) == reply)
    }
    var refused = BatchReply(id: .max)
    (refused.code, refused.message, refused.applied, refused.node, refused.leader) = (3, "request 2", .no, 1, 2)
    codec.pack(refused)
    #expect(try reading(codec.packed, codec.unpackBatchReply) == refused)
  }

  @Test("a success whose entry follows takes two bytes beside its payload")
  func compact() {
    var results = PackedResults()
    results.succeed([1, 2], index: 1 << 40, term: 1 << 30)
    let first = results.bytes.count
    for place in 1..<100 as Range<UInt64> { results.succeed([1, 2], index: 1 << 40 + place, term: 1 << 30) }
    #expect(results.count == 100 && results.bytes.count == 100 * first && first == 2 + 2 + 2)
  }

  @Test("results that say what cannot be are refused: an effect without an entry, an entry without a term")
  func impossible() {
    let results: [[UInt8]] = [
      field(11, []), field(8, 1) + field(11, []), field(7, 1) + field(11, field(1, 5) + field(6, 2)),
      field(11, field(4, 3)), field(7, 1) + field(8, .max) + field(11, []) + field(11, []),
    ]
    for bytes in results { #expect(throws: WireError.self) { try reading(bytes, codec.unpackBatchReply) } }
    #expect(throws: Never.self) {
      try reading(field(7, 1) + field(8, 5) + field(11, []), codec.unpackBatchReply)
    }
  }

  @Test("the bytes of a batch and of its reply are those that protobuf-c writes")
  func handWritten() {
    codec.pack(Sample.batchReply)
    for (bytes, descriptor) in [
      (Sample.batchRequest, batchRequestDescriptor),
      (codec.packed, lockstep__wire__v1__batch_reply__descriptor_pointer()),
    ] {
      bytes.withUnsafeBufferPointer { buffer in
        guard let message = protobuf_c_message_unpack(descriptor, nil, buffer.count, buffer.baseAddress) else {
          Issue.record("protobuf-c does not read it")
          return
        }
        var again = [UInt8](repeating: 0, count: protobuf_c_message_get_packed_size(message))
        #expect(protobuf_c_message_pack(message, &again) == bytes.count && again == bytes)
        protobuf_c_message_free_unpacked(message, nil)
      }
    }
  }

  private var batchRequestDescriptor: UnsafePointer<ProtobufCMessageDescriptor> {
    lockstep__wire__v1__batch_request__descriptor_pointer()
  }
}
