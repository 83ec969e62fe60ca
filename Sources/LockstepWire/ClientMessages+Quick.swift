import LockstepRequests

// Calls and replies as they nearly always are, fields in order and each once, read without protobuf-c: see QuickReader.

extension Codec {
  /// The same as `carefullyUnpackCall`, or false: then nothing was called.
  func quicklyReadCall(
    _ bytes: UnsafeRawBufferPointer, _ body: (CallHeader, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    var header = CallHeader(id: 0)
    var (method, payload): (Range<Int>, Range<Int>) = (0..<0, 0..<0)
    var reader = QuickReader(bytes, end: bytes.count)
    guard reader.number(1, into: &header.id), reader.number(2, into: &header.group),
      reader.delimited(3, into: &method), reader.delimited(4, into: &payload),
      reader.number(5, into: &header.timeoutMilliseconds),
      reader.small(6, into: &header.ack), reader.small(7, into: &header.read),
      reader.number(8, into: &header.readIndex), reader.number(9, into: &header.readBoundMilliseconds),
      reader.number(10, into: &header.session), reader.number(11, into: &header.sequence), reader.isAtEnd
    else { return false }
    body(header, UnsafeRawBufferPointer(rebasing: bytes[method]), UnsafeRawBufferPointer(rebasing: bytes[payload]))
    return true
  }

  /// The same as `carefullyUnpackReply`, or nil: for replies without evidence, which few ask for.
  func quicklyReadReply(_ bytes: UnsafeRawBufferPointer) -> CallReply? {
    var reply = CallReply(id: 0)
    var (message, payload): (Range<Int>, Range<Int>) = (0..<0, 0..<0)
    var applied: UInt32 = 0
    var reader = QuickReader(bytes, end: bytes.count)
    guard reader.number(1, into: &reply.id), reader.small(2, into: &reply.code),
      reader.delimited(3, into: &message), reader.delimited(4, into: &payload),
      reader.number(5, into: &reply.index), reader.number(6, into: &reply.term), reader.number(7, into: &reply.node),
      reader.small(8, into: &reply.ack), reader.small(9, into: &reply.read), reader.small(10, into: &applied),
      reader.number(12, into: &reply.leader), reader.number(14, into: &reply.ageMicroseconds), reader.isAtEnd
    else { return nil }
    reply.message = String(decoding: bytes[message], as: UTF8.self)
    reply.payload = [UInt8](bytes[payload])
    reply.applied = Applied(number: applied)
    return reply
  }
}
