import LockstepConsensus
import Testing

/// How a leader feeds its followers: back-off, windows, links that come and go, entries that are no longer in memory.
@Suite("replication flow") struct FlowTests {
  @Test("more than 50 conflicting entries of several terms are passed over in a few rounds")
  func fastBackOff() {
    script(3) { cluster in
      let shared: [UInt64] = [1, 1, 1]
      let leaders = shared + Array(repeating: 3, count: 30) + Array(repeating: 5, count: 30)
      cluster.place(1, log: leaders, term: 7)
      cluster.place(2, log: leaders, term: 7)
      cluster.place(3, log: shared + [2, 4, 6].flatMap { Array(repeating: $0, count: 25) }, term: 7)
      cluster.heal()
      cluster.elect(1, with: [2])
      cluster.pass(1)
      #expect(cluster.areLogsEqual)
      let rejections = cluster[3].effects.replies(to: 1).filter {
        if case .rejected = $0.verdict { true } else { false }
      }
      #expect(rejections.count <= 5)
    }
  }

  @Test("a rejection names a place so that each conflicting term costs one round")
  func oneRoundPerTerm() {
    // The follower has 60 entries of terms 2, 4 and 6 where the leader has terms 3 and 5.
    let shared: [UInt64] = [1, 1, 1]
    var follower = Solo(
      2, term: 6,
      log: shared + Array(repeating: 2, count: 20) + Array(repeating: 4, count: 20)
        + Array(repeating: 6, count: 20))
    var leader = Solo.leader(
      term: 7, log: shared + Array(repeating: 3, count: 30) + Array(repeating: 5, count: 35))
    var toFollower = leader.tick(2).appends(to: 2)
    var rounds = 0
    while let request = toFollower.last, request.previous.index.rawValue > 3, rounds < 50 {
      rounds += 1
      let reply = follower.append(
        from: 1, term: 7, after: (request.previous.index.rawValue, request.previous.term.rawValue))
      let answer = reply + follower.store()
      toFollower = leader.receive(answer.sent(to: 1).last!, from: 2).appends(to: 2)
    }
    #expect(toFollower.last?.previous.index == LogIndex(3))
    #expect(rounds <= 5)
  }

  @Test("no more messages and bytes are under way to a follower than the window holds", arguments: 1...6)
  func windows(messages: Int) {
    var limits = TestCluster.smallLimits
    limits.windowMessages = messages
    var leader = Solo.leader(of: 2, limits: limits)
    leader.receive(.accepted(1, 0), from: 2)
    leader.receive(.accepted(1, 1), from: 2)
    for _ in 0..<40 {
      leader.step(.proposed(sizes: [60, 110]))
      let window = leader.replica.progress[0]
      #expect(window.windowCount <= messages && window.windowBytes <= limits.windowBytes)
    }
    #expect(leader.replica.progress[0].windowCount > 0)
    // What is acknowledged makes room again.
    let next = leader.receive(.accepted(1, 5), from: 2).appends(to: 2)
    #expect(!next.isEmpty)
  }

  @Test("an entry that is larger than the window is sent when nothing else is under way")
  func largeEntry() {
    var leader = Solo.leader(of: 2)
    leader.receive(.accepted(1, 1), from: 2)
    #expect(leader.step(.proposed(sizes: [5000])).appends(to: 2).first?.entries.count == 1)
    #expect(leader.step(.proposed(sizes: [1])).appends(to: 2).isEmpty)
    leader.store()
    #expect(leader.receive(.accepted(1, 2), from: 2).appends(to: 2).first?.entries.count == 1)
  }

  @Test("a follower that needs entries below the floor of memory gets them from the disk")
  func load() {
    let old = Array(repeating: UInt64(1), count: 30)
    var leader = Solo.leader(of: 2, term: 2, log: old)
    let asked = leader.receive(.rejected(2, previous: 30, hint: (10, 1)), from: 2)
    #expect(asked.appends(to: 2).last?.previous.index == LogIndex(10))
    #expect(leader.receive(.accepted(2, 10), from: 2).loads == [LogIndex(11)])
    // While it is read nothing else is sent but heartbeats.
    #expect(leader.step(.proposed(sizes: [1])).appends(to: 2).isEmpty)
    #expect(leader.tick(2).appends(to: 2).allSatisfy { $0.entries.isEmpty })
    let loaded = LogSlice(first: LogIndex(11), last: LogIndex(30))
    let sent = leader.step(.loaded(NodeID(2), loaded, bytes: 400)).appends(to: 2)
    #expect(sent.map(\.entries) == [loaded, LogSlice(first: LogIndex(31), last: LogIndex(32))])
  }

  @Test("entries that cannot be read from the disk are asked for again")
  func loadFails() {
    var leader = Solo.leader(of: 2, term: 2, log: [1, 1, 1, 1])
    leader.receive(.rejected(2, previous: 4), from: 2)
    #expect(leader.receive(.accepted(2, 0), from: 2).loads == [LogIndex(1)])
    #expect(!leader.step(.loaded(NodeID(2), nil, bytes: 0)).appends(to: 2).isEmpty)
    #expect(leader.receive(.accepted(2, 0), from: 2).loads == [LogIndex(1)])
  }

