/// Which sums can be made of some numbers, each used once, as bits.
struct Sums {
  private(set) var words: [UInt64]
  let limit: Int

  /// Of no numbers, up to this limit.
  init(limit: Int) {
    self.limit = limit
    words = [UInt64](repeating: 0, count: limit / 64 + 1)
    words[0] = 1
  }

  func contains(_ sum: Int) -> Bool { sum >= 0 && sum <= limit && words[sum >> 6] >> UInt64(sum & 63) & 1 == 1 }

  /// So many more numbers, all of this size.
  mutating func add(_ size: Int, count: Int) {
    // In powers of two: of those, any number up to all of them can be made.
    var (left, part) = (min(count, limit / size), 1)
    while left > 0 {
      part = min(part, left)
      shift(part * size)
      left -= part
      part *= 2
    }
  }

  private mutating func shift(_ distance: Int) {
    let (whole, bits) = (distance >> 6, UInt64(distance & 63))
    guard whole < words.count else { return }
    for place in (whole..<words.count).reversed() {
      var moved = words[place - whole] << bits
      if bits > 0, place > whole { moved |= words[place - whole - 1] >> (64 - bits) }
      words[place] |= moved
    }
  }
}
