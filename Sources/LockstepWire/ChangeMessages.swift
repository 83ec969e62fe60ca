/// The messages of changes.proto.
package enum ChangeMessages {
  package static let service = "lockstep.changes.v1.ChangeStream"

  package struct Request: Sendable, Hashable {
    package var service = ""
    package var from: UInt64?
    package init() {}
  }

  package struct Fields: Sendable, Hashable {
    package let index: UInt64
    package let term: UInt64
    package let time: UInt64
    package let method: [UInt8]
    package let request: [UInt8]
    package var reply: [UInt8] = []
    package var code: UInt64 = 0
    package var message: [UInt8] = []

    package init(index: UInt64, term: UInt64, time: UInt64, method: [UInt8], request: [UInt8]) {
      self.index = index
      self.term = term
      self.time = time
      self.method = method
      self.request = request
    }
  }

  /// A WatchRequest.
  package static func request(_ payload: UnsafeRawBufferPointer) throws(WireError) -> Request {
    var request = Request()
    var cursor = WireCursor(payload)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3 | 2:
        let text = payload[try cursor.delimited()]
        guard let service = String(validating: text, as: UTF8.self) else { throw WireError("a name that is no UTF-8") }
        request.service = service
      case 2 << 3: request.from = try cursor.varint()
      default:
        guard tag >> 3 > 2 else { throw WireError("field \(tag >> 3) of another type", at: cursor.position) }
        try cursor.skipValue(wireType: tag & 7)
      }
    }
    return request
  }

  /// A Change.
  package static func bytes(_ change: Fields) -> [UInt8] {
    let bytes = change.method.count + change.request.count + change.reply.count + change.message.count
    return [UInt8](unsafeUninitializedCapacity: bytes + 8 * WireWriter.numberBytes) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      var writer = WireWriter(UnsafeMutableRawPointer(base))
      writer.number(1, change.index)
      writer.number(2, change.term)
      writer.number(3, change.time)
      change.method.withUnsafeBytes { writer.bytes(4, $0) }
      change.request.withUnsafeBytes { writer.bytes(5, $0) }
      change.reply.withUnsafeBytes { writer.bytes(6, $0) }
      writer.number(7, change.code)
      change.message.withUnsafeBytes { writer.bytes(8, $0) }
      count = writer.count
    }
  }
}
