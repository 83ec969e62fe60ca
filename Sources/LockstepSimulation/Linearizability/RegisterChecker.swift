/// Is there one order of these operations on one key, each between its call and its return?
///
/// What `LinearizabilityChecker` answers for any model, for thousands of operations of many clients at once; see
/// `RegisterSearch` for how.
public struct RegisterChecker: Sendable {
  let operations: [TimedOperation<RegisterModel.Operation>]
  let maximumSteps: Int

  public init(_ operations: [TimedOperation<RegisterModel.Operation>], maximumSteps: Int = 20_000_000) {
    self.operations = operations
    self.maximumSteps = maximumSteps
  }

  public func verdict() -> LinearizabilityVerdict { counted().verdict }

  func counted() -> (verdict: LinearizabilityVerdict, steps: Int, leftOut: Set<Int>) {
    let calls = RegisterCalls(operations)
    var steps = 0
    // First as if no failed cas depended on what nobody reads: as a rule that is so, and an order that is found is one.
    let isExact = !calls.hasNotSwapped && !calls.hasAdds
    for isBold in isExact ? [true] : [true, false] {
      let search = RegisterSearch(calls, isBold: isBold)
      let isLast = isExact || !isBold
      let result = search.run(maximumSteps: isLast ? maximumSteps - steps : min(maximumSteps, 200_000))
      steps += search.steps + operations.count / 8
      switch result {
      case .found: return (.linearizable, steps, calls.leftOut)
      case .none(let furthest): if isLast { return (.notLinearizable(at: furthest), steps, calls.leftOut) }
      case .givenUp: if isLast { return (.undecided(steps: steps), steps, calls.leftOut) }
      }
    }
    return (.undecided(steps: steps), steps, calls.leftOut)
  }
}
