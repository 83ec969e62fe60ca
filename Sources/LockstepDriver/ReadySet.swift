/// Positions of groups with work, each once, in the order in which it came.
struct ReadySet {
  private(set) var positions: [Int] = []
  /// For each group, whether it stands in `positions`.
  private var isMember: [Bool]

  init(count: Int) { isMember = Array(repeating: false, count: count) }

  var isEmpty: Bool { positions.isEmpty }

  func contains(_ position: Int) -> Bool { isMember[position] }

  mutating func insert(_ position: Int) {
    guard !isMember[position] else { return }
    isMember[position] = true
    positions.append(position)
  }

  /// Takes in all of the other one, which is empty then.
  mutating func take(_ other: inout ReadySet) {
    guard !isEmpty else { return swap(&self, &other) }
    for position in other.positions { insert(position) }
    other.removeAll()
  }

  mutating func removeAll() {
    for position in positions { isMember[position] = false }
    positions.removeAll(keepingCapacity: true)
  }

  mutating func removeAll(where isDone: (Int) -> Bool) {
    positions.removeAll { position in
      guard isDone(position) else { return false }
      isMember[position] = false
      return true
    }
  }
}
