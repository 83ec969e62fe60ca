import LockstepConsensus
import Testing

@testable import LockstepSimulation

@Suite("Seeds")
struct SwarmTests {
  @Test("seeds: clusters of all sizes come through all faults", arguments: 1...extent(quick: 6, full: 30 as UInt64))
  func clean(seed: UInt64) {
    let report = Simulation(seed: seed).run()
    #expect(report.failure == nil, "\(report.failure?.description ?? "")")
    #expect(report.checks > 1000 && report.operations > 10)
  }

  @Test("seeds: many calls come in batches, to leaders and to followers")
  func batches() {
    let reports = (40...45 as ClosedRange<UInt64>).map { Simulation(seed: $0).run() }
    #expect(reports.allSatisfy { $0.failure == nil })
    #expect(reports.contains { $0.batches == 0 } && reports.count { $0.batches > 10 } > 1)
  }

  @Test("seeds: the same seed is the same run, another one is not")
  func same() {
    let reports = [11, 11, 12].map { Simulation(seed: $0).run() }
    #expect(reports[0].trace == reports[1].trace && reports[0].operations == reports[1].operations)
    #expect(reports[0].faults == reports[1].faults && reports[0].trace != reports[2].trace)
  }

  @Test("seeds: telling the story changes nothing")
  func story() {
    var lines = 0
    let told = Simulation(seed: 13, story: { _, _ in lines += 1 }).run()
    #expect(told.trace == Simulation(seed: 13).run().trace && lines > 5)
  }

  @Test("seeds: a fault that is left out does not occur")
  func without() {
    var total = FaultCounts()
    for seed in 1...5 as ClosedRange<UInt64> {
      total.add(Simulation(seed: seed, without: [.messageLost, .crash, .syncFailed, .pauseOfLeader]).run().faults)
    }
    for kind in [FaultKind.messageLost, .crash, .syncFailed, .pauseOfLeader] { #expect(total[kind] == 0) }
    #expect(total[.messageDuplicated] > 0)
  }

  @Test("seeds: after the quiet moment nothing goes wrong any more")
  func quiet() {
    let faults = Simulation(seed: 3, quietAfter: 0).run().faults
    let injected = faults.all.filter { $0.count > 0 && !$0.kind.rawValue.hasPrefix("client") }
    #expect(injected.isEmpty, "\(injected)")
  }

  @Test("seeds: a fault that a hundred seeds draw and none has is told")
  func neverInjected() {
    var (total, report) = (SimulationTotal(), Simulation(seed: 1).run())
    report.promised = [.bitRot, .crash]
    report.faults = FaultCounts()
    report.faults.count(.crash)
    for _ in 0..<99 { total.add(report) }
    #expect(total.neverInjected.isEmpty)
    total.add(report)
    #expect(total.neverInjected == [.bitRot])
  }

  @Test("seeds: a cluster's draws are promised, and most of them happen")
  func promises() {
    var total = SimulationTotal()
    for seed in 1...extent(quick: 12, full: 40 as UInt64) { total.add(Simulation(seed: seed).run()) }
    let drawn = FaultKind.allCases.filter { total.promised[$0] > 0 }
    let least = extent(quick: drawn.count * 3 / 4, full: drawn.count - 8)
    let missing = drawn.filter { total.faults[$0] == 0 }
    #expect(drawn.count > 40 && drawn.count - missing.count > least, "of \(drawn.count): \(missing)")
  }
}
