/// The smallest part of a history that still cannot be put in order, as far as leaving things out soundly can make it.
///
/// What is left out must not create an offence of its own. So the history is cut after the first return at which no
/// order exists any more: what was called later cannot matter to it, and what had not returned by then counts as
/// unknown. From what is left, operations that change nothing are dropped one by one, for fewer answers allow more
/// orders; and an operation that may change something is not dropped but said to be unknown, which allows every order
/// that was allowed before, and more.
extension LinearizabilityChecker {
  /// - Parameters:
  ///   - weakened: the same operation, its outcome unknown.
  ///   - changesNothing: true for an operation that leaves every state as it is.
  /// - Returns: places in the history, in its order.
  public func offendingPart(
    weakened: (Model.Operation) -> Model.Operation, changesNothing: (Model.Operation) -> Bool
  ) -> [(place: Int, isUnknown: Bool)] {
    guard case .notLinearizable = verdict() else { return [] }
    var part = cutShort(weakened)
    // First in large steps, then one by one.
    var step = max(1, part.count / 2)
    while true {
      var place = 0
      var isSmaller = false
      while place < part.count {
        let end = min(part.count, place + step)
        var smaller = part
        smaller.replaceSubrange(
          place..<end,
          with: part[place..<end].compactMap { item -> Item? in
            changesNothing(item.timed.operation) ? nil : item.unknown(weakened)
          })
        if smaller.count < part.count || zip(smaller, part).contains(where: { $0.isUnknown != $1.isUnknown }),
          Self.offends(smaller, maximumSteps)
        {
          part = smaller
          isSmaller = true
        } else {
          place = end
        }
      }
      if step == 1, !isSmaller { break }
      step = max(1, step / 2)
    }
    return part.map { ($0.place, $0.isUnknown) }
  }

  private struct Item {
    let place: Int
    var timed: TimedOperation<Model.Operation>
    var isUnknown: Bool

    func unknown(_ weakened: (Model.Operation) -> Model.Operation) -> Item {
      Item(
        place: place,
        timed: TimedOperation(weakened(timed.operation), called: timed.called, returned: nil), isUnknown: true)
    }
  }

  private static func offends(_ items: [Item], _ maximumSteps: Int) -> Bool {
    let checker = LinearizabilityChecker(items.map(\.timed), maximumSteps: min(maximumSteps, 200_000))
    if case .notLinearizable = checker.verdict() { return true }
    return false
  }

  /// The shortest beginning, up to a return, that offends: found by halving, since a longer beginning of an offending
  /// history offends too.
  private func cutShort(_ weakened: (Model.Operation) -> Model.Operation) -> [Item] {
    let returns = operations.compactMap(\.returned).sorted()
    func beginning(_ end: UInt64) -> [Item] {
      operations.enumerated().compactMap { place, timed in
        guard timed.called <= end else { return nil }
        let item = Item(place: place, timed: timed, isUnknown: timed.returned == nil)
        return (timed.returned ?? .max) <= end || item.isUnknown ? item : item.unknown(weakened)
      }
    }
    var low = 0
    var high = returns.count - 1
    while low < high {
      let middle = (low + high) / 2
      if Self.offends(beginning(returns[middle]), maximumSteps) { high = middle } else { low = middle + 1 }
    }
    return high < 0 ? [] : beginning(returns[low])
  }
}
