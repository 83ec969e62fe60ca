/// Few answers that offend, where no calls fill the gaps between all.
extension CounterSearch {
  /// More work than a search for something smaller is worth.
  private static let work = 10_000_000

  /// Places of few answers that offend, if they are found soon.
  static func offending(_ operations: [TimedOperation<RegisterModel.Operation>]) -> [Int]? {
    guard var search = CounterSearch(operations), case .none(_, let places) = search.run(maximumSteps: soon) else {
      return nil
    }
    return places
  }

  private static let soon = 1_000_000

  /// Places of few answers with which it cannot be filled; nil if it can, as far as can be told.
  func unfillable(_ gap: Gap) -> [Int]? {
    var kept: Set<Int> = [gap.answer, gap.first]
    if gap.answer > 0 { kept.insert(gap.answer - 1) }
    return answers(kept, to: gap, making: gap.size) { _ in true }
  }

  /// The same of all gaps up to this one together. What is left of the calls then is a sum as well.
  func unreachable(_ gap: Gap) -> [Int]? {
    var kept: Set<Int> = [gap.answer, gap.first]
    // Up to here, what answered adds as much as it leaves to be added when it is unknown.
    var left = -prepared.answers[gap.answer].start
    for kind in prepared.kinds { left += kind.size * kind.count(until: gap.end) }
    for (number, answer) in prepared.answers.enumerated() {
      if number < gap.answer {
        left += answer.end - answer.start
      } else if answer.called <= gap.end, answer.end > answer.start {
        kept.insert(number)
      }
    }
    return answers(kept, to: gap, making: left) { $0 < gap.answer }
  }

  /// The answers without which this sum could be made of what had been called in time, and those; nil if it can be.
  ///
  /// An answer that is left out is one call more, unless that is too large.
  private func answers(
    _ some: Set<Int>, to gap: Gap, making sum: Int, where isLeftOut: (Int) -> Bool
  ) -> [Int]? {
    var kept = some
    if sum >= 0 {
      let count = prepared.answers.count + prepared.kinds.count
      guard sum / 64 < Self.work / max(1, count) else { return nil }
      var sums = Sums(limit: sum)
      for kind in prepared.kinds where kind.size <= sum { sums.add(kind.size, count: kind.count(until: gap.end)) }
      guard !sums.contains(sum) else { return nil }
      for (number, answer) in prepared.answers.enumerated() where answer.called <= gap.end && isLeftOut(number) {
        let part = answer.end - answer.start
        guard part > 0, part <= sum, !kept.contains(number) else { continue }
        if sums.contains(sum - part) { kept.insert(number) } else { sums.add(part, count: 1) }
      }
    }
    return kept.map { prepared.answers[$0].place }.sorted()
  }

  /// Places of what is about the gaps up to the furthest, or might fill one if its answer were left out.
  func needed() -> [Int] {
    let some = filled[...furthest]
    let largest = some.map(\.size).max()!
    var kept: Set<Int> = []
    for gap in some { kept.formUnion([gap.answer, gap.first, max(0, gap.answer - 1)]) }
    for (number, answer) in prepared.answers.enumerated() where answer.called <= some.last!.end {
      if (1...largest).contains(answer.end - answer.start) { kept.insert(number) }
    }
    return kept.map { prepared.answers[$0].place }.sorted()
  }
}
