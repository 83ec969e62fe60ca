internal import CLockstepWire
internal import CProtobufC
package import LockstepRequests

/// A batch of requests, without its method and payloads, which stay in the bytes.
package struct BatchHeader: Sendable, Equatable {
  package var id: UInt64
  package var group: UInt64
  /// 0: the server's own limit.
  package var timeoutMilliseconds: UInt64
  package var ack: UInt32
  /// Beside the level that is a number of voters.
  package var voters: UInt32
  /// 0: none.
  package var session: UInt64 = 0
  /// Of the first request in it.
  package var firstSequence: UInt64 = 0

  package init(id: UInt64, group: UInt64 = 0, timeoutMilliseconds: UInt64 = 0, ack: UInt32 = 0, voters: UInt32 = 0) {
    self.voters = voters
    self.id = id
    self.group = group
    self.timeoutMilliseconds = timeoutMilliseconds
    self.ack = ack
  }
}

/// What became of one request of a batch.
package struct BatchResult: Sendable, Equatable {
  /// gRPC's code; 0 is success.
  package var code: UInt32 = 0
  package var message = ""
  package var payload: [UInt8] = []
  /// The entry; 0 and 0 when there is none, or none is known.
  package var index: UInt64 = 0
  package var term: UInt64 = 0
  package var applied: Applied = .unknown

  package init() {}

  var isApplied: Bool { code == 0 || applied == .yes }
}

package struct BatchReply: Sendable, Equatable {
  package var id: UInt64
  /// 0: every request has a result; else the batch was refused, and none has.
  package var code: UInt32 = 0
  package var message = ""
  package var node: UInt64 = 0
  package var leader: UInt64 = 0
  package var ack: UInt32 = 0
  package var applied: Applied = .unknown
  /// Of the last entry that was applied: who holds it holds those before.
  package var evidence: CallReply.Evidence?
  package var results: [BatchResult] = []
  /// As with a call's reply.
  package var history = CallReply.History()

  package init(id: UInt64) { self.id = id }
}

/// The results of a batch as they stand in its reply, one after the other: a success is written once, when it is known.
package struct PackedResults: Sendable {
  package private(set) var bytes: [UInt8] = []
  package private(set) var count = 0
  /// The term and, less its place, the index of the first entry: what follows from them is not written.
  fileprivate private(set) var term: UInt64 = 0
  fileprivate private(set) var firstIndex: UInt64 = 0

  fileprivate static let field: UInt64 = 11

  package init() {}

  package mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  /// The next request has succeeded; its entry has an index and a term.
  package mutating func succeed(_ payload: [UInt8], index: UInt64, term: UInt64) {
    let entry = shortened(index, term, isApplied: true)
    payload.withUnsafeBytes { payload in
      let size = WireWriter.size(3, payload) + WireWriter.size(4, entry.index) + WireWriter.size(5, entry.term)
      write(size) { writer in
        writer.bytes(3, payload)
        writer.number(4, entry.index)
        writer.number(5, entry.term)
      }
    }
  }

  /// What became of the next request, whatever it is.
  package mutating func append(_ result: BatchResult) {
    let entry =
      result.index == 0 || result.term == 0
      ? (index: 0, term: 0) : shortened(result.index, result.term, isApplied: result.isApplied)
    let applied = result.code == 0 ? 0 : UInt64(result.applied.number)
    let text = Array(result.message.utf8)
    text.withUnsafeBytes { text in
      result.payload.withUnsafeBytes { payload in
        let size =
          WireWriter.size(1, UInt64(result.code)) + WireWriter.size(2, text) + WireWriter.size(3, payload)
          + WireWriter.size(4, entry.index) + WireWriter.size(5, entry.term) + WireWriter.size(6, applied)
        write(size) { writer in
          writer.number(1, UInt64(result.code))
          writer.bytes(2, text)
          writer.bytes(3, payload)
          writer.number(4, entry.index)
          writer.number(5, entry.term)
          writer.number(6, applied)
        }
      }
    }
  }

  /// What has to be written of an entry's index and term.
  private mutating func shortened(
    _ index: UInt64, _ term: UInt64, isApplied: Bool
  ) -> (index: UInt64, term: UInt64) {
    if self.term == 0 { self.term = term }
    let place = UInt64(count)
    if isApplied, firstIndex == 0, index > place { firstIndex = index - place }
    let (expected, overflow) = firstIndex.addingReportingOverflow(place)
    let follows = isApplied && firstIndex > 0 && !overflow && index == expected
    return (follows ? 0 : index, term == self.term ? 0 : term)
  }

  private mutating func write(_ size: Int, _ body: (inout WireWriter) -> Void) {
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: 1 + Varint.size(UInt64(size)) + size))
    bytes.withUnsafeMutableBytes {
      var writer = WireWriter($0.baseAddress.unsafelyUnwrapped + start)
      writer.varint(Self.field << 3 | 2)
      writer.varint(UInt64(size))
      body(&writer)
    }
    count += 1
  }
}

extension Codec {
  package func pack(_ batch: BatchHeader, method: UnsafeRawBufferPointer, payloads: [[UInt8]]) {
    let most = payloads.reduce(8 * WireWriter.numberBytes + method.count) { $0 + WireWriter.numberBytes + $1.count }
    overwrite(upTo: most) { base in
      var writer = WireWriter(base)
      writer.number(1, batch.id)
      writer.number(2, batch.group)
      writer.bytes(3, method)
      for payload in payloads {
        if payload.isEmpty {
          // A request without bytes is a request all the same.
          writer.varint(Self.payloadTag)
          writer.varint(0)
        } else {
          payload.withUnsafeBytes { writer.bytes(4, $0) }
        }
      }
      writer.number(5, batch.timeoutMilliseconds)
      writer.number(6, UInt64(batch.ack))
      writer.number(7, UInt64(batch.voters))
      writer.number(8, batch.session)
      writer.number(9, batch.firstSequence)
      return writer.count
    }
  }

