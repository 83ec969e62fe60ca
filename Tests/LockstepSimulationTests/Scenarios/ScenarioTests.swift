import LockstepConsensus
import LockstepWire
import LockstepRequests
import Testing

@testable import LockstepSimulation

/// Bugs that others have shipped, as short stories about whole nodes. Scenarios 1 to 18 are told to the core alone in
/// LockstepConsensusTests; here they meet disks, links and clients.
@Suite("Scenarios")
struct ScenarioTests {
  @Test("scenario 2: a new leader answers no read with what was before it")
  func newLeaderReads() throws {
    let story = try Story(nodes: 3)
    let old = try story.leader()
    story.put(1, at: old)
    story.world.crash(old)
    let new = try story.leader(besides: old)
    #expect(story.get(at: new) == 1)
    story.nothingIsBroken()
  }

  @Test("a leader that is told to stop hands over, and all its clients are answered")
  func stopsInOrder() throws {
    let story = try Story(nodes: 3, clients: 4)
    for _ in 0..<5 {
      let old = try story.leader()
      let before = story.world.acknowledged
      story.world.stop(old)
      // Far within the election time-out of 200 ms, another leads.
      let isLed = story.world.run(within: 60_000_000) { [story] in story.world.leader.map { $0 != old } ?? false }
      #expect(isLed, "\(story.world.picture)")
      _ = story.world.run(within: 2 * Story.second) { [story] in !story.world.isUp(old) }
      _ = story.world.run(within: 2 * Story.second) { [story] in story.world.isUp(old) }
      #expect(story.world.acknowledged > before)
      story.pass(1)
    }
    try story.allAreEqual()
  }

  @Test("scenario 3: a leader that stood still answers no read with what was before")
  func pausedLeader() throws {
    let story = try Story(nodes: 3)
    let old = try story.leader()
    story.put(1, at: old)
    story.world.pause(old)
    let new = try story.leader(besides: old)
    #expect(story.isAnswered(story.put(2, at: new)))
    story.world.goOn(old)
    #expect([2, nil].contains(story.get(at: old, timeout: 500)))
    story.pass(1)
    #expect(story.get(at: old) == 2)
    try story.allAreEqual()
  }

  @Test("scenario 3: a leader that is cut off answers no linearizable read at all")
  func lonelyLeader() throws {
    let story = try Story(nodes: 3)
    let old = try story.leader()
    story.put(1, at: old)
    story.world.isolate(old)
    #expect(story.get(at: old) == nil)
    #expect(story.get(at: old, .any) == 1)
    story.world.healNetwork()
    try story.allAreEqual()
  }

  @Test("scenario 5: a node alone starts again with a tail that it had not called committed, and serves it")
  func aloneWithTail() throws {
    let story = try Story(nodes: 1)
    story.put(7, at: 1)
    story.world.cutPower([1], .losesAll)
    _ = try story.leader()
    #expect(story.get(at: 1) == 7)
    story.nothingIsBroken()
  }

  @Test("scenario 8: a node that comes back from a long absence disturbs nobody")
  func rejoining() throws {
    let story = try Story(nodes: 3)
    let leader = try story.leader()
    let absent = try #require(story.followers.first)
    let term = story.world.term(of: leader)
    story.world.isolate(absent)
    story.pass(20)
    story.world.healNetwork()
    story.pass(5)
    #expect(story.world.leader == leader && story.world.term(of: leader) == term)
    #expect(story.world.term(of: absent) == term)
    try story.allAreEqual()
  }

  @Test("scenario 10: three of four nodes, one of them from an older term, elect a leader")
  func olderTerm() throws {
    let story = try Story(nodes: 4)
    let first = try story.leader()
    let stale = story.followers[0]
    story.world.isolate(stale)
    story.world.transferLeadership(to: story.followers[1])
    let second = try story.leader(besides: first)
    #expect(story.isAnswered(story.put(3, at: second)))
    #expect(story.world.term(of: stale) < story.world.term(of: second))
    story.world.healNetwork()
    story.world.crash(second)
    let third = try story.leader(besides: second)
    #expect(story.get(at: third) == 3)
    story.nothingIsBroken()
  }

