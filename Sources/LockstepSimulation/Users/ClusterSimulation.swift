public import LockstepExecution

/// A call of one of your methods, as a client makes it.
public struct SimulatedCall: Sendable {
  /// "package.Service/Method".
  public var method: String
  /// The serialized request.
  public var request: [UInt8]

  /// A call of `method`, "package.Service/Method", with a serialized request.
  public init(_ method: String, _ request: [UInt8]) {
    self.method = method
    self.request = request
  }
}

/// Your own machine, replicated by simulated clusters: the real core, log and driver, on disks and links that fail.
///
/// Each seed draws a cluster, a load and its faults. Every replica, and one machine more, carries out each command by
/// itself, so a machine that looks at a clock, at chance or at the order of a Dictionary shows as a difference between
/// them. What is checked is listed in `Invariant`; your own invariant is asked after every command.
///
/// ```swift
/// try ClusterSimulation(ServiceMachine(services: [Bank.self]), seeds: 1...100).run { random in
///   let request = Bank_V1_DepositRequest.with { ($0.account, $0.amount) = ("ann", Int64(random.below(100))) }
///   return SimulatedCall(Bank.deposit.fullName, try request.serializedBytes())
/// } invariant: { machine in
///   machine.state(of: Bank.self).map { $0.total >= 0 } ?? false ? nil : "money is missing"
/// }
/// ```
public struct ClusterSimulation<Machine: StateMachine> {
  private let machine: Machine
  private let seeds: ClosedRange<UInt64>
  private let nodes: Int?
  private let disabled: Set<FaultKind>

  /// A simulation of this machine. Nothing runs before `run`.
  ///
  /// - Parameters:
  ///   - machine: before the first command.
  ///   - seeds: each is a run of its own, in ascending order; the same seed gives the same run.
  ///   - nodes: 1 to 7; nil: each seed draws it.
  ///   - disabled: faults that are left out.
  public init(
    _ machine: Machine, seeds: ClosedRange<UInt64> = 1...100, nodes: Int? = nil, without disabled: [FaultKind] = []
  ) {
    self.machine = machine
    self.seeds = seeds
    self.nodes = nodes.map { min(7, max(1, $0)) }
    self.disabled = Set(disabled)
  }

  /// Runs all seeds, and throws a `SimulationFailure` for the first that breaks an invariant.
  ///
  /// - Parameters:
  ///   - next: the next call of some client, command or query, drawn from `random` alone.
  ///   - invariant: what is wrong with a state, or nil; asked after every command of the log.
  @discardableResult
  public func run(
    _ next: @escaping (_ random: inout SimulationRandom) throws -> SimulatedCall,
    invariant: @escaping (_ machine: Machine) -> String? = { _ in nil }
  ) throws -> SimulationTotal {
    var total = SimulationTotal()
    for seed in seeds {
      let trial = Trial(seed: seed, machine: machine, nodes: nodes, next: next, invariant: invariant)
      let (report, workload) = trial.run(without: disabled, quietAfter: nil)
      if let error = workload.generatorError { throw error }
      total.add(report)
      if let failure = report.failure {
        throw trial.explain(failure, without: disabled)
      }
    }
    return total
  }
}

/// A seed that broke an invariant, and the least that it takes to see it again.
public struct SimulationFailure: Error, Sendable, CustomStringConvertible {
  /// The seed whose run broke an invariant.
  public let seed: UInt64
  /// What broke in the run with the shortest schedule that was found.
  public let failure: InvariantFailure
  /// Faults that have to occur, of those that the seed draws.
  public let faults: [FaultKind]
  /// No fault is injected after this moment, in virtual nanoseconds.
  public let quietAfter: UInt64
  /// The last lines of the story of that run.
  public let story: [String]
  /// What was committed last, or was found different.
  public let command: String?

  public var description: String {
    let needed = faults.isEmpty ? "none, the load alone" : faults.map(\.rawValue).joined(separator: ", ")
    var lines = [
      "seed \(seed) breaks \(failure.invariant.rawValue): \(failure.message)",
      "the shortest schedule found: faults until \(quietAfter / 1_000_000) ms, of these kinds: \(needed)",
    ]
    if let command { lines.append("the command: \(command)") }
    lines.append("again: ClusterSimulation(machine, seeds: \(seed)...\(seed)); how it ended:")
    return (lines + story.map { "  \($0)" }).joined(separator: "\n")
  }
}
