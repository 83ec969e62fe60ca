import ArgumentParser
import LockstepConsensus
import LockstepReflection
import LockstepSimulation

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run whole clusters on one thread, each from a seed that draws its faults, and check every invariant.",
    discussion: """
      Core, codecs, log, executor and driver are those of a real node; disks, links and clocks are simulated. A seed that \
      fails prints the command that replays it. Exit code 1 when one failed.
      """)

  @Option(help: "How many seeds.")
  var seeds: Int?

  @Option(help: "The first seed, or the only one without --seeds and --minutes.")
  var seed: UInt64?

  @Option(help: "Go on with new seeds for so many minutes.")
  var minutes: Double?

  @Option(help: "The number of nodes in every seed, from 1 to 7; else each seed draws it.")
  var nodes: Int?

  @Option(help: "A kind of fault that is left out; may be repeated.")
  var without: [String] = []

  @Flag(help: "Tell the story of each seed in words.")
  var trace = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @Flag(help: "Do not run one seed in a hundred again in another process, to see that it runs the same there.")
  var once = false

  func validate() throws {
    if let seeds, seeds < 1 { throw ValidationError("--seeds is \(seeds), must be at least 1") }
    if let minutes, !(minutes > 0 && minutes <= 100_000) {
      throw ValidationError("--minutes is \(minutes), must be more than 0 and at most 100000")
    }
    if let nodes, !(1...7).contains(nodes) { throw ValidationError("--nodes is \(nodes), must be from 1 to 7") }
    for name in without where FaultKind(rawValue: name) == nil {
      let known = FaultKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--without \(name): there is no such fault; there are \(known)")
    }
  }

  func run() throws {
    let disabled = Set(without.compactMap { FaultKind(rawValue: $0) })
    var total = SimulationTotal()
    let clock = ContinuousClock()
    let began = clock.now
    let first = seed ?? 1
    let count = seeds ?? (minutes == nil && seed != nil ? 1 : minutes == nil ? 100 : Int.max)
    var next = first
    var lastLine = began
    var problems: [String] = []
    for _ in 0..<count {
      if let minutes, began.duration(to: clock.now) > .seconds(minutes * 60) { break }
      let story: ((UInt64, String) -> Void)? = trace ? { tell($0, $1) } : nil
      let report = Simulation(seed: next, nodes: nodes, without: disabled, story: story).run()
      total.add(report)
      if let failure = report.failure { Output.error(describe(failure, next)) }
      if next.isMultiple(of: Self.replayedOne), report.failure == nil, !once,
        let problem = SeedReplay.problem(report, arguments: sameWorld)
      {
        Output.error(problem)
        problems.append(problem)
      }
      if !json, lastLine.duration(to: clock.now) > .seconds(2) {
        lastLine = clock.now
        Output.error("\(total.seeds) seeds, \(total.failures.count) failures, \(total.operations) operations")
      }
      next &+= 1
    }
    total.wallSeconds = Self.seconds(began.duration(to: clock.now))
    if let problem = missingFaults(total) {
      Output.error(problem)
      problems.append(problem)
    }
    report(total, problems)
    if !total.failures.isEmpty || !problems.isEmpty { throw CommandFailure(message: "", exitCode: 1) }
  }

  /// Only where every fault can happen: not in a cluster of one size, and not with faults left out.
  private func missingFaults(_ total: SimulationTotal) -> String? {
    let missing = total.neverInjected.map(\.rawValue)
    guard nodes == nil, without.isEmpty, !missing.isEmpty else { return nil }
    return "drawn by a hundred seeds and more, and never injected: \(missing.joined(separator: ", "))"
  }

  /// One seed in so many is run again by another process, whose sets and dictionaries have another order.
  private static let replayedOne: UInt64 = 100

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
  }

  private func tell(_ time: UInt64, _ text: String) {
    let microseconds = time / 1000
    let fraction = String(microseconds % 1_000_000)
    let padded = String(repeating: "0", count: 6 - fraction.count) + fraction
    Output.error("\(microseconds / 1_000_000).\(padded) s  \(text)")
  }

  /// What makes a seed the same seed.
  private var sameWorld: [String] {
    (nodes.map { ["--nodes", String($0)] } ?? []) + without.flatMap { ["--without", $0] }
  }

  private func describe(_ failure: InvariantFailure, _ seed: UInt64) -> String {
    let rest = sameWorld.map { " \($0)" }.joined()
    return """
      seed \(seed): \(failure.description) (after \(failure.time / 1_000_000) ms)
        replay it: lockstep simulate --seed \(seed)\(rest) --trace
      """
  }

  private func report(_ total: SimulationTotal, _ problems: [String]) {
    let faults = total.faults.all
    if json {
      let failures = total.failures.map { failure in
        JSONValue.object([
          "seed": .init(Int(clamping: failure.seed)), "invariant": .init(failure.failure.invariant.rawValue),
          "message": .init(failure.failure.message),
        ])
      }
      Output.line(
        .object([
          "seeds": .init(total.seeds), "failures": .array(failures),
          "problems": .array(problems.map { .init($0) }),
          "simulatedSeconds": .init(total.simulatedSeconds), "wallSeconds": .init(total.wallSeconds),
          "faults": .object(faults.map { JSONValue.Member(key: $0.kind.rawValue, value: .init($0.count)) }),
          "operations": .init(total.operations), "batches": .init(total.batches),
          "acknowledged": .init(total.acknowledged),
          "reads": .init(total.reads), "leaseReads": .init(total.leaseReads), "changesTold": .init(total.changesTold),
          "elections": .init(total.elections), "events": .init(total.events), "checks": .init(total.checks),
          "trace": .init(String(total.trace, radix: 16)),
        ]))
      return
    }
    Output.line("\(total.seeds) seeds, \(total.failures.count) failures")
    Output.line(
      "  \(Int(total.simulatedSeconds)) simulated seconds in \(Int(total.wallSeconds.rounded(.up))) s: \(Int(total.simulatedSeconds / max(total.wallSeconds, 0.001))) times as fast as time"
    )
    Output.line(
      "  \(total.operations) operations, some of them in \(total.batches) batches, \(total.acknowledged) acknowledged, \(total.reads) reads answered, \(total.leaseReads) of them on a lease, \(total.changesTold) changes told, \(total.elections) elections"
    )
    Output.line("  \(total.events) events, \(total.checks) checks of invariants")
    for (kind, count) in faults { Output.line("  \(kind.rawValue): \(count)") }
  }
}
