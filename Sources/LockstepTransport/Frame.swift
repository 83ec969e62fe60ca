import CXXHash

/// The frame: all that two processes ever say to each other.
///
///      0       4      5         6        8                 16
///     +-------+------+---------+--------+-----------------+------------------ - -
///     | length| kind | version | "LS"   | checksum        | payload
///     | u32   | u8   | u8 = 1  | u16    | u64             | length bytes
///     +-------+------+---------+--------+-----------------+------------------ - -
///
/// Little endian. The checksum is XXH3-64 of the payload, seeded with the first eight bytes, so that it covers all of
/// the header before it too. A length of 0 is legal: it is how an empty protobuf message looks.
///
/// The mark stands in the first eight bytes, so that another protocol is told apart before its guess at a length is
/// believed, and as soon as it has said eight bytes. There is no resynchronisation: after any of these errors nothing
/// that follows can be trusted, and the connection is closed.
package enum Frame {
  package static let headerLength = 16
  /// The part of the header that says what is to come.
  static let prefixLength = 8
  static let version: UInt8 = 1
  /// "LS" as it stands in the stream.
  static let magic: UInt16 = 0x534C

  /// Version and magic in their places of the prefix.
  private static let mark = UInt64(magic) << 48 | UInt64(version) << 40

  /// The first eight bytes of a header, as a number.
  struct Prefix: Equatable {
    let word: UInt64

    init(word: UInt64) {
      self.word = word
    }

    init(kind: UInt8, length: Int) {
      word = mark | UInt64(kind) << 32 | UInt64(UInt32(length))
    }

    /// `bytes` holds at least `prefixLength`.
    init(reading bytes: UnsafeRawBufferPointer) {
      word = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    }

    var length: Int { Int(UInt32(truncatingIfNeeded: word)) }
    var kind: UInt8 { UInt8(truncatingIfNeeded: word >> 32) }

    /// Why no frame that begins like this is taken, or nil.
    func refusal(limit: Int) -> CloseReason? {
      if word >> 40 == Frame.mark >> 40, length <= limit { return nil }
      if UInt16(truncatingIfNeeded: word >> 48) != Frame.magic {
        return .notAFrame(beginning: withUnsafeBytes(of: word.littleEndian) { printable($0) })
      }
      let version = UInt8(truncatingIfNeeded: word >> 40)
      if version != Frame.version { return .unknownVersion(version) }
      return .frameTooLong(length: length, limit: limit)
    }
  }

  /// Writes the header before a payload that is already in its place. `frame` is exactly header and payload.
  package static func seal(_ frame: UnsafeMutableRawBufferPointer, kind: UInt8) {
    let prefix = Prefix(kind: kind, length: frame.count - headerLength)
    frame.storeBytes(of: prefix.word.littleEndian, as: UInt64.self)
    let sum = checksum(UnsafeRawBufferPointer(rebasing: frame[headerLength...]), prefix)
    frame.storeBytes(of: sum.littleEndian, toByteOffset: prefixLength, as: UInt64.self)
  }

  /// Whether a complete frame matches its checksum.
  static func isIntact(_ frame: UnsafeRawBufferPointer, _ prefix: Prefix) -> Bool {
    let claimed = UInt64(littleEndian: frame.loadUnaligned(fromByteOffset: prefixLength, as: UInt64.self))
    return claimed == checksum(UnsafeRawBufferPointer(rebasing: frame[headerLength...]), prefix)
  }

  private static func checksum(_ payload: UnsafeRawBufferPointer, _ prefix: Prefix) -> UInt64 {
    lockstep_xxh3_64(payload.baseAddress, payload.count, prefix.word)
  }
}
