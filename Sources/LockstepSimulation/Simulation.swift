import LockstepConsensus

/// What one seed came to.
public struct SimulationReport: Sendable {
  public let seed: UInt64
  public var failure: InvariantFailure?
  public var faults = FaultCounts()
  /// The kinds that the seed drew.
  public var promised: [FaultKind] = []
  /// Calls of clients.
  public var operations = 0
  /// Of several commands each.
  public var batches = 0
  public var acknowledged = 0
  public var readsAnswered = 0
  public var elections = 0
  public var events = 0
  /// How often an invariant was held against the world.
  public var checks = 0
  public var simulatedNanoseconds: UInt64 = 0
  /// Equal for equal runs.
  public var trace: UInt64 = 0
  public var nodes = 0
}

/// One cluster, one seed: chaos for a while, then peace, in which everything must come right again.
package struct Simulation {
  private let swarm: Swarm
  private let workload: any Workload
  private let story: ((UInt64, String) -> Void)?
  /// No fault is injected after this moment: a shorter schedule that still fails is easier to read.
  private let quietAfter: UInt64?

  package init(
    seed: UInt64, nodes: Int? = nil, without disabled: Set<FaultKind> = [], quietAfter: UInt64? = nil,
    workload: (any Workload)? = nil, story: ((UInt64, String) -> Void)? = nil
  ) {
    swarm = Swarm(seed: seed, without: disabled, nodes: nodes, isPressed: workload == nil)
    self.workload =
      workload
      ?? RegisterWorkload(
        registers: swarm.registers, padding: swarm.padding, queriesIn: swarm.queriesIn, contents: swarm.contents)
    self.story = story
    self.quietAfter = quietAfter
  }

  package func run() -> SimulationReport {
    let world = World(swarm.options, workload: workload)
    world.story = story
    let driver = FaultDriver(world, swarm)
    world.start()
    world.startClients()
    driver.begin()
    world.run(until: min(swarm.duration, quietAfter ?? .max))
    if world.failure == nil { Healing(world, swarm).run() }
    if world.failure == nil, let verdict = workload.verdict() { world.books.fail(.linearizability, verdict) }
    world.books.now = world.now
    return report(world)
  }

  private func report(_ world: World) -> SimulationReport {
    var report = SimulationReport(seed: swarm.options.seed)
    report.failure = world.failure
    report.faults = world.faults
    report.promised = swarm.promised
    for node in world.nodes { report.faults.add(node.disk.counts) }
    report.operations = world.operations
    report.batches = world.batches
    report.acknowledged = world.acknowledged
    report.readsAnswered = world.readsAnswered
    report.elections = world.elections
    report.events = world.events
    report.checks = world.checks
    report.simulatedNanoseconds = world.now
    report.trace = world.trace
    report.nodes = world.nodes.count
    return report
  }
}
