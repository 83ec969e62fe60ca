/// Bytes of a snapshot that are written and not yet taken.
public struct SnapshotBuffer: Sendable {
  private var bytes: [UInt8] = []
  /// Those before it are taken; at most `bytes.count`.
  private var start = 0

  /// A buffer with nothing in it.
  public init() {}

  /// How many bytes are written and not yet taken.
  public var count: Int { bytes.count - start }

  /// Appends these bytes as they are, without their number.
  public mutating func append(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

  /// Protobuf's variable-length form: seven bits a byte, the low ones first.
  public mutating func append(varint number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// The text's UTF-8 with its length before it.
  public mutating func append(text: String) {
    append(varint: UInt64(text.utf8.count))
    append(text.utf8)
  }

  /// Takes up to this many bytes from the front; nil when there are none.
  public mutating func take(_ maximumBytes: Int) -> [UInt8]? {
    precondition(maximumBytes > 0, "a piece of at most \(maximumBytes) bytes was asked for: a snapshot would never end")
    guard count > 0 else { return nil }
    if start == 0, bytes.count <= maximumBytes {
      var piece: [UInt8] = []
      swap(&piece, &bytes)
      return piece
    }
    let end = start + min(count, maximumBytes)
    let piece = Array(bytes[start..<end])
    start = end
    // Less than what was taken last is moved, so that all moves together are not more than all bytes.
    if count <= piece.count {
      bytes.removeSubrange(..<start)
      start = 0
    }
    return piece
  }
}
