/// The keys of a load, one after the other: at random, or each once.
struct KeySequence {
  private let count: UInt64
  private let isRandom: Bool
  private var state: UInt64 = 0x9E37_79B9_7F4A_7C15
  private(set) var current: UInt64 = 0
  private(set) var isOver = false

  init(count: UInt64, isRandom: Bool, from first: UInt64 = 0) {
    (self.count, self.isRandom, current) = (count, isRandom, first)
    if isRandom { advance() }
  }

  mutating func advance() {
    guard isRandom else {
      current += 1
      isOver = current == count
      return
    }
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    current = state % count
  }
}
