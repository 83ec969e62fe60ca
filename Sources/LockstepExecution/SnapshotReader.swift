/// A snapshot's bytes from the front, whatever pieces they come in. They may be damaged or hostile: reading ends with a
/// value or with `dataLoss`, which names the place, and never holds more than what has come.
public struct SnapshotReader {
  /// What the bytes should be, for the errors.
  private let what: String
  private let pull: () throws(CallStatus) -> ArraySlice<UInt8>?
  /// The piece that is being read.
  private var piece: ArraySlice<UInt8> = []
  /// Where in it the next byte is; at most `piece.endIndex`.
  private var place = 0
  /// Bytes of all pieces before this one.
  private var before: UInt64 = 0
  private var hasEnded = false

  /// The version of the machine, or of the service, that wrote the snapshot: at most the reader's own.
  public let version: UInt32

  /// Reads the bytes that `next` gives, from the front; nothing is asked for before something is read.
  ///
  /// - Parameters:
  ///   - what: as errors name it: "the snapshot of the services".
  ///   - version: of the machine, or of the service, that wrote the snapshot: for who reads it, and not checked.
  ///   - next: the next piece of any length, nil after the last. What it throws, reading throws.
  public init(_ what: String, version: UInt32, next: @escaping () throws(CallStatus) -> [UInt8]?) {
    self.init(what, version: version, slices: { () throws(CallStatus) -> ArraySlice<UInt8>? in try next()?[...] })
  }

  /// The same for pieces of something larger, which are not copied.
  package init(_ what: String, version: UInt32, slices next: @escaping () throws(CallStatus) -> ArraySlice<UInt8>?) {
    self.what = what
    self.version = version
    pull = next
  }

  /// Reads what was frozen, in pieces of at most this length.
  public init(_ snapshot: any Snapshot, version: UInt32, maximumBytes: Int = 64 * 1024) {
    var snapshot = snapshot
    self.init("the snapshot", version: version) { () throws(CallStatus) -> [UInt8]? in
      try snapshot.next(maximumBytes: maximumBytes)
    }
  }

  /// The error for bytes that make no sense: `dataLoss`, with what is read, up to which byte, and the reason.
  public func damage(_ reason: String) -> CallStatus {
    CallStatus(.dataLoss, "\(what) is damaged at byte \(before + UInt64(place - piece.startIndex)): \(reason)")
  }

  /// Is a byte there to be read?
  private mutating func fill() throws(CallStatus) -> Bool {
    while place == piece.endIndex, !hasEnded {
      before += UInt64(piece.count)
      (piece, place) = ([], 0)
      guard let next = try pull() else {
        hasEnded = true
        break
      }
      (piece, place) = (next, next.startIndex)
    }
    return place < piece.endIndex
  }

  /// Whether all bytes are read. May ask for the next piece, and throws what that throws.
  public mutating func isAtEnd() throws(CallStatus) -> Bool { try !fill() }

  /// Refuses bytes after the last one.
  public mutating func end() throws(CallStatus) {
    if try fill() { throw damage("more follows after its end") }
  }

  /// A number as `SnapshotBuffer` writes it, in no more bytes than it needs.
  public mutating func varint() throws(CallStatus) -> UInt64 {
    var number: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard try fill() else { throw damage("it ends within a number") }
      let byte = piece[place]
      place += 1
      guard shift < 63 || byte <= 1 else { break }
      number |= UInt64(byte & 0x7f) << shift
      guard byte < 0x80 else { continue }
      guard byte > 0 || shift == 0 else { throw damage("a number has more bytes than it needs") }
      return number
    }
    throw damage("a number does not fit in 64 bits")
  }

  /// So many bytes.
  public mutating func bytes(_ count: UInt64) throws(CallStatus) -> [UInt8] {
    if try fill(), count <= UInt64(piece.endIndex - place) { return Array(try some(atMost: count)) }
    // Grows with what has come, and not by what is announced.
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < count { bytes += try some(atMost: count - UInt64(bytes.count)) }
    return bytes
  }

  /// UTF-8 with its length before it.
  public mutating func text() throws(CallStatus) -> String {
    var text: String?
    try borrow(varint()) { bytes throws(CallStatus) in text = String(ofUTF8: bytes) }
    guard let text else { throw damage("a text is not UTF-8") }
    return text
  }

  /// One byte or more, up to the end of the piece.
  package mutating func some(atMost count: UInt64) throws(CallStatus) -> ArraySlice<UInt8> {
    guard try fill() else { throw damage("it ends, and \(count) bytes more are announced") }
    let start = place
    place += Int(min(count, UInt64(piece.endIndex - place)))
    return piece[start..<place]
  }

  /// Calls `body` with so many bytes, which are valid during the call: where they lie, when one piece has them all.
  package mutating func borrow(
    _ count: UInt64, _ body: (UnsafeRawBufferPointer) throws(CallStatus) -> Void
  ) throws(CallStatus) {
    if try fill(), count > UInt64(piece.endIndex - place) { return try Self.borrow(bytes(count)[...], body) }
    guard count == 0 || place < piece.endIndex else { throw damage("it ends, and \(count) bytes more are announced") }
    let start = place
    place += Int(count)
    try Self.borrow(piece[start..<place], body)
  }

  /// `withUnsafeBytes` for a body that throws a CallStatus.
  private static func borrow(
    _ bytes: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) throws(CallStatus) -> Void
  ) throws(CallStatus) {
    let failure = bytes.withUnsafeBytes { bytes -> CallStatus? in
      do throws(CallStatus) { try body(bytes) } catch { return error }
      return nil
    }
    if let failure { throw failure }
  }
}

extension String {
  /// The text of these bytes, or nil where they are not UTF-8. Decoding repairs such bytes, and is several times as quick as
  /// the standard library's validation: what was repaired is other bytes.
  package init?(ofUTF8 bytes: UnsafeRawBufferPointer) {
    var text = String(decoding: bytes, as: UTF8.self)
    guard text.withUTF8({ UnsafeRawBufferPointer($0).hasBytes(of: bytes) }) else { return nil }
    self = text
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func hasBytes(of other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    var place = 0
    while place <= count - 8 {
      guard
        loadUnaligned(fromByteOffset: place, as: UInt64.self)
          == other.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      else { return false }
      place += 8
    }
    while place < count {
      guard self[place] == other[place] else { return false }
      place += 1
    }
    return true
  }
}