  @Test("a link that is lost while entries are read from the disk does not leave the follower behind")
  func loadAndLinkLost() {
    var leader = Solo.leader(of: 2, term: 2, log: [1, 1, 1, 1])
    leader.receive(.rejected(2, previous: 4), from: 2)
    leader.receive(.accepted(2, 0), from: 2)
    leader.step(.linkLost(NodeID(2)))
    leader.step(.loaded(NodeID(2), LogSlice(first: LogIndex(1), last: LogIndex(4)), bytes: 200))
    #expect(!leader.step(.linkRestored(NodeID(2))).appends(to: 2).isEmpty)
    #expect(leader.receive(.accepted(2, 0), from: 2).loads == [LogIndex(1)])
  }

  @Test("a follower whose link comes up after the election is asked how far it is, and not sent the whole log")
  func linkRestoredWithoutMatch() {
    let old = Array(repeating: UInt64(1), count: 1000)
    var leader = Solo.leader(of: 3, term: 2, log: old)
    leader.step(.linkLost(NodeID(3)))
    let probe = leader.step(.linkRestored(NodeID(3))).appends(to: 3)
    #expect(probe.map(\.previous.index) == [LogIndex(1000)])
  }

  @Test("a link that is lost and restored repeats what was under way, and no more")
  func linkRestoredWithMatch() {
    var leader = Solo.leader(of: 2)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.proposed(sizes: [1, 1]))
    leader.receive(.accepted(1, 2), from: 2)
    leader.step(.linkLost(NodeID(2)))
    #expect(leader.tick(4).appends(to: 2).isEmpty)
    #expect(leader.step(.linkRestored(NodeID(2))).appends(to: 2).map(\.previous.index) == [LogIndex(2)])
    let again = leader.receive(.accepted(1, 2), from: 2).appends(to: 2)
    #expect(again.map(\.entries) == [LogSlice(first: LogIndex(3), last: LogIndex(3))])
  }

  @Test("a probe that is lost is repeated with the heartbeat")
  func lostProbe() {
    var leader = Solo.leader(of: 2, term: 2, log: [1, 1])
    #expect(leader.step(.proposed(sizes: [1])).appends(to: 2).isEmpty)
    #expect(leader.tick(2).appends(to: 2).map(\.previous.index) == [LogIndex(2)])
  }

  @Test("an entry that was lost on the way is found missing by the next heartbeat")
  func lostEntry() {
    script(2) { cluster in
      cluster.elect(1)
      cluster.write(1)
      cluster.propose(cluster[1])
      cluster.turn(cluster[1])
      cluster.lose(1, 2)
      cluster.settle()
      #expect(cluster[1].commit == LogIndex(2))
      cluster.pass(cluster.limits.heartbeatTicks)
      #expect(cluster[1].commit == LogIndex(3))
    }
  }

  @Test("one turn makes one write and one message for each follower, however much was stepped in it")
  func oneWritePerTurn() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    leader.receive(.accepted(1, 1), from: 3)
    var replica = leader.replica
    var effects: [Effect] = []
    for _ in 0..<4 { replica.step(.proposed(sizes: [1, 1]), into: &effects) }
    replica.step(.turnEnded, into: &effects)
    #expect(effects.writes.count == 1)
    #expect(effects.appends(to: 2).count == 1 && effects.appends(to: 3).count == 1)
  }

  @Test("proposals are refused while too much is not committed, and taken again when it is")
  func overloaded() {
    var limits = TestCluster.smallLimits
    limits.uncommittedBytes = 1000
    var leader = Solo.leader(of: 2, limits: limits)
    leader.receive(.accepted(1, 1), from: 2)
    while !leader.step(.proposed(sizes: [100])).contains(.proposalRefused(.overloaded)) {}
    #expect(leader.last < 12)
    leader.store()
    leader.receive(.accepted(1, leader.last), from: 2)
    #expect(!leader.step(.proposed(sizes: [100])).contains(.proposalRefused(.overloaded)))
  }

  @Test("proposals are refused while too much is not on the leader's own disk, though the followers commit it")
  func overloadedDisk() {
    var limits = TestCluster.smallLimits
    limits.unstoredBytes = 1000
    var leader = Solo.leader(of: 3, limits: limits)
    var isRefused = false
    for _ in 0..<20 where !isRefused {
      isRefused = leader.step(.proposed(sizes: [100])).contains(.proposalRefused(.overloaded))
      for peer in [2, 3] as [UInt64] { leader.receive(.accepted(1, leader.last), from: peer) }
    }
    #expect(isRefused && leader.last < 12 && leader.commit == leader.last)
    leader.store()
    #expect(!leader.step(.proposed(sizes: [100])).contains(.proposalRefused(.overloaded)))
  }
}
