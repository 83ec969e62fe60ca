/// Sixty-four bits from bytes and numbers, the same in every process and on every machine; Swift's own `Hasher` is
/// seeded anew in each. For digests that find a replica that went astray, not against somebody who chooses the bytes.
///
/// ```swift
/// var hasher = StableHasher()
/// hasher.combine("alice")
/// hasher.combine(42 as UInt64)
/// let hash = hasher.finish()
/// ```
public struct StableHasher: Sendable {
  private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

  /// Begins with the same state everywhere.
  public init() {}

  /// Mixes a number in; the order of calls matters.
  public mutating func combine(_ word: UInt64) {
    state = Self.fold(state ^ word, 0xa076_1d64_78bd_642f) &+ 0xe703_7ed1_a0b4_28db
  }

  /// The bytes and their number, so that "ab", "c" differs from "a", "bc".
  public mutating func combine(bytes: RawSpan) { bytes.withUnsafeBytes { combine(bytes: $0) } }

  mutating func combine(bytes: UnsafeRawBufferPointer) {
    var place = 0
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place &+ offset, as: UInt64.self))
    }
    if bytes.count >= 128 {
      // Each multiplication waits for the one before it: four chains side by side do not wait for each other.
      var (second, third, fourth) = (~state, state &+ 0xa076_1d64_78bd_642f, state &- 0xe703_7ed1_a0b4_28db)
      while place &+ 64 <= bytes.count {
        state = Self.absorbed(state, word(0), word(8))
        second = Self.absorbed(second, word(16), word(24))
        third = Self.absorbed(third, word(32), word(40))
        fourth = Self.absorbed(fourth, word(48), word(56))
        place &+= 64
      }
      combine(second)
      combine(third)
      combine(fourth)
    }
    while place &+ 16 <= bytes.count {
      state = Self.absorbed(state, word(0), word(8))
      place &+= 16
    }
    if place &+ 8 <= bytes.count {
      combine(word(0))
      place &+= 8
    }
    var rest: UInt64 = 0
    while place < bytes.count {
      rest = rest << 8 | UInt64(bytes[place])
      place &+= 1
    }
    combine(rest)
    combine(UInt64(bytes.count))
  }

  /// The text's UTF-8 bytes.
  public mutating func combine(_ text: String) {
    if text.utf8.withContiguousStorageIfAvailable({ combine(bytes: UnsafeRawBufferPointer($0)) }) != nil { return }
    var text = text
    text.withUTF8 { combine(bytes: UnsafeRawBufferPointer($0)) }
  }

  /// The hash of all that was combined so far; more may be combined after it.
  public func finish() -> UInt64 { Self.mixed(state) }

  private static func absorbed(_ state: UInt64, _ first: UInt64, _ second: UInt64) -> UInt64 {
    fold(state ^ first, second ^ 0x8ebc_6af0_9c88_c6e3) &+ 0x5899_65cc_7537_4cc3
  }

  /// Both halves of the 128-bit product.
  private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  /// Every bit of the word in every bit of the result (the finalizer of SplitMix64).
  static func mixed(_ word: UInt64) -> UInt64 {
    var mixed = word
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
