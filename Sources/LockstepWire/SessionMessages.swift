package import LockstepRequests

extension SessionCall {
  package static let service = "lockstep.session.v1.Sessions"
  private static let prefix = Array("\(service)/".utf8)

  /// Nil: the method is not one of that service.
  package init?(method: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
    guard method.starts(with: Self.prefix) else { return nil }
    let fields = try? Self.fields(payload)
    let (first, second) = fields ?? (0, 0)
    switch String(decoding: method.dropFirst(Self.prefix.count).prefix(16), as: UTF8.self) {
    case "Open": self = .open(patienceMilliseconds: first)
    case "KeepAlive": self = .keepAlive(session: first)
    case "Resolve": self = .resolve(session: first, sequence: second)
    case "Close": self = .close(session: first)
    default: return nil
    }
    if fields == nil { self = .invalid }
  }

  /// A request of the service, of the numbers in fields 1, 2, ...
  package static func message(_ numbers: [UInt64]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: numbers.count * WireWriter.numberBytes) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      var writer = WireWriter(UnsafeMutableRawPointer(base))
      for (place, number) in numbers.enumerated() { writer.number(UInt64(place + 1), number) }
      count = writer.count
    }
  }

  /// The fields of one of its replies, by their numbers.
  package static func fields(
    of reply: [UInt8]
  ) throws(WireError) -> (numbers: [UInt64: UInt64], bytes: [UInt64: [UInt8]]) {
    var (numbers, all): ([UInt64: UInt64], [UInt64: [UInt8]]) = ([:], [:])
    var result = Result<Void, WireError>.success(())
    reply.withUnsafeBytes { reply in
      do throws(WireError) {
        var cursor = WireCursor(reply)
        while !cursor.isAtEnd {
          let tag = try cursor.varint()
          switch tag & 7 {
          case 0: numbers[tag >> 3] = try cursor.varint()
          case 2: all[tag >> 3] = [UInt8](reply[try cursor.delimited()])
          default: try cursor.skipValue(wireType: tag & 7)
          }
        }
      } catch { result = .failure(error) }
    }
    try result.get()
    return (numbers, all)
  }

  /// The numbers in fields 1 and 2; other fields are skipped.
  private static func fields(_ payload: UnsafeRawBufferPointer) throws(WireError) -> (UInt64, UInt64) {
    var (first, second): (UInt64, UInt64) = (0, 0)
    var cursor = WireCursor(payload)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: first = try cursor.varint()
      case 2 << 3: second = try cursor.varint()
      default:
        guard tag >> 3 > 2 else { throw WireError("field \(tag >> 3) is no number", at: cursor.position) }
        try cursor.skipValue(wireType: tag & 7)
      }
    }
    return (first, second)
  }
}
