/// Reads fields in the form that is nearly always there: tags of one byte, numbers of up to nine, whole. For the messages
/// of which there is one per command: protobuf-c looks each field up in a description, after our own look at the bytes,
/// which was a twelfth of what a command cost. Whatever it is not sure of it gives back as nil, and then protobuf-c, or
/// the careful reader, begins again and decides. Never reads past the end.
struct QuickReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var place = 0
  private let end: Int

  init(_ bytes: UnsafeRawBufferPointer, end: Int) {
    self.bytes = bytes
    self.end = end
  }

  var isAtEnd: Bool {
    @inline(__always) get { place >= end }
  }

  @inline(__always)
  mutating func number() -> UInt64? {
    guard place < end else { return nil }
    let first = bytes[place]
    guard first >= 0x80 else {
      place &+= 1
      return UInt64(first)
    }
    return bytes.count &- place >= 8 ? ofSomeBytes() : atTheEnd()
  }

  /// All bytes at once: seven bits of each, moved together in three steps.
  private mutating func ofSomeBytes() -> UInt64? {
    var word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
    let stops = ~word & 0x8080_8080_8080_8080
    let count = stops == 0 ? 9 : stops.trailingZeroBitCount / 8 &+ 1
    guard count <= end &- place else { return nil }
    var last: UInt64 = 0
    if count == 9 {
      last = UInt64(bytes[place &+ 8])
      guard last < 0x80 else { return nil }
    } else {
      word &= ~0 &>> UInt64(64 &- 8 &* count)
    }
    place &+= count
    word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) &>> 1
    word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) &>> 2
    word = (word & 0x0000_0000_0fff_ffff) | (word & 0x0fff_ffff_0000_0000) &>> 4
    return word | last &<< 56
  }

  private mutating func atTheEnd() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while place < end {
      let byte = bytes[place]
      place &+= 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift &+= 7
    }
    return nil
  }

  /// The range of a field of bytes.
  @inline(__always)
  mutating func delimited() -> Range<Int>? {
    guard let count = number(), count <= UInt64(end &- place) else { return nil }
    let start = place
    place &+= Int(count)
    return Range(uncheckedBounds: (start, place))
  }

  // MARK: Fields in their order

  /// Reads the field if it is the next one. False when it cannot be read.
  @inline(__always)
  mutating func number(_ field: UInt8, into value: inout UInt64) -> Bool {
    guard place < end, bytes[place] == field << 3 else { return true }
    place &+= 1
    guard let number = number() else { return false }
    value = number
    return true
  }

  /// The same for a number that fits in 31 bits, where protobuf would cut off others.
  @inline(__always)
  mutating func small(_ field: UInt8, into value: inout UInt32) -> Bool {
    var number = UInt64(value)
    guard self.number(field, into: &number), number <= UInt64(Int32.max) else { return false }
    value = UInt32(truncatingIfNeeded: number)
    return true
  }

  @inline(__always)
  mutating func delimited(_ field: UInt8, into range: inout Range<Int>) -> Bool {
    guard place < end, bytes[place] == field << 3 | 2 else { return true }
    place &+= 1
    guard let found = delimited() else { return false }
    range = found
    return true
  }
}
