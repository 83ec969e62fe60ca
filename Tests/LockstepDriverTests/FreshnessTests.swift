import LockstepConsensus
import Testing

@testable import LockstepDriver

@Suite("Freshness: how old a state is, at most")
struct FreshnessTests {
  @Test("a state is as fresh as the latest question whose answer it has applied")
  func applied() {
    let freshness = Freshness()
    #expect(freshness.age(5) == nil && freshness.satisfies(nil, 5) && !freshness.satisfies(.max, 5))
    freshness.confirmed(at: LogIndex(10), asked: 100)
    freshness.confirmed(at: LogIndex(20), asked: 200)
    freshness.applied(LogIndex(9))
    #expect(freshness.time == nil)
    freshness.applied(LogIndex(15))
    #expect(freshness.age(150) == 50 && freshness.satisfies(50, 150) && !freshness.satisfies(49, 150))
    freshness.applied(LogIndex(30))
    #expect(freshness.time == 200)
  }

  @Test("answers out of order: an earlier question never makes it older, nor a later one with less wrong")
  func disorder() {
    let freshness = Freshness()
    freshness.confirmed(at: LogIndex(20), asked: 200)
    freshness.confirmed(at: LogIndex(10), asked: 100)
    freshness.applied(LogIndex(20))
    #expect(freshness.time == 200)
    freshness.confirmed(at: LogIndex(20), asked: 150)
    freshness.applied(LogIndex(20))
    #expect(freshness.time == 200)
    // Asked later and answered with less: what was asked before is no more of use.
    freshness.confirmed(at: LogIndex(40), asked: 300)
    freshness.confirmed(at: LogIndex(30), asked: 400)
    freshness.applied(LogIndex(30))
    #expect(freshness.time == 400)
  }
}