  @Test("scenario 16: a leader that was cut off loses its own tail, and nothing of it is ever called certain")
  func exLeader() throws {
    let story = try Story(nodes: 3)
    let old = try story.leader()
    story.put(1, at: old)
    story.world.isolate(old)
    #expect(story.put(100, at: old, timeout: 600) != .refused)
    let new = try story.leader(besides: old)
    #expect(story.isAnswered(story.put(2, at: new)))
    story.world.healNetwork()
    try story.allAreEqual()
    #expect(story.get(at: old) == 2)
  }

  @Test("scenario 21: a wiped disk under the old number has no vote, and nothing that was acknowledged is lost by it")
  func wiped() throws {
    let story = try Story(nodes: 3)
    let leader = try story.leader()
    let (wiped, other) = (story.followers[0], story.followers[1])
    story.put(1, at: leader)
    story.world.crash(wiped)
    story.world.nodes[wiped - 1].isUnreliable = true
    story.world.books.unreliable[wiped - 1] = true
    story.world.disk(of: wiped).wipe()
    story.world.restart(wiped)
    story.pass(2)
    story.world.crash(leader)
    // The one that is left and the wiped one would be two of three.
    #expect(!story.isAnswered(story.put(2, at: other, timeout: 3000)))
    #expect(story.world.leader == nil)
    story.world.restart(leader)
    _ = try story.leader()
    story.pass(1)
    #expect([1, 2].contains(story.get(at: other)))
    story.nothingIsBroken()
  }

  @Test("scenario 21: two of three disks are emptied without a word: they begin no second history")
  func twoWiped() throws {
    let story = try Story(nodes: 3)
    let leader = try story.leader()
    let emptied = story.followers
    story.put(1, at: leader)
    try story.allAreEqual()
    for wiped in emptied {
      story.world.crash(wiped)
      story.world.nodes[wiped - 1].isUnreliable = true
      story.world.books.unreliable[wiped - 1] = true
      story.world.disk(of: wiped).wipe()
    }
    for wiped in emptied { story.world.restart(wiped) }
    story.pass(10)
    #expect(!story.isAnswered(story.put(2, at: emptied[0], timeout: 3000)))
    #expect(story.get(at: emptied[1]) == nil)
    #expect(story.world.leader == nil)
    // What was acknowledged is where it was.
    #expect(story.get(at: leader, .any) == 1)
    story.nothingIsBroken()
  }

  @Test("scenario 22: a batch is torn at any place, on each node in turn; what was answered is there, on all of them")
  func tornBatches() throws {
    let story = try Story(nodes: 3, clients: 3)
    for round in 0..<30 {
      let id = round % 3 + 1
      let disk = story.world.disk(of: id)
      disk.dies = { operation, _ in operation == .write ? .within : nil }
      let isTorn = story.world.run(within: 30 * Story.second) { !story.world.isUp(id) }
      #expect(isTorn)
      disk.dies = nil
      disk.powerCut(.keepsAny)
      let isBack = story.world.run(within: 30 * Story.second) { story.world.isUp(id) }
      #expect(isBack, "\(story.world.refusal(of: id) ?? "")")
    }
    _ = try story.leader()
    try story.allAreEqual()
    #expect(story.world.acknowledged > 50)
  }

  @Test("scenario 23: a flipped bit in the middle of a log is refused by its file and place, and nobody else notices")
  func flippedBit() throws {
    let story = try Story(nodes: 3, clients: 2)
    story.pass(2)
    let damaged = try #require(story.followers.first)
    let node = story.world.nodes[damaged - 1]
    node.mayStart = false
    story.world.crash(damaged)
    let disk = story.world.disk(of: damaged)
    let path = try #require(disk.paths.first { $0.contains("/log-") })
    disk.flipBit(3, at: 3000, in: path)
    node.isUnreliable = true
    node.mayStart = true
    story.world.restart(damaged)
    let before = story.world.acknowledged
    story.pass(5)
    let refusal = try #require(story.world.refusal(of: damaged))
    #expect(refusal.contains(path) && refusal.contains("byte"), "\(refusal)")
    #expect(story.world.acknowledged > before + 50)
    story.nothingIsBroken()
  }

  @Test("scenario 24: a failed sync ends the node before it acknowledges, and it starts again with all it promised")
  func failedSync() throws {
    let story = try Story(nodes: 3, preferred: 1)
    story.pass(3)
    #expect(story.world.leader == 1)
    story.put(1, at: 1)
    story.world.disk(of: 1).faults.syncFailed = 1
    story.put(2, at: 1, timeout: 500)
    #expect(!story.world.isUp(1))
    story.world.disk(of: 1).faults.syncFailed = 0
    story.pass(5)
    #expect(story.world.isUp(1) && [1, 2].contains(story.get(at: 2)))
    try story.allAreEqual()
  }

