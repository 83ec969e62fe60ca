/// Is there one order of these operations on one key, each between its call and its return?
///
/// What `LinearizabilityChecker` answers for any model, for thousands of operations of many clients at once: found by
/// `CounterSearch` or `ClusterSearch`, or else by `RegisterSearch`.
public struct RegisterChecker: Sendable {
  let operations: [TimedOperation<RegisterModel.Operation>]
  let maximumSteps: Int

  /// A check of one key's history. Nothing is searched before `verdict`.
  ///
  /// - Parameters:
  ///   - operations: all that was asked of one key.
  ///   - maximumSteps: after about so many the search is given up.
  public init(_ operations: [TimedOperation<RegisterModel.Operation>], maximumSteps: Int = 20_000_000) {
    self.operations = operations
    self.maximumSteps = maximumSteps
  }

  /// Steps that suffice as a rule; if they do not, few answers may show sooner than all that there is no order.
  private static let usualSteps = 200_000
  private static let usualClusterSteps = 10_000_000
  /// So many steps of `ClusterSearch` are one of `RegisterSearch`.
  private static let clusterStepsInOne = 12
  /// The same of `CounterSearch`.
  private static let counterStepsInOne = 2

  /// Searches for an order; `.undecided` when the steps did not suffice.
  public func verdict() -> LinearizabilityVerdict {
    let first = counted(
      maximumSteps: min(maximumSteps, Self.usualSteps),
      clusterSteps: min(maximumSteps * Self.clusterStepsInOne, Self.usualClusterSteps))
    guard case .undecided = first.verdict, maximumSteps > Self.usualSteps else { return first.verdict }
    if let place = first.culprit, OffendingPart.Search(operations).isFound(from: place) {
      return .notLinearizable(at: place)
    }
    return counted(maximumSteps: maximumSteps, clusterSteps: 0).verdict
  }

  struct Found {
    var verdict: LinearizabilityVerdict
    var steps = 0
    /// Of an order that was found, the places of what took effect.
    var order: [Int] = []
    /// The place of what could not be answered when the search had come furthest.
    var culprit: Int?
  }

  func counted(maximumSteps: Int) -> Found {
    counted(maximumSteps: maximumSteps, clusterSteps: maximumSteps / 2 * Self.clusterStepsInOne)
  }

  /// - Parameter maximumSteps: those of the search for clusters count among them up to half of them.
  private func counted(maximumSteps: Int, clusterSteps: Int) -> Found {
    var found = Found(verdict: .linearizable, steps: operations.count / 8)
    if var search = CounterSearch(operations) {
      let result = search.run(maximumSteps: maximumSteps / 2 * Self.counterStepsInOne)
      found.steps += search.steps / Self.counterStepsInOne
      switch result {
      case .found(let order):
        found.order = order
        return found
      case .none(let culprit, _):
        (found.verdict, found.culprit) = (.notLinearizable(at: culprit), culprit)
        return found
      case .givenUp:
        // Nothing else is likely to be faster.
        found.verdict = .undecided(steps: found.steps)
        if maximumSteps <= Self.usualSteps { return found }
      }
    }
    if clusterSteps > 0, var search = ClusterSearch(operations) {
      let result = search.run(maximumSteps: clusterSteps)
      found.steps += min(search.steps / Self.clusterStepsInOne, maximumSteps / 2)
      switch result {
      case .found(let order):
        found.order = order
        return found
      case .none(let culprit):
        (found.verdict, found.culprit) = (.notLinearizable(at: culprit), culprit)
        return found
      case .givenUp: break
      }
    }
    let calls = RegisterCalls(operations)
    // First as if no failed cas depended on what nobody reads: as a rule that is so, and an order that is found is one.
    let isExact = !calls.hasNotSwapped && !calls.hasAdds
    for isBold in isExact ? [true] : [true, false] {
      let search = RegisterSearch(calls, isBold: isBold)
      let isLast = isExact || !isBold
      let result = search.run(maximumSteps: isLast ? maximumSteps - found.steps : min(maximumSteps / 2, 200_000))
      found.steps += search.steps
      switch result {
      case .found:
        found.verdict = .linearizable
        found.order = search.order
        return found
      case .none(let culprit): (found.verdict, found.culprit) = (.notLinearizable(at: culprit), culprit)
      case .givenUp(let culprit): (found.verdict, found.culprit) = (.undecided(steps: found.steps), culprit)
      }
    }
    return found
  }
}
