/// What many seeds came to.
public struct SimulationTotal: Sendable {
  /// How many seeds were added.
  public var seeds = 0
  /// The seeds that broke an invariant, in the order in which they were added.
  public var failures: [(seed: UInt64, failure: InvariantFailure)] = []
  /// How often each kind of fault was injected, in all seeds together.
  public var faults = FaultCounts()
  /// In how many seeds each kind was drawn.
  public var promised = FaultCounts()
  /// Calls of clients in all seeds; of a batch each command counts.
  public var operations = 0
  /// Batches of commands that clients sent, in all seeds.
  public var batches = 0
  /// Commands whose answers say that they were carried out, in all seeds.
  public var acknowledged = 0
  /// Queries that were answered with a reply, in all seeds.
  public var reads = 0
  /// Of these, on a lease, without a word to another node.
  public var leaseReads = 0
  /// What those were told who follow the changes, in all seeds.
  public var changesTold = 0
  /// How often a node was seen to begin to lead in a term, in all seeds.
  public var elections = 0
  /// Events that happened, in all seeds.
  public var events = 0
  /// How often an invariant was held against the world, in all seeds.
  public var checks = 0
  /// Virtual seconds of all runs together.
  public var simulatedSeconds = 0.0
  /// Real seconds that the runs took; 0 unless whoever runs them sets it.
  public var wallSeconds = 0.0
  /// Made of the traces of the seeds, in the order in which they were added: equal for equal runs.
  public var trace: UInt64 = 0

  /// The total of no seeds.
  public init() {}

  /// Adds what one seed came to.
  public mutating func add(_ report: SimulationReport) {
    seeds += 1
    if let failure = report.failure { failures.append((report.seed, failure)) }
    faults.add(report.faults)
    for kind in report.promised { promised.count(kind) }
    operations += report.operations
    batches += report.batches
    acknowledged += report.acknowledged
    reads += report.readsAnswered
    leaseReads += report.leaseReads
    changesTold += report.changesTold
    elections += report.elections
    events += report.events
    checks += report.checks
    simulatedSeconds += Double(report.simulatedNanoseconds) / 1e9
    trace = (trace ^ report.trace) &* 0x100_0000_01b3
  }

  /// Kinds of fault that many seeds drew and none had: whoever counts on them to be survived, counts on nothing.
  public var neverInjected: [FaultKind] {
    FaultKind.allCases.filter { promised[$0] >= Self.drawnOften && faults[$0] == 0 }
  }

  /// In so many seeds even a rare fault has happened.
  private static let drawnOften = 100
}
