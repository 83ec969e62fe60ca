/// What many seeds came to.
public struct SimulationTotal: Sendable {
  public var seeds = 0
  public var failures: [(seed: UInt64, failure: InvariantFailure)] = []
  public var faults = FaultCounts()
  /// In how many seeds each kind was drawn.
  public var promised = FaultCounts()
  public var operations = 0
  public var batches = 0
  public var acknowledged = 0
  public var reads = 0
  public var elections = 0
  public var events = 0
  public var checks = 0
  public var simulatedSeconds = 0.0
  public var wallSeconds = 0.0
  public var trace: UInt64 = 0

  public init() {}

  public mutating func add(_ report: SimulationReport) {
    seeds += 1
    if let failure = report.failure { failures.append((report.seed, failure)) }
    faults.add(report.faults)
    for kind in report.promised { promised.count(kind) }
    operations += report.operations
    batches += report.batches
    acknowledged += report.acknowledged
    reads += report.readsAnswered
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
