import LockstepConsensus
package import LockstepRequests

/// A call that another node passes on, borrowed from its frame.
package struct ForwardedCall {
  package var id: UInt64 = 0
  /// A CallRequest or a BatchRequest, as the client sent it.
  package var call = UnsafeRawBufferPointer(start: nil, count: 0)
  package var isBatch = false
  /// What is left of its time; 0: see the call.
  package var timeoutMilliseconds: UInt64 = 0
}

/// The answer to it, without its own id, borrowed from its frame.
package struct ForwardedReply {
  package var id: UInt64 = 0
  package var reply = UnsafeRawBufferPointer(start: nil, count: 0)
  package var isBatch = false
}

// ForwardRequest { id = 1, call = 2, batch = 3, timeout_milliseconds = 4 } and ForwardReply { id = 1, reply = 2,
// batch = 3 } in protobuf's bytes: a head written here, and what it carries as it is.

extension Codec {
  /// `send` gets the two parts of a forwarded call's frame, borrowed.
  package func pack<Result>(
    forward id: UInt64, timeoutMilliseconds: UInt64, _ request: Request,
    _ send: (_ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer) -> Result
  ) -> Result {
    if let encoded = request.encoded {
      return Self.withHead(id, timeoutMilliseconds, encoded, isBatch: request.payloads.isBatch) { send($0, encoded) }
    }
    // It has waited here, and not in the form in which it came.
    switch request.payloads {
    case .one(let payload):
      let header = CallHeader(id: 0, group: request.group.rawValue, options: request.options)
      pack(header, method: request.method, payload: payload)
    case .batch(_, let ranges):
      var header = BatchHeader(id: 0, group: request.group.rawValue)
      header.ack = request.options.acknowledgement.number
      header.voters = request.options.acknowledgement.voters
      (header.session, header.firstSequence) = (request.options.session, request.options.sequence)
      pack(header, method: request.method, payloads: ranges.indices.map { [UInt8](request.payloads[$0]) })
    }
    return packed.withUnsafeBytes { encoded in
      Self.withHead(id, timeoutMilliseconds, encoded, isBatch: request.payloads.isBatch) { send($0, encoded) }
    }
  }

  /// `send` gets the head of a frame that carries this answer.
  package static func withHead<Result>(
    replyTo id: UInt64, _ reply: UnsafeRawBufferPointer, isBatch: Bool, _ send: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    withHead(id, 0, reply, isBatch: isBatch, send)
  }

  private static func withHead<Result>(
    _ id: UInt64, _ timeout: UInt64, _ carried: UnsafeRawBufferPointer, isBatch: Bool,
    _ send: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    withUnsafeTemporaryAllocation(byteCount: 4 * WireWriter.numberBytes, alignment: 1) { room in
      var writer = WireWriter(room.baseAddress.unsafelyUnwrapped)
      writer.number(1, id)
      writer.number(4, timeout)
      writer.varint((isBatch ? 3 : 2) << 3 | 2)
      writer.varint(UInt64(carried.count))
      return send(UnsafeRawBufferPointer(start: room.baseAddress, count: writer.count))
    }
  }

  package func unpackForward(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ForwardedCall {
    var forward = ForwardedCall()
    try scan(bytes) { tag, cursor throws(WireError) in
      switch tag {
      case 1 << 3: forward.id = try cursor.varint()
      case 2 << 3 | 2, 3 << 3 | 2:
        forward.isBatch = tag >> 3 == 3
        forward.call = UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()])
      case 4 << 3: forward.timeoutMilliseconds = try cursor.varint()
      default: return false
      }
      return true
    }
    return forward
  }

  package func unpackForwardReply(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> ForwardedReply {
    var answer = ForwardedReply()
    try scan(bytes) { tag, cursor throws(WireError) in
      switch tag {
      case 1 << 3: answer.id = try cursor.varint()
      case 2 << 3 | 2, 3 << 3 | 2:
        answer.isBatch = tag >> 3 == 3
        answer.reply = UnsafeRawBufferPointer(rebasing: bytes[try cursor.delimited()])
      default: return false
      }
      return true
    }
    // It goes to the client as it is: it has to be what a client understands.
    try Self.check(answer.reply, isReplyToBatch: answer.isBatch)
    return answer
  }

  /// `body` reads the value of a field that it knows, and returns whether it does.
  private func scan(
    _ bytes: UnsafeRawBufferPointer, _ body: (UInt64, inout WireCursor) throws(WireError) -> Bool
  ) throws(WireError) {
    guard bytes.count <= maximumMessage else {
      throw WireError("a message of \(bytes.count) bytes, more than \(maximumMessage)")
    }
    var cursor = WireCursor(bytes)
    var unknown = WireScan.maximumUnknownFields
    while !cursor.isAtEnd {
      let start = cursor.position
      let tag = try cursor.varint()
      guard try !body(tag, &cursor) else { continue }
      guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw WireError("field \(tag >> 3)", at: start) }
      unknown -= 1
      guard unknown >= 0 else {
        throw WireError("more than \(WireScan.maximumUnknownFields) unknown fields", at: start)
      }
      try cursor.skipValue(wireType: tag & 7)
    }
  }
}
