import LockstepExecution

/// One seed on a user's machine, as often as it takes to find out what matters in it.
struct Trial<Machine: StateMachine> {
  let seed: UInt64
  let machine: Machine
  let nodes: Int?
  let next: (inout SimulationRandom) throws -> SimulatedCall
  let invariant: (Machine) -> String?

  private static var storyLines: Int { 12 }
  /// Runs spent on making a schedule shorter.
  private static var attempts: Int { 48 }

  func run(
    without disabled: Set<FaultKind>, quietAfter: UInt64?, story: ((UInt64, String) -> Void)? = nil
  ) -> (report: SimulationReport, workload: UserWorkload<Machine>) {
    let workload = UserWorkload(machine: machine, next: next, invariant: invariant)
    let simulation = Simulation(
      seed: seed, nodes: nodes, without: disabled, quietAfter: quietAfter, workload: workload, story: story)
    return (simulation.run(), workload)
  }

  /// Leaves out what is not needed for the same invariant to break.
  func explain(_ first: InvariantFailure, without disabled: Set<FaultKind>) -> SimulationFailure {
    var failure = first
    var disabled = disabled
    var quietAfter = first.time
    var left = Self.attempts
    func stillFails(_ disabled: Set<FaultKind>, _ quietAfter: UInt64) -> InvariantFailure? {
      left -= 1
      let found = run(without: disabled, quietAfter: quietAfter).report.failure
      return found?.invariant == first.invariant ? found : nil
    }
    // All faults at once, then by halves, then one by one.
    var kinds = FaultKind.allCases.filter { !disabled.contains($0) }
    var size = kinds.count
    while size > 0, left > 0 {
      var place = 0
      while place < kinds.count, left > 0 {
        let some = kinds[place..<min(kinds.count, place + size)]
        if let found = stillFails(disabled.union(some), quietAfter) {
          failure = found
          disabled.formUnion(some)
          kinds.removeSubrange(place..<min(kinds.count, place + size))
        } else {
          place += size
        }
      }
      size /= 2
    }
    left = max(left, 8)
    var step = quietAfter / 2
    while left > 0, step > 1_000_000 {
      if quietAfter > step, let found = stillFails(disabled, quietAfter - step) {
        failure = found
        quietAfter -= step
      }
      step /= 2
    }
    var story: [String] = []
    let (report, workload) = run(without: disabled, quietAfter: quietAfter) { time, text in
      story.append("\(time / 1_000_000) ms  \(text)")
      if story.count > Self.storyLines { story.removeFirst() }
    }
    let injected = report.faults.all.filter { kind, count in
      count > 0 && !kind.isOrderly && !Self.ofClients.contains(kind)
    }.map(\.kind)
    return SimulationFailure(
      seed: seed, failure: report.failure ?? failure, faults: injected, quietAfter: quietAfter, story: story,
      command: workload.lastCommand)
  }

  /// What clients do anyway, and what follows when the nodes that healing leaves out are stopped.
  private static var ofClients: [FaultKind] {
    [.clientRetried, .clientTimedOut, .clientDisappeared, .halfOpenConnection]
  }
}
