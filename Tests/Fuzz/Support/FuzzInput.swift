/// The bytes of an input, taken from front to back. What is not there any more is zero, so every input means something.
struct FuzzInput {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isEmpty: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  /// Little-endian.
  mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type) -> Number {
    var number: Number = 0
    for place in 0..<MemoryLayout<Number>.size { number |= Number(byte()) << Number(8 * place) }
    return number
  }

  /// At most so many bytes.
  mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
    let end = position + min(count, bytes.count - position)
    defer { position = end }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
  }

  mutating func rest() -> UnsafeRawBufferPointer { take(bytes.count - position) }
}

/// SplitMix64: numbers that follow from the input, so that a replay does the same.
struct FuzzRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
}
