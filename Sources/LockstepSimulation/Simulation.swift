import LockstepConsensus

/// What one seed came to.
public struct SimulationReport: Sendable {
  /// The seed that the run was drawn from.
  public let seed: UInt64
  /// The first invariant that broke; nil: none did.
  public var failure: InvariantFailure?
  /// How often each kind of fault was injected.
  public var faults = FaultCounts()
  /// The kinds that the seed drew.
  public var promised: [FaultKind] = []
  /// Calls of clients.
  public var operations = 0
  /// Of several commands each.
  public var batches = 0
  /// Commands whose answers say that they were carried out, with a reply or with a recorded failure.
  public var acknowledged = 0
  /// Queries that were answered with a reply.
  public var readsAnswered = 0
  /// Of these, on a lease, without a word to another node.
  public var leaseReads = 0
  /// What those were told who follow the changes, together.
  public var changesTold = 0
  /// How often a node was seen to begin to lead in a term.
  public var elections = 0
  /// Events that happened, such as ticks, bytes that arrive, and work of a disk.
  public var events = 0
  /// How often an invariant was held against the world.
  public var checks = 0
  /// Virtual nanoseconds from the beginning of the run to its end.
  public var simulatedNanoseconds: UInt64 = 0
  /// Equal for equal runs.
  public var trace: UInt64 = 0
  /// How many nodes the cluster has.
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
    report.leaseReads = world.leaseReads
    report.changesTold = world.changesTold
    report.elections = world.elections
    report.events = world.events
    report.checks = world.checks
    report.simulatedNanoseconds = world.now
    report.trace = world.trace
    report.nodes = world.nodes.count
    return report
  }
}
