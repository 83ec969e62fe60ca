// The few lines of the protobuf encoding that are needed to slice entries without unpacking them.

/// Reads protobuf's base-128 integers and tags from borrowed bytes. Never reads past the end.
package struct WireCursor {
  package let bytes: UnsafeRawBufferPointer
  package private(set) var position: Int
  package let end: Int

  package init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    position = 0
    end = bytes.count
  }

  package var isAtEnd: Bool { position >= end }

  @inline(__always)
  package mutating func varint() throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = bytes[position]
      position += 1
      if shift == 63, byte > 1 { throw WireError("an integer of more than 64 bits", at: position - 1) }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
      if shift > 63 { throw WireError("an integer of more than ten bytes", at: position - 1) }
    }
    throw WireError("the bytes end inside an integer", at: position)
  }

  /// The range of a length-delimited field whose tag has just been read.
  @inline(__always)
  package mutating func delimited() throws(WireError) -> Range<Int> {
    let start = position
    let length = try varint()
    guard length <= UInt64(end - position) else {
      throw WireError("a field claims \(length) bytes where \(end - position) are left", at: start)
    }
    let from = position
    position += Int(length)
    return from..<position
  }

  package mutating func fixed64() throws(WireError) -> UInt64 {
    guard end - position >= 8 else { throw WireError("the bytes end inside a 64-bit number", at: position) }
    let value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    position += 8
    return value
  }

  package mutating func skip(_ count: Int) throws(WireError) {
    guard count >= 0, count <= end - position else { throw WireError("the bytes end inside a field", at: position) }
    position += count
  }

  /// Skips the value of a field of this wire type.
  package mutating func skipValue(wireType: UInt64) throws(WireError) {
    switch wireType {
    case 0: _ = try varint()
    case 1: try skip(8)
    case 2: _ = try delimited()
    case 5: try skip(4)
    default: throw WireError("wire type \(wireType), which no message uses", at: position)
    }
  }
}

package enum Varint {
  /// How many bytes protobuf takes for this integer.
  package static func size(_ value: UInt64) -> Int {
    value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
  }

  /// Writes it; the caller has made sure of ten bytes of room. Returns how many were written.
  @inline(__always)
  package static func write(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
    var value = value
    var count = 0
    while value >= 0x80 {
      target.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, toByteOffset: count, as: UInt8.self)
      value >>= 7
      count += 1
    }
    target.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: count, as: UInt8.self)
    return count + 1
  }
}
