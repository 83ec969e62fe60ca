import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepWire

/// What is read without protobuf-c must be what protobuf-c would have read, and what it refuses must be refused.
@Suite("Read quickly")
struct QuickReaderTests {
  private let codec = Codec(maximumMessage: 4096)

  private struct Call: Equatable {
    var header: CallHeader
    var method: [UInt8]
    var payload: [UInt8]
  }

  /// nil: refused.
  private func call(_ bytes: [UInt8], quickly: Bool) -> Call? {
    bytes.withUnsafeBytes { bytes in
      var call: Call?
      do throws(WireError) {
        if quickly {
          try codec.unpackCall(bytes) { call = Call(header: $0, method: [UInt8]($1), payload: [UInt8]($2)) }
        } else {
          try codec.carefullyUnpackCall(bytes) { call = Call(header: $0, method: [UInt8]($1), payload: [UInt8]($2)) }
        }
      } catch { return nil }
      return call
    }
  }

  private func reply(_ bytes: [UInt8], quickly: Bool) -> CallReply? {
    bytes.withUnsafeBytes { bytes in
      do throws(WireError) {
        return quickly ? try codec.unpackReply(bytes) : try codec.carefullyUnpackReply(bytes)
      } catch { return nil }
    }
  }

  /// Each byte in turn replaced, each prefix, each byte doubled.
  private func mistakes(in bytes: [UInt8]) -> [[UInt8]] {
    var all = [bytes, bytes + bytes]
    for place in bytes.indices {
      for value in [0, 1, 8, 0x12, 0x62, 0x7f, 0x80, 0xff, bytes[place] ^ 1, bytes[place] &+ 8] as [UInt8] {
        var other = bytes
        other[place] = value
        all.append(other)
      }
      all.append(Array(bytes[..<place]))
      all.append(Array(bytes[..<place]) + [bytes[place]] + Array(bytes[place...]))
    }
    return all
  }

  @Test("calls, whole and damaged, are what protobuf-c says", arguments: [0, 1, 127, 128, 300, 1 << 31, 1 << 55, .max])
  func calls(number: UInt64) {
    let header = CallHeader(
      id: number, group: number, timeoutMilliseconds: number, ack: 2, read: UInt32(truncatingIfNeeded: number),
      readIndex: number, readBoundMilliseconds: number, session: number, sequence: number)
    Array("a.B/C".utf8).withUnsafeBytes { method in
      [UInt8](repeating: 9, count: 20).withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    #expect(call(codec.packed, quickly: true)?.header == header)
    for bytes in mistakes(in: codec.packed) {
      #expect(call(bytes, quickly: true) == call(bytes, quickly: false), "\(bytes)")
    }
    let long = [UInt8](repeating: 0, count: 5000)
    #expect(call(long, quickly: true) == nil)
  }

  @Test("replies, whole and damaged, are what protobuf-c says", arguments: [0, 1, 128, 1 << 31, 1 << 56, .max])
  func replies(number: UInt64) {
    for hasEvidence in [false, true] {
      var original = CallReply(id: number)
      original.code = UInt32(truncatingIfNeeded: number)
      (original.message, original.payload) = ("a reason", [1, 2, 3])
      (original.index, original.term, original.node, original.leader) = (number, number, number, number)
      (original.ack, original.read, original.applied) = (2, 1, .yes)
      if hasEvidence { original.evidence = CallReply.Evidence(term: number, index: number, holders: [1, number]) }
      codec.pack(original)
      #expect(reply(codec.packed, quickly: true) == original)
      for bytes in mistakes(in: codec.packed) {
        #expect(reply(bytes, quickly: true) == reply(bytes, quickly: false), "\(bytes)")
      }
    }
  }

  @Test("numbers of every length, at the end of the bytes and before other bytes")
  func numbers() {
    var generator = Generator(seed: 7)
    var all: [UInt64] = [0, .max]
    for shift in UInt64(0)..<64 { all += [1 << shift, (1 << shift) - 1, generator.next() >> shift] }
    for number in all {
      var bytes = [UInt8](repeating: 0, count: 10)
      let count = bytes.withUnsafeMutableBytes { buffer in
        buffer.baseAddress.map { Varint.write(number, to: $0) } ?? 0
      }
      bytes.removeSubrange(count...)
      for rest in [[], [0xff], [UInt8](repeating: 0x80, count: 20)] as [[UInt8]] {
        (bytes + rest).withUnsafeBytes { all in
          var reader = QuickReader(all, end: count)
          let found = reader.number()
          #expect(found == (count > 9 ? nil : number))
          #expect(found == nil || reader.place == count)
          var short = QuickReader(all, end: count - 1)
          #expect(short.number() == nil)
        }
      }
    }
  }

  @Test("an entry whose machine has a version is read by the careful reader, to the same effect")
  func entries() throws {
    for version in [UInt32(0), 1, .max] {
      var block = EntryBlock(first: LogIndex(300), previousChain: 5)
      [UInt8](repeating: 1, count: 300).withUnsafeBytes { payload in
        block.append(
          term: Term(3), kind: .command, timestamp: 1 << 60, machineVersion: version, session: 4, sequence: 5,
          payload: payload)
      }
      let header = try #require(block.header(at: LogIndex(300)))
      #expect(header.id == EntryID(term: Term(3), index: LogIndex(300)) && header.kind == .command)
      #expect(header.timestamp == 1 << 60 && header.machineVersion == version && header.payload.count == 300)
      #expect(header.session == 4 && header.sequence == 5 && header.chain == block.lastChain)
    }
  }
}
