/// A text by its UTF-8 bytes, in their order. Swift's own comparison of strings takes different spellings of the same
/// letters for one, by tables that change with its version: replicas that are built differently would disagree.
struct TextKey: Sendable {
  /// Texts up to this long lie in the key itself, and comparing them needs no memory besides.
  static let inlineBytes = 23

  /// The first 23 bytes, filled up with zeros, then the number of bytes (24 when there are more): as numbers these
  /// compare as the bytes do, and a zero byte in the text is told from a filling one.
  private let first: UInt64
  private let second: UInt64
  private let third: UInt64
  /// All bytes of a text that is longer.
  private let long: [UInt8]?

  init(_ text: String) {
    var text = text
    self = text.withUTF8 { TextKey(bytes: UnsafeRawBufferPointer($0)) }
  }

  init(bytes: UnsafeRawBufferPointer) {
    let count = bytes.count
    if count > Self.inlineBytes {
      first = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
      second = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let last = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 15, as: UInt64.self))
      third = last << 8 | UInt64(Self.inlineBytes + 1)
      long = [UInt8](bytes)
    } else {
      first = Self.word(of: bytes, at: 0)
      second = Self.word(of: bytes, at: 8)
      third = Self.word(of: bytes, at: 16) | UInt64(count)
      long = nil
    }
  }

  /// The eight bytes from `place`, zeros where the text has ended.
  private static func word(of bytes: UnsafeRawBufferPointer, at place: Int) -> UInt64 {
    let count = bytes.count &- place
    if count >= 8 { return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
    var word: UInt64 = 0
    for offset in 0..<max(count, 0) {
      word |= UInt64(bytes[place &+ offset]) << UInt64(56 &- 8 &* offset)
    }
    return word
  }

  static func == (left: TextKey, right: TextKey) -> Bool {
    left.first == right.first && left.second == right.second && left.third == right.third && left.long == right.long
  }

  static func < (left: TextKey, right: TextKey) -> Bool {
    if left.first != right.first { return left.first < right.first }
    if left.second != right.second { return left.second < right.second }
    if left.third != right.third { return left.third < right.third }
    guard let leftLong = left.long, let rightLong = right.long else { return false }
    return leftLong.lexicographicallyPrecedes(rightLong)
  }

  /// `left < right`, or `<=`, without taking a copy of the left one.
  static func precedes(_ left: UnsafePointer<TextKey>, _ right: TextKey, orEqual: Bool) -> Bool {
    let first = left.pointee.first
    if first != right.first { return first < right.first }
    return left.pointee < right || (orEqual && left.pointee == right)
  }

  /// `left == right`, without taking a copy of the left one.
  static func areEqual(_ left: UnsafePointer<TextKey>, _ right: TextKey) -> Bool {
    guard left.pointee.first == right.first, left.pointee.second == right.second, left.pointee.third == right.third
    else { return false }
    return right.third & 0xff <= inlineBytes || left.pointee.long == right.long
  }

  /// Eight bits of the whole text, by which different texts mostly differ.
  var byte: UInt8 {
    var word = first ^ (second &* 0x9e37_79b9_7f4a_7c15) ^ (third &* 0xbf58_476d_1ce4_e5b9)
    if let long {
      let last = long.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: $0.count - 8, as: UInt64.self) }
      word ^= UInt64(littleEndian: last) &+ UInt64(long.count)
    }
    return UInt8((word &* 0x94d0_49bb_1331_11eb) >> 56)
  }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if let long { return long.withUnsafeBytes(body) }
    let words = (first.bigEndian, second.bigEndian, third.bigEndian)
    return withUnsafeBytes(of: words) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int(third & 0xff)])) }
  }

  var text: String { withBytes { String(decoding: $0, as: UTF8.self) } }

  func hash(into hasher: inout StableHasher) {
    if let long {
      long.withUnsafeBytes { hasher.combine(bytes: $0) }
    } else {
      hasher.combine(first)
      hasher.combine(second)
      hasher.combine(third)
    }
  }
}