  private static let payloadTag: UInt64 = 4 << 3 | 2

  /// `body` gets the batch's method, borrowed, and where in the bytes its payloads are. One look at the bytes.
  package func unpackBatch(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (BatchHeader, _ method: UnsafeRawBufferPointer, _ payloads: [Range<Int>]) -> Void
  ) throws(WireError) {
    var header = BatchHeader(id: 0)
    var method = 0..<0
    var payloads: [Range<Int>] = []
    var unknown = WireScan.maximumUnknownFields
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let place = cursor.position
      let tag = try cursor.varint()
      switch tag {
      case Self.payloadTag: payloads.append(try cursor.delimited())
      case 1 << 3: header.id = try cursor.varint()
      case 2 << 3: header.group = try cursor.varint()
      case 3 << 3 | 2: method = try cursor.delimited()
      case 5 << 3: header.timeoutMilliseconds = try cursor.varint()
      case 6 << 3: header.ack = UInt32(truncatingIfNeeded: try cursor.varint())
      case 7 << 3: header.voters = UInt32(truncatingIfNeeded: try cursor.varint())
      case 8 << 3: header.session = try cursor.varint()
      case 9 << 3: header.firstSequence = try cursor.varint()
      default:
        guard tag >> 3 > 9, tag >> 3 < 1 << 29 else {
          throw WireError("field \(tag >> 3) of a batch with wire type \(tag & 7)", at: place)
        }
        unknown -= 1
        guard unknown >= 0 else {
          throw WireError("more than \(WireScan.maximumUnknownFields) unknown fields", at: place)
        }
        try cursor.skipValue(wireType: tag & 7)
      }
    }
    body(header, UnsafeRawBufferPointer(rebasing: bytes[method]), payloads)
  }

  package func pack(_ reply: BatchReply) {
    var results = PackedResults()
    for result in reply.results { results.append(result) }
    pack(reply, results)
  }

  /// A reply whose results are packed already, in place of its own.
  package func pack(_ reply: BatchReply, _ results: PackedResults) {
    let message = Array(reply.message.utf8)
    let named = reply.evidence.map { $0.holders.count + $0.appliedBy.count + $0.missing.count } ?? 0
    let most = 18 * WireWriter.numberBytes + message.count + 10 * named + results.bytes.count
    overwrite(upTo: most) { base in
      var writer = WireWriter(base)
      writer.number(1, reply.id)
      writer.number(2, UInt64(reply.code))
      message.withUnsafeBytes { writer.bytes(3, $0) }
      writer.number(4, reply.node)
      writer.number(5, reply.leader)
      writer.number(6, UInt64(reply.ack))
      writer.number(7, results.term)
      writer.number(8, results.firstIndex)
      writer.number(9, UInt64(reply.applied.number))
      if let evidence = reply.evidence {
        NamedNodes(evidence).write(evidence.term, evidence.index, as: 10, to: &writer)
      }
      let head = writer.count
      results.bytes.withUnsafeBytes { all in
        if let source = all.baseAddress { (base + head).copyMemory(from: source, byteCount: all.count) }
      }
      return head + results.bytes.count
    }
  }

  package func unpackBatchReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> BatchReply {
    try unpack(
      bytes, as: lockstep__wire__v1__batch_reply__descriptor_pointer(), Lockstep__Wire__V1__BatchReply.self
    ) { message throws(WireError) in
      var reply = BatchReply(id: message.id)
      reply.code = message.code
      reply.message = message.message.text
      reply.node = message.node
      reply.leader = message.leader
      reply.ack = UInt32(bitPattern: Int32(truncatingIfNeeded: message.ack.rawValue))
      reply.applied = Self.applied(message.applied)
      if let evidence = message.evidence?.pointee {
        reply.evidence = CallReply.Evidence(evidence)
      }
      reply.results.reserveCapacity(message.n_results)
      for place in 0..<message.n_results {
        guard let packed = message.results?[place]?.pointee else { continue }
        reply.results.append(
          try Self.result(packed, UInt64(place), firstIndex: message.first_index, term: message.term))
      }
      return reply
    }
  }

  /// A result, with what was left out.
  private static func result(
    _ packed: Lockstep__Wire__V1__BatchResult, _ place: UInt64, firstIndex: UInt64, term: UInt64
  ) throws(WireError) -> BatchResult {
    var result = BatchResult()
    result.code = packed.code
    result.message = packed.message.text
    result.payload = packed.payload.array
    result.applied = packed.code == 0 ? .yes : applied(packed.applied)
    result.index = packed.index
    if result.isApplied {
      let (expected, overflow) = firstIndex.addingReportingOverflow(place)
      if result.index == 0, firstIndex > 0, !overflow { result.index = expected }
      guard result.index > 0 else { throw WireError("result \(place) is of no entry, and was applied") }
    }
    guard result.index > 0 else { return result }
    result.term = packed.term == 0 ? term : packed.term
    guard result.term > 0 else { throw WireError("result \(place) is of entry \(result.index), which has no term") }
    return result
  }

  private static func applied(_ raw: Lockstep__Wire__V1__Applied) -> Applied {
    Applied(number: UInt32(bitPattern: Int32(truncatingIfNeeded: raw.rawValue)))
  }
}
