import LockstepConsensus
import Testing

/// What went wrong in other systems: replication, commitment and reads. Every script runs under the harness's checks.
@Suite("scenarios: log and reads") struct ScenarioLogTests {
  @Test("scenario 1: figure 8 (c): an entry of an earlier term on a majority is not committed") func figure8c() {
    var leader = Solo.leader(of: 5, term: 4, log: [1, 2])
    leader.receive(.accepted(4, 2), from: 2)
    leader.receive(.accepted(4, 2), from: 3)
    leader.receive(.accepted(4, 2), from: 4)
    leader.receive(.accepted(4, 2), from: 5)
    #expect(leader.commit == 0)
  }

  @Test("scenario 1: figure 8 (d): the leader dies, and another overwrites the entry everywhere") func figure8d() {
    script(5) { cluster in
      for number in 1...3 { cluster.place(number, log: [1, 2], term: 4) }
      cluster.place(4, log: [1], term: 4)
      cluster.place(5, log: [1, 3], term: 4)
      cluster.crash(cluster[1])
      cluster.heal()
      cluster.elect(5, with: [2, 3, 4])
      #expect(cluster.terms(2) == [1, 3, 5] && cluster.terms(4) == [1, 3, 5])
      cluster.restart(cluster[1])
      cluster.pass(cluster.limits.heartbeatTicks + 1)
      #expect(cluster.areLogsEqual)
    }
  }

  @Test("scenario 1: figure 8 (e): with an entry of its own term on a majority the other cannot win") func figure8e() {
    script(5) { cluster in
      for number in 1...3 { cluster.place(number, log: [1, 2, 4], term: 4) }
      cluster.place(4, log: [1], term: 4)
      cluster.place(5, log: [1, 3], term: 4)
      cluster.crash(cluster[1])
      cluster.heal()
      for _ in 0..<40 { cluster.step(cluster[5], .tick) }
      cluster.settle()
      #expect(!cluster[5].isLeader)
      cluster.elect(2)
      #expect(cluster.terms(5) == [1, 2, 4, cluster[2].term.rawValue])
    }
  }