  @Test("scenario 24: a follower's full disk takes no more entries and ends nothing, and with space it has them all")
  func fullDisk() throws {
    let story = try Story(nodes: 3, clients: 2)
    let full = try #require(story.followers.first)
    try goesOn(story, whenFull: full) { story.world.faults[.entriesNotTaken] > 0 }
  }

  @Test("scenario 24: a leader whose disk is full hands the lead over, and nobody ends")
  func fullDiskOfTheLeader() throws {
    let story = try Story(nodes: 3, clients: 2)
    let full = try story.leader()
    try goesOn(story, whenFull: full) { story.world.leader.map { $0 != full } ?? false }
    #expect(story.world.faults[.roomIsShort] > 0)
  }

  /// `isSeen`: what has to follow from it.
  private func goesOn(_ story: Story, whenFull full: Int, isSeen: () -> Bool) throws {
    story.world.disk(of: full).faults.space = story.world.disk(of: full).bytesInUse
    let wasSeen = story.world.run(within: 120 * Story.second, until: isSeen)
    #expect(wasSeen)
    let before = story.world.acknowledged
    story.pass(3)
    #expect(story.world.acknowledged > before && story.world.isUp(full))
    story.world.disk(of: full).faults.space = .max
    try story.allAreEqual()
  }

  @Test("scenario 24: three full disks take no commands, answer reads, and go on when there is space")
  func threeFullDisks() throws {
    let story = try Story(nodes: 3, clients: 2)
    _ = try story.leader()
    for id in 1...3 { story.world.disk(of: id).faults.space = story.world.disk(of: id).bytesInUse }
    var areFull = false
    for _ in 0..<120 where !areFull {
      let before = story.world.acknowledged
      story.pass(1)
      areFull = story.world.acknowledged == before
    }
    #expect(areFull && story.world.faults[.roomIsShort] > 0 && (1...3).allSatisfy { story.world.isUp($0) })
    for id in 1...3 { #expect(story.get(at: id) != nil) }
    for id in 1...3 { story.world.disk(of: id).faults.space = .max }
    let before = story.world.acknowledged
    let goOn = story.world.run(within: 2 * Story.second) { story.world.acknowledged > before }
    #expect(goOn)
    try story.allAreEqual()
  }

  @Test("scenario 28: killed again and again while it applies, each node is at one place and equal to the others")
  func killedInALoop() throws {
    let story = try Story(nodes: 3, clients: 3)
    for round in 0..<30 {
      let id = round % 3 + 1
      story.pass(0.3)
      story.world.crash(id)
      story.pass(0.05)
      story.world.restart(id)
    }
    _ = try story.leader()
    try story.allAreEqual()
    #expect(story.world.acknowledged > 50)
  }

  @Test("scenario 29: a leader whose disk stalls for ten seconds goes on with its followers' disks")
  func stalledLeader() throws {
    let story = try Story(nodes: 3, clients: 2)
    let leader = try story.leader()
    story.world.nodes[leader - 1].diskStalledUntil = story.world.now + 10 * Story.second
    let before = story.world.acknowledged
    story.pass(9)
    #expect(story.world.acknowledged > before + 50, "\(story.world.acknowledged - before)")
    story.pass(5)
    try story.allAreEqual()
  }

  @Test("scenario 29: a follower a hundred times as slow as the others holds nobody up, and comes to the end")
  func slowFollower() throws {
    let story = try Story(nodes: 3, clients: 4)
    let slow = try #require(story.followers.first)
    story.world.nodes[slow - 1].diskSlowness = 100
    let before = story.world.acknowledged
    story.pass(5)
    #expect(story.world.acknowledged > before + 300, "\(story.world.acknowledged - before)")
    story.world.nodes[slow - 1].diskSlowness = 1
    try story.allAreEqual()
  }

  @Test("scenario 29: every client gets an answer while no majority is there")
  func noMajority() throws {
    let story = try Story(nodes: 3)
    let leader = try story.leader()
    for id in story.followers { story.world.pause(id) }
    #expect(story.put(1, at: leader, timeout: 1500) == .unknown)
    #expect(story.put(2, at: leader, timeout: 1500) != nil)
    for id in 1...3 { story.world.goOn(id) }
    try story.allAreEqual()
  }
}
