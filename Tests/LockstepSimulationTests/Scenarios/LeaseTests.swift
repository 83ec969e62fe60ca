import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepSimulation

/// Scenario 4: whatever happens to a leader, a read on its lease is never one of what was before.
@Suite("leases: no read on one is stale")
struct LeaseTests {
  private static let tries = extent(quick: 40, full: 500)

  private func story(_ seed: UInt64) throws -> Story {
    try Story(nodes: 3, seed: seed) { $0.serveLeases(drift: 1) }
  }

  /// What all know is `value`; another leader, if there is one, puts another value; then the old leader is asked.
  private func rounds(_ seed: UInt64, _ disturb: (Story, _ leader: Int, SimulationRandom) throws -> Void) throws {
    let story = try story(seed)
    var random = SimulationRandom(seed: seed)
    var (value, onLease) = (UInt64(0), 0)
    for _ in 0..<Self.tries {
      let old = try story.leader()
      value += 1
      guard story.isAnswered(story.put(value, at: old)) else { continue }
      let before = story.world.leaseReads
      #expect([value, nil].contains(story.get(at: old, .lease)))
      onLease += story.world.leaseReads - before > 0 ? 1 : 0
      try disturb(story, old, SimulationRandom(seed: random.next()))
      if let new = story.world.leader, new != old, story.isAnswered(story.put(value + 1, at: new, timeout: 300)) {
        value += 1
      }
      story.world.goOn(old)
      #expect([value, nil].contains(story.get(at: old, .lease, timeout: 300)), "seed \(seed), value \(value)")
      story.world.healNetwork()
      guard story.world.failure == nil else { break }
    }
    story.nothingIsBroken()
    #expect(onLease > Self.tries / 2, "of \(Self.tries) reads \(onLease) were on a lease")
  }

  @Test("scenario 4: a leader that stands still, for less and for more than an election takes")
  func pause() throws {
    try rounds(41) { story, leader, random in
      var random = random
      story.world.pause(leader)
      story.pass(Double(random.within(10...900)) / 1000)
    }
  }

  @Test("scenario 4: a monotonic clock that jumps ahead or is set back, of a leader that is cut off or stands still")
  func jump() throws {
    try rounds(42) { story, leader, random in
      var random = random
      let node = story.world.nodes[leader - 1]
      if random.oneIn(2) { story.world.isolate(leader) } else { story.world.pause(leader) }
      story.pass(Double(random.within(10...250)) / 1000)
      let nanoseconds = UInt64(random.within(1...2_000)) * 1_000_000
      if random.oneIn(3) {
        node.clock.jump(nanoseconds, now: story.world.now)
      } else {
        node.clock.setBack(nanoseconds, now: story.world.now)
        story.world.faults.count(.clockJumpBack)
      }
      story.pass(Double(random.within(10...600)) / 1000)
    }
  }

  @Test("scenario 4: the lead is handed over and taken back, while the word of it is late")
  func transfer() throws {
    try rounds(43) { story, leader, random in
      var random = random
      let other = story.followers[random.below(2)]
      story.world.transferLeadership(to: other)
      story.pass(Double(random.within(0...30)) / 1000)
    }
  }

  @Test("scenario 4: a follower that has just started again votes for nobody whom its leader does not know of")
  func followerStartsAgain() throws {
    try rounds(44) { story, leader, random in
      var random = random
      story.world.isolate(leader)
      for follower in story.followers { story.world.crash(follower) }
      for follower in story.followers { story.world.restart(follower) }
      story.pass(Double(random.within(10...500)) / 1000)
    }
  }
}
