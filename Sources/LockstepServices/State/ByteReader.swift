import LockstepExecution

/// Takes apart a snapshot's bytes from the front. Whatever they are, it ends with a value or with `dataLoss`, which
/// names the place.
struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  /// What the bytes should be, for the error.
  private let what: String
  private(set) var place = 0

  /// Borrows the bytes.
  init(_ bytes: UnsafeRawBufferPointer, _ what: String) {
    self.bytes = bytes
    self.what = what
  }

  var isAtEnd: Bool { place == bytes.count }

  func damage(_ reason: String) -> Status {
    Status(.dataLoss, "\(what) is damaged at byte \(place) of \(bytes.count): \(reason)")
  }

  /// The next bytes, borrowed.
  mutating func take(_ count: UInt64) throws(Status) -> UnsafeRawBufferPointer {
    guard count <= UInt64(bytes.count - place) else {
      throw damage("\(count) bytes are announced and \(bytes.count - place) are left")
    }
    let start = place
    place += Int(count)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<place])
  }

  /// A number as `appendVarint` writes it.
  mutating func varint() throws(Status) -> UInt64 {
    var number: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard place < bytes.count else { throw damage("it ends within a number") }
      let byte = bytes[place]
      place += 1
      guard shift < 63 || byte <= 1 else { break }
      number |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return number }
    }
    throw damage("a number does not fit in 64 bits")
  }

  /// UTF-8 with its length before it.
  mutating func text() throws(Status) -> String {
    let bytes = try take(varint())
    guard let text = String(validating: bytes, as: UTF8.self) else { throw damage("a text is not UTF-8") }
    return text
  }
}

extension [UInt8] {
  /// Protobuf's variable-length form: seven bits a byte, the low ones first.
  mutating func appendVarint(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  /// `withUnsafeBytes` for a body that throws a Status.
  func borrow<Result>(_ body: (UnsafeRawBufferPointer) throws(Status) -> Result) throws(Status) -> Result {
    try withUnsafeBytes { bytes -> Swift.Result<Result, Status> in
      do throws(Status) { return .success(try body(bytes)) } catch { return .failure(error) }
    }.get()
  }
}
