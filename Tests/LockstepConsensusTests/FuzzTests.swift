import LockstepConsensus
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Random schedules on small clusters. `LOCKSTEP_SEEDS` raises the number of seeds, `LOCKSTEP_SEED` runs one.
@Suite("random schedules") struct FuzzTests {
  private static func setting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

  private static var seeds: [UInt64] {
    if let one = setting("LOCKSTEP_SEED") { return [one] }
    return Array(1...(setting("LOCKSTEP_SEEDS") ?? 240))
  }

  @Test("any schedule of faults is safe, and live after healing", arguments: 0..<2)
  func schedules(half: UInt64) {
    var total = Fuzzer.Outcome()
    for seed in Self.seeds where seed % 2 == half {
      let outcome = Fuzzer.run(seed: seed, steps: 6000)
      #expect(outcome.failures == [], "seed \(seed)")
      total.elections += outcome.elections
      total.committed += outcome.committed
      total.reads += outcome.reads
      total.replaced += outcome.replaced
    }
    guard Self.seeds.count > 1 else { return }
    // The runs were about something.
    #expect(total.elections > Self.seeds.count)
    #expect(total.committed > 20 * Self.seeds.count)
    #expect(total.reads > 5 * Self.seeds.count)
    #expect(total.replaced > Self.seeds.count / 2)
  }
}
