// Calls and replies as they nearly always are, fields in order and each once, read without protobuf-c: see QuickReader.

extension Codec {
  /// The same as `carefullyUnpackCall`, or false: then nothing was called.
  func quicklyReadCall(
    _ bytes: UnsafeRawBufferPointer, _ body: (CallHeader, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    var header = CallHeader(id: 0)
    var (method, payload): (Range<Int>, Range<Int>) = (0..<0, 0..<0)
    var reader = QuickReader(bytes, end: bytes.count)
    var previous: UInt8 = 0
    while !reader.isAtEnd {
      let tag = reader.tag()
      guard tag > previous else { return false }
      previous = tag
      if tag & 7 == 2 {
        guard let range = reader.delimited() else { return false }
        switch tag >> 3 {
        case 3: method = range
        case 4: payload = range
        default: return false
        }
      } else if tag == 6 << 3 || tag == 7 << 3 {
        guard let level = reader.small() else { return false }
        if tag == 6 << 3 { header.ack = level } else { header.read = level }
      } else {
        guard tag & 7 == 0, let number = reader.number() else { return false }
        switch tag >> 3 {
        case 1: header.id = number
        case 2: header.group = number
        case 5: header.timeoutMilliseconds = number
        case 8: header.readIndex = number
        case 9: header.readBoundMilliseconds = number
        case 10: header.session = number
        case 11: header.sequence = number
        default: return false
        }
      }
    }
    body(header, UnsafeRawBufferPointer(rebasing: bytes[method]), UnsafeRawBufferPointer(rebasing: bytes[payload]))
    return true
  }

  /// The same as `carefullyUnpackReply`, or nil: for replies without evidence, which few ask for.
  func quicklyReadReply(_ bytes: UnsafeRawBufferPointer) -> CallReply? {
    var reply = CallReply(id: 0)
    var reader = QuickReader(bytes, end: bytes.count)
    var previous: UInt8 = 0
    while !reader.isAtEnd {
      let tag = reader.tag()
      guard tag > previous else { return nil }
      previous = tag
      switch tag {
      case 3 << 3 | 2, 4 << 3 | 2:
        guard let range = reader.delimited() else { return nil }
        let content = UnsafeRawBufferPointer(rebasing: bytes[range])
        if tag >> 3 == 3 {
          reply.message = String(decoding: content, as: UTF8.self)
        } else {
          reply.payload = [UInt8](content)
        }
      case 2 << 3, 8 << 3, 9 << 3, 10 << 3:
        guard let number = reader.small() else { return nil }
        switch tag >> 3 {
        case 2: reply.code = number
        case 8: reply.ack = number
        case 9: reply.read = number
        default: reply.applied = Applied(rawValue: number) ?? .unknown
        }
      default:
        guard tag & 7 == 0, let number = reader.number() else { return nil }
        switch tag >> 3 {
        case 1: reply.id = number
        case 5: reply.index = number
        case 6: reply.term = number
        case 7: reply.node = number
        case 12: reply.leader = number
        default: return nil
        }
      }
    }
    return reply
  }
}
