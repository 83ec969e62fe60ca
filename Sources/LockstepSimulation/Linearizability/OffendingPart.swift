/// The smallest part of a history that still cannot be put in order, as far as leaving things out soundly can make it.
///
/// What is left out must not create an offence of its own. So the history is cut after the first return at which no
/// order exists any more: what was called later cannot matter to it, and what had not returned by then counts as
/// unknown. From what is left, operations that change nothing are dropped one by one, for fewer answers allow more
/// orders; and an operation that may change something is not dropped but said to be unknown, which allows every order
/// that was allowed before, and more.
extension RegisterChecker {
  /// Steps of all searches for something smaller together: a part that is not quite the smallest, soon, is of more use.
  private static let stepsToShrink = 2_000_000

  /// - Parameters:
  ///   - weakened: the same operation, its outcome unknown.
  ///   - changesNothing: true for an operation that leaves every state as it is.
  /// - Returns: places in the history, in its order.
  public func offendingPart(
    weakened: (RegisterModel.Operation) -> RegisterModel.Operation, changesNothing: (RegisterModel.Operation) -> Bool
  ) -> [(place: Int, isUnknown: Bool)] {
    guard case .notLinearizable = verdict() else { return [] }
    var steps = Self.stepsToShrink
    var part = cutShort(weakened, &steps)
    // First in large steps, then one by one.
    var step = max(1, part.count / 2)
    while true {
      var place = 0
      var isSmaller = false
      while place < part.count, steps > 0 {
        let end = min(part.count, place + step)
        var smaller = part
        smaller.replaceSubrange(
          place..<end,
          with: part[place..<end].compactMap { item -> Item? in
            changesNothing(item.timed.operation) ? nil : item.unknown(weakened)
          })
        if smaller.count < part.count || zip(smaller, part).contains(where: { $0.isUnknown != $1.isUnknown }),
          offends(smaller, &steps)
        {
          part = smaller
          isSmaller = true
        } else {
          place = end
        }
      }
      if steps <= 0 || (step == 1 && !isSmaller) { break }
      step = max(1, step / 2)
    }
    // What could not have been noticed by anyone is no part of it.
    let leftOut = RegisterChecker(part.map(\.timed)).counted().leftOut
    return part.enumerated().filter { !$0.element.isUnknown || !leftOut.contains($0.offset) }
      .map { ($0.element.place, $0.element.isUnknown) }
  }

  private struct Item {
    let place: Int
    var timed: TimedOperation<RegisterModel.Operation>
    var isUnknown: Bool

    func unknown(_ weakened: (RegisterModel.Operation) -> RegisterModel.Operation) -> Item {
      Item(
        place: place,
        timed: TimedOperation(weakened(timed.operation), called: timed.called, returned: nil), isUnknown: true)
    }
  }

  private func offends(_ items: [Item], _ steps: inout Int) -> Bool {
    let found = RegisterChecker(items.map(\.timed), maximumSteps: min(maximumSteps, 200_000)).counted()
    steps -= found.steps
    if case .notLinearizable = found.verdict { return true }
    return false
  }

  /// The shortest beginning, up to a return, that offends: found by halving, since a longer beginning of an offending
  /// history offends too.
  private func cutShort(_ weakened: (RegisterModel.Operation) -> RegisterModel.Operation, _ steps: inout Int) -> [Item]
  {
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
      if offends(beginning(returns[middle]), &steps) { high = middle } else { low = middle + 1 }
    }
    return high < 0 ? [] : beginning(returns[low])
  }
}