  @Test(
    "figure 7: a leader brings every log of the figure to its own",
    arguments: [
      [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ] as [[UInt64]])
  func figure7(log: [UInt64]) {
    script(3) { cluster in
      let leaders: [UInt64] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
      cluster.place(1, log: leaders, term: 7)
      cluster.place(2, log: leaders, term: 7)
      cluster.place(3, log: log, term: 7)
      cluster.heal()
      cluster.elect(1, with: [2])
      #expect(cluster.terms(3) == leaders + [8])
    }
  }

  @Test("scenario 2: reads of a new leader wait for its first entry, never the old commit index")
  func readsOfNewLeader() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.hold(1, 2)
      cluster.write(1, 3)
      #expect(cluster[1].commit == LogIndex(4) && cluster[2].commit == .zero)
      cluster.release(1, 2)
      cluster.settle()
      // Node 2 has the entries and may not know yet that they are committed.
      cluster.crash(cluster[1])
      cluster.hold(3, 2)
      cluster[2].isDiskStalled = true
      cluster.release(3, 2)
      cluster[2].isDiskStalled = false
      cluster.elect(2)
      cluster.crash(cluster[3])
      cluster.propose(cluster[2])
      cluster.read(cluster[2])
      cluster.settle()
      #expect(cluster.checks.openReads == 1)
      cluster.restart(cluster[3])
      cluster.pass(cluster.limits.heartbeatTicks + 1)
      #expect(cluster.checks.readsAnswered == 1)
    }
  }

  @Test("scenario 3: replies of an old read round, late and repeated, confirm no new one") func lateReadReplies() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1)
      cluster.hold(2, 1)
      cluster.hold(3, 1)
      cluster.read(cluster[1])
      cluster.settle()
      // The answers of round 1 are on their way, twice.
      cluster.deliver(2, 1, keeping: true)
      cluster.settle()
      #expect(cluster.checks.readsAnswered == 1)
      // Meanwhile the others go on without node 1.
      cluster.cut(1, 2)
      cluster.cut(1, 3)
      cluster.elect(2, with: [3])
      cluster.write(2, 2)
      cluster.read(cluster[1])
      cluster.turn(cluster[1])
      for _ in 0..<2 { cluster.deliver(2, 1, keeping: true) }
      for _ in 0..<2 { cluster.deliver(3, 1, keeping: true) }
      cluster.turn(cluster[1])
      #expect(cluster.checks.readsAnswered == 1)
      cluster.heal()
      cluster.pass(2 * cluster.limits.electionTicks)
      #expect(cluster.checks.openReads == 0)
    }
  }

  @Test("scenario 4: a leader that slept through an election answers no read") func pausedLeader() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.partition([1], [2, 3])
      cluster.elect(2, with: [3])
      cluster.write(2, 3)
      #expect(cluster[1].isLeader)
      cluster.read(cluster[1])
      cluster.settle()
      #expect(cluster.checks.readsAnswered == 0)
      cluster.heal()
      cluster.pass(2 * cluster.limits.electionTicks)
      #expect(cluster[1].effects.contains(.readRefused(ReadID(1), .leadershipLost)))
    }
  }

  @Test("scenario 4: a transfer and its return leave no read of the first term alive") func transferAndReturn() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.hold(2, 1)
      cluster.hold(3, 1)
      cluster.read(cluster[1])
      cluster.read(cluster[2])
      cluster.settle()
      cluster.release(2, 1)
      cluster.release(3, 1)
      cluster.step(cluster[1], .transferRequested(NodeID(2)))
      cluster.pass(3)
      if let leader = cluster.leader { cluster.step(leader, .transferRequested(NodeID(1))) }
      cluster.pass(3)
      #expect(cluster.checks.openReads == 0)
    }
  }

  @Test("scenario 14: appends in any order and repeated never shorten the log") func reordered() {
    let parts: [(previous: UInt64, count: Int)] = [(0, 2), (2, 2), (0, 1), (1, 2), (3, 1), (0, 4)]
    for seed in 1...UInt64(300) {
      var generator = Generator(seed: seed)
      var node = Solo(term: 1)
      var last: UInt64 = 0
      for _ in 0..<20 {
        let part = parts[generator.below(parts.count)]
        node.append(
          term: 1, after: (part.previous, part.previous == 0 ? 0 : 1), Array(repeating: 1, count: part.count),
          commit: UInt64(generator.below(5)))
        if generator.below(3) == 0 { node.store() }
        #expect(node.last >= last && node.commit <= node.last)
        last = node.last
      }
    }
  }

  @Test("scenario 15: an empty append with a high commit index on a divergent follower commits the verified part only")
  func highCommit() {
    var node = Solo(term: 3, log: [1, 2, 2])
    node.append(term: 3, after: (3, 3), commit: 9)
    #expect(node.commit == 0)
    node.append(term: 3, after: (1, 1), commit: 9)
    #expect(node.commit == 1)
    node.append(term: 3, after: (1, 1), [3], commit: .max)
    #expect(node.commit == 2)
  }

  @Test("scenario 15: an answer to a read tells the commit index, and only the verified part is believed")
  func commitByReadReply() {
    var node = Solo(term: 3, log: [1, 2, 2])
    node.append(term: 3, after: (1, 1))
    node.step(.readRequested(ReadID(1)))
    let reply = ReadIndexReply(term: Term(3), id: ReadID(1), index: LogIndex(3))
    #expect(node.receive(.readIndexReply(reply), from: 2).commits == [1])
  }

  @Test("scenario 16: the tail of an ex-leader goes, from its memory too") func exLeader() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 2)
      cluster.partition([1], [2, 3])
      for _ in 0..<6 { cluster.propose(cluster[1], [100, 3]) }
      cluster.settle()
      cluster.elect(2, with: [3])
      cluster.write(2, 3)
      cluster.heal()
      cluster.settle()
      #expect(cluster.areLogsEqual)
      // It leads again and feeds a follower that fell behind from its own memory.
      cluster.place(3, log: [], term: cluster[2].term.rawValue)
      cluster.restart(cluster[2])
      cluster.elect(1, with: [2])
      cluster.pass(cluster.limits.heartbeatTicks + 1)
      #expect(cluster.areLogsEqual)
    }
  }

  @Test("scenario 17: leaders A, B, A with writes in flight: a stale receipt makes nothing durable", arguments: 0...6)
  func staleReceipts(completed: Int) {
    script(3) { cluster in
      cluster.elect(1)
      let follower = cluster[3]
      follower.isDiskStalled = true
      // Node 1 leads and writes to node 3 alone; then node 2 does, and then node 1 again. Each leader forgets in a crash
      // what it had not stored, and so the next one replaces what node 3 still is writing.
      for (leader, other) in [(1, 2), (2, 1)] {
        cluster[leader].isDiskStalled = true
        cluster.partition([leader, 3], [other])
        for _ in 0..<3 { cluster.write(leader) }
        cluster.crash(cluster[leader])
        cluster[leader].isDiskStalled = false
        cluster.restart(cluster[leader])
        cluster.partition([1, 2], [3])
        cluster.elect(other, with: [leader])
        cluster.heal()
        cluster.settle()
      }
      #expect(follower.writes.count >= 5)
      for _ in 0..<completed {
        cluster.completeWrites(follower, 1)
        cluster.turn(follower)
      }
      cluster.pass(cluster.limits.heartbeatTicks)
      while !follower.writes.isEmpty {
        cluster.completeWrites(follower, 1)
        cluster.settle()
      }
      follower.isDiskStalled = false
      cluster.pass(cluster.limits.electionTicks)
      #expect(cluster.areLogsEqual && cluster[1].isLeader)
    }
  }

  @Test("scenario 17: a receipt for entries that were replaced acknowledges none of the new ones")
  func replacedInFlight() {
    var node = Solo(term: 1, log: [1])
    node.append(from: 2, term: 1, after: (1, 1), [1, 1, 1])
    let first = node.replica
    // The write is under way when a new leader replaces the entries, and then the first one's come back.
    var replica = first
    var effects: [Effect] = []
    func send(_ peer: UInt64, _ term: UInt64, _ terms: [UInt64]) {
      let slice = LogSlice(first: LogIndex(2), last: LogIndex(UInt64(terms.count) + 1))
      let request = AppendRequest(
        term: Term(term), previous: EntryID(term: Term(1), index: LogIndex(1)), entries: slice, commit: .zero,
        readRound: 0)
      let entries = ReceivedEntries(
        first: LogIndex(2), terms: terms.map { Term($0) }, ends: terms.indices.map { $0 + 1 })
      replica.step(.append(request), entries: entries, from: NodeID(peer), into: &effects)
      replica.step(.turnEnded, into: &effects)
    }
    send(3, 2, [2, 2])
    send(2, 3, [2, 3, 3])
    effects = []
    for write in 1...UInt64(3) {
      replica.step(.stored(WriteID(write)), into: &effects)
      replica.step(.turnEnded, into: &effects)
      let matches = effects.matches(to: 2)
      switch write {
      case 1: #expect(matches.isEmpty && replica.log.durable == LogIndex(1))
      case 2: #expect(matches.isEmpty && replica.log.durable == LogIndex(2))
      default: #expect(matches.last == 4 && replica.log.durable == LogIndex(4))
      }
    }
  }

  @Test("scenario 18: configurations that are truncated roll back exactly, two in a row too") func configurations() {
    func voters(_ count: UInt64) -> Members { Members(voters: (1...count).map { NodeID($0) }) }
    var node = Solo(term: 1, log: [1])
    node.append(
      from: 2, term: 1, after: (1, 1), [1, 1, 1],
      configurations: [(LogIndex(2), voters(4)), (LogIndex(4), voters(5))])
    #expect(node.replica.members == voters(5))
    // A copy of the message changes nothing.
    node.append(
      from: 2, term: 1, after: (1, 1), [1, 1, 1],
      configurations: [(LogIndex(2), voters(4)), (LogIndex(4), voters(5))])
    #expect(node.replica.configurations.map(\.index) == [.zero, LogIndex(2), LogIndex(4)])
    node.append(from: 3, term: 2, after: (3, 1), [2])
    #expect(node.replica.members == voters(4))
    node.append(from: 2, term: 3, after: (1, 1), [3], configurations: [(LogIndex(2), voters(2))])
    #expect(node.replica.members == voters(2))
    node.append(from: 2, term: 4, after: (1, 1), [4])
    #expect(node.replica.members == voters(3))
  }

  @Test("scenario 18: both of two configurations go when their first is truncated, and the quorum with them")
  func twoConfigurations() {
    var node = Solo(term: 1, log: [1])
    let wide = Members(voters: (1...5).map { NodeID($0) }, outgoingVoters: (1...3).map { NodeID($0) })
    node.append(
      from: 2, term: 1, after: (1, 1), [1, 1], configurations: [(LogIndex(2), wide), (LogIndex(3), wide)])
    node.append(from: 3, term: 2, after: (1, 1), [2])
    node.store()
    #expect(node.replica.configurations.count == 1)
    node.campaign()
    node.store()
    node.receive(.vote(granted: true, 3), from: 3)
    #expect(node.role == .leader)
  }

  @Test("scenario 29: a leader whose disk stalls commits by its followers' disks, and loses nothing in a crash")
  func stalledLeaderDisk() {
    script(3) { cluster in
      cluster.elect(1)
      cluster[1].isDiskStalled = true
      cluster.write(1, 3)
      #expect(cluster[1].commit == LogIndex(4) && cluster[1].disk.entries.count == 1)
      cluster.crash(cluster[1])
      cluster.elect(2, with: [3])
      cluster[1].isDiskStalled = false
      cluster.restart(cluster[1])
      cluster.pass(cluster.limits.electionTicks)
      #expect(cluster.areLogsEqual && cluster[2].commit == LogIndex(5))
    }
  }

  @Test("half a write is lost with the power: the tail that it was to replace is not called committed")
  func tornWrite() {
    script(3) { cluster in
      cluster.place(1, log: [1, 1, 3], term: 3)
      cluster.place(2, log: [1, 1, 3], term: 3)
      // The vote is stored already, so that only the entries wait for the disk.
      cluster.place(3, log: [1, 1, 2, 2], term: 4, vote: 1)
      cluster.heal()
      cluster.hold(1, 3)
      cluster.elect(1, with: [2])
      #expect(cluster[1].commit == LogIndex(4))
      cluster[3].isDiskStalled = true
      cluster.release(1, 3)
      cluster.pass(cluster.limits.heartbeatTicks + 1)
      #expect(cluster[3].commit == LogIndex(4))
      cluster.crash(cluster[3], keepingWrites: max(0, cluster[3].writes.count - 1), tornAfter: .some(nil))
      #expect(cluster[3].disk.entries.map(\.term) == [1, 1, 2, 2].map { Term($0) })
      cluster[3].isDiskStalled = false
      cluster.restart(cluster[3])
      cluster.pass(2 * cluster.limits.heartbeatTicks)
      #expect(cluster.areLogsEqual)
    }
  }
}
