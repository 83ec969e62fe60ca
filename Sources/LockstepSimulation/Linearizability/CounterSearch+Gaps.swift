/// From the first gap to the last, and back where one cannot be filled: then the gap is filled otherwise that has taken
/// some of what was scarce, and what is between is left out (Dechter, "Enhancement schemes for constraint processing:
/// backjumping, learning, and cutset decomposition", 1990).
extension CounterSearch {
  /// Larger ones are made no tables of.
  private static let largestSum = 1 << 14

  /// Fills these gaps; nil when the steps do not suffice.
  mutating func fill(_ some: [Gap], _ maximumSteps: Int) -> Result? {
    filled = some
    (low, high, furthest) = (0, 0, 0)
    used = [Int](repeating: 0, count: used.count)
    taken = []
    failures = Failures(gaps: some.count, kinds: used.count)
    reasons = [BitSet](repeating: BitSet(count: used.count), count: some.count)
    guard !some.isEmpty else { return .found(order()) }
    enter(0)
    let end = steps + maximumSteps
    while true {
      steps += 1
      guard steps <= end, failures.hasRoom else { return nil }
      if rest == 0, !isWasteful() {
        guard gap + 1 < filled.count else { return .found(order()) }
        if let reason = failures.reason(gap + 1, used, Memory(low: low, high: high)) {
          giveUp(because: reason)
        } else {
          furthest = max(furthest, gap + 1)
          enter(gap + 1)
          continue
        }
      } else if rest > 0 {
        if let next = nextKind() {
          take(next)
          continue
        }
        if judged.insert(filled[gap].answer).inserted, let offending = unfillable(filled[gap]) {
          return .none(culprit: culprit(filled[gap]), offending: offending)
        }
        if reachable.isEmpty { findReachable() }
      }
      guard leaveOne() else { return .none(culprit: culprit(filled[furthest]), offending: needed()) }
    }
  }

  /// Nothing more can be done about the next gap, because there was too little of some kinds. Where this gap has taken
  /// none of them, it need not be filled otherwise.
  private mutating func giveUp(because scarce: BitSet) {
    let here = taken.suffix(while: { $0.gap == gap })
    guard !here.contains(where: { scarce.contains($0.kind) }) else {
      reasons[gap].formUnion(scarce)
      return
    }
    for one in here { use(one.kind, -one.count) }
    taken.removeLast(here.count)
    reasons[gap] = scarce
    kind = prepared.kinds.count
  }

  /// Goes on to a gap that is not filled. Of the kinds of which there are not enough for all of it more might help.
  private mutating func enter(_ next: Int) {
    comeTo(next)
    rest = filled[next].size
    kind = 0
    var scarce = BitSet(count: called.count)
    for kind in called.indices where called[kind] - used[kind] < rest / prepared.kinds[kind].size {
      scarce.insert(kind)
    }
    reasons[next] = scarce
    if let exact = kindOfSize[rest], called[exact] > used[exact] { kind = exact }
  }

  private mutating func comeTo(_ next: Int) {
    (gap, reachable) = (next, [])
    steps += called.count / 16
    for kind in called.indices { called[kind] = prepared.kinds[kind].count(until: filled[next].end) }
  }

  /// The first of which some can be taken, and with which the rest can be made.
  private mutating func nextKind() -> Int? {
    while kind < prepared.kinds.count {
      if !reachable.isEmpty, rest <= reachable[0].limit, !reachable[kind].contains(rest) { return nil }
      if prepared.kinds[kind].size <= rest, called[kind] > used[kind] { return kind }
      kind += 1
    }
    return nil
  }

  private mutating func take(_ next: Int) {
    let size = prepared.kinds[next].size
    let count = min(called[next] - used[next], rest / size)
    taken.append(Taken(gap: gap, kind: next, count: count, isOnly: size == filled[gap].size))
    use(next, count)
    kind = next + 1
  }

  /// Of what was taken last and need not be; false when there is nothing.
  private mutating func leaveOne() -> Bool {
    while true {
      while let last = taken.last, last.gap == gap {
        taken.removeLast()
        use(last.kind, last.isOnly ? -last.count : -1)
        guard !last.isOnly else { continue }
        if last.count > 1 {
          taken.append(Taken(gap: gap, kind: last.kind, count: last.count - 1, isOnly: false))
        }
        kind = last.kind + 1
        return true
      }
      guard gap > 0 else { return false }
      let reason = reasons[gap]
      failures.add(gap, used, Memory(low: low, high: high), reason)
      comeTo(gap - 1)
      rest = 0
      giveUp(because: reason)
    }
  }

  private mutating func use(_ kind: Int, _ count: Int) {
    used[kind] += count
    rest -= count * prepared.kinds[kind].size
    low &+= words[kind].low &* UInt64(bitPattern: Int64(count))
    high &+= words[kind].high &* UInt64(bitPattern: Int64(count))
  }

  /// Whether a larger one is left that two of this gap could be left for.
  private func isWasteful() -> Bool {
    let here = taken.suffix(while: { $0.gap == gap })
    guard here.count < 40 else { return false }
    for (place, one) in here.enumerated() {
      for other in here.dropFirst(place) where other.kind != one.kind || one.count > 1 {
        let sum = kindOfSize[prepared.kinds[one.kind].size + prepared.kinds[other.kind].size]
        if let sum, called[sum] > used[sum] { return true }
      }
    }
    return false
  }

  /// The sums that each kind can make with all smaller ones, as far as no other gap has taken them.
  private mutating func findReachable() {
    var free = zip(called, used).map { $0 - $1 }
    for one in taken.suffix(while: { $0.gap == gap }) { free[one.kind] += one.count }
    var sums = Sums(limit: min(filled[gap].size, Self.largestSum))
    reachable = [sums]
    for kind in prepared.kinds.indices.reversed() {
      sums.add(prepared.kinds[kind].size, count: free[kind])
      reachable.append(sums)
    }
    reachable.reverse()
  }
}

extension Array {
  /// The last ones, as long as the condition holds.
  fileprivate func suffix(while holds: (Element) -> Bool) -> ArraySlice<Element> {
    let start = lastIndex { !holds($0) }.map { $0 + 1 } ?? 0
    return self[start...]
  }
}
