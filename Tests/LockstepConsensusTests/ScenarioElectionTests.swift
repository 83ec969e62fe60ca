import LockstepConsensus
import Testing

/// What went wrong in other systems: elections and votes. Every script runs under the checks of the harness.
@Suite("scenarios: elections") struct ScenarioElectionTests {
  @Test("scenario 5: a single node restarts with a flushed tail it had not called committed: recommitted and served")
  func singleNodeTail() {
    script(1) { cluster in
      cluster.elect(1)
      cluster.propose(cluster[1], [1, 1])
      cluster.turn(cluster[1])
      cluster.crash(cluster[1], keepingWrites: 1)
      #expect(cluster[1].disk.entries.count == 3 && cluster[1].disk.hardState.commit < LogIndex(3))
      cluster.restart(cluster[1])
      cluster.elect(1)
      #expect(cluster[1].commit == LogIndex(4))
      cluster.read(cluster[1])
      cluster.settle()
      #expect(cluster[1].effects.contains(.readReady(ReadID(1), LogIndex(4))))
    }
  }

  @Test("scenario 6: entries of a term are never in a write without that term") func termBeforeEntries() {
    var node = Solo(term: 1)
    let write = node.append(term: 3, [2, 3]).writes.first
    #expect(write?.hardState.term == Term(3) && write?.entries?.count == 2)
    // Nor may entries of a later turn come without a term that is still under way.
    #expect(node.append(term: 4, after: (2, 3), [4]).writes.first?.hardState.term == Term(4))
  }

  @Test("scenario 7: a crash between flushing a vote and replying: no second vote in that term", arguments: [0, 1])
  func crashAfterVote(flushed: Int) {
    script(3) { cluster in
      let ask = TestEnvelope(message: .ask(1), entries: [])
      cluster.receive(ask, at: cluster[1], from: NodeID(2))
      cluster.turn(cluster[1])
      cluster.crash(cluster[1], keepingWrites: flushed)
      cluster.restart(cluster[1])
      cluster.receive(ask, at: cluster[1], from: NodeID(3))
      cluster.turn(cluster[1])
      cluster.completeWrites(cluster[1])
      #expect(cluster[1].effects.grants(to: 3) == (flushed == 1 ? [] : [1]))
      #expect(cluster[1].effects.grants(to: 2) == [])
    }
  }

  @Test("scenario 8: a node that was cut off for long comes back without a new term or a new leader") func rejoining() {
    script(3) { cluster in
      cluster.elect(1)
      let term = cluster[1].term
      cluster.partition([1, 2], [3])
      cluster.pass(10 * cluster.limits.electionTicks)
      #expect(cluster[3].term == term)
      cluster.write(1, 3)
      cluster.heal()
      cluster.pass(3 * cluster.limits.electionTicks)
      #expect(cluster[1].isLeader && cluster[1].term == term && cluster.areLogsEqual)
    }
  }

  @Test("scenario 8: a node that hears nobody, and is heard by all, disturbs nobody") func deafNode() {
    script(3) { cluster in
      cluster.elect(1)
      let term = cluster[1].term
      cluster.cut(1, 3)
      cluster.cut(2, 3)
      cluster.pass(6 * cluster.limits.electionTicks)
      #expect(cluster[1].isLeader && cluster[1].term == term)
    }
  }

  @Test("scenario 8: a pre-vote does not count as word from the leader") func preVoteRefreshesNothing() {
    var node = Solo(term: 1, log: [1])
    node.append(from: 2, term: 1, after: (1, 1))
    var waited = 0
    while node.role == .follower {
      node.receive(.ask(2, isPreVote: true), from: 3)
      node.tick()
      waited += 1
    }
    #expect(waited < 2 * TestCluster.smallLimits.electionTicks)
  }

  @Test("scenario 9: a pre-vote reply that arrives during the real vote is not counted") func latePreVoteReply() {
    var node = Solo(of: 5)
    node.campaign()
    node.store()
    #expect(node.role == .candidate && node.term == 1)
    for peer in 2...UInt64(5) { node.receive(.vote(granted: true, 1, isPreVote: true), from: peer) }
    #expect(node.role == .candidate)
    // Nor does a refusal of the pre-vote end the candidacy.
    for peer in 2...UInt64(5) { node.receive(.vote(granted: false, 0, isPreVote: true), from: peer) }
    #expect(node.role == .candidate)
    // And a vote of an earlier candidacy is no pre-vote.
    var other = Solo(term: 1)
    while other.role == .follower { other.tick() }
    other.receive(.vote(granted: true, 2), from: 2)
    #expect(other.role == .preCandidate)
  }

  @Test(
    "scenario 10: 3 of 4 nodes up, the only one with the whole log in an older term: a leader is elected",
    arguments: 1...3)
  func olderTerm(longest: Int) {
    script(4) { cluster in
      for number in 1...3 {
        cluster.place(number, log: number == longest ? [1, 1, 1] : [1, 1], term: number == longest ? 1 : 5)
      }
      cluster.crash(cluster[4])
      cluster.heal()
      cluster.pass(10 * cluster.limits.electionTicks)
      #expect(cluster.leader != nil)
    }
  }

  @Test("scenario 10: a leader of an older term finds a node of a newer one, and the cluster goes on") func newerTerm()
  {
    script(3) { cluster in
      cluster.elect(1)
      cluster.place(3, log: [], term: 9)
      cluster.heal()
      cluster.pass(6 * cluster.limits.electionTicks)
      #expect(cluster.leader.map { $0.term >= Term(9) } == true)
      #expect(cluster.areLogsEqual)
    }
  }

  @Test("scenario 11: a node sees a higher term, then a candidate with a short log asks in that term: not granted")
  func shortLog() {
    var node = Solo(term: 1, log: [1, 1])
    node.receive(.ask(5, last: (1, 1)), from: 2)
    #expect(node.store().grants(to: 2) == [] && node.term == 5)
    #expect(node.receive(.ask(5, last: (1, 1)), from: 3).grants(to: 3) == [])
    node.receive(.ask(5, last: (2, 1)), from: 3)
    #expect(node.store().grants(to: 3) == [5])
  }

  @Test("scenario 12: votes over all pairs of last entries, against an oracle") func allPairs() {
    // A log whose last entry has this term and index.
    func log(_ term: UInt64, _ index: UInt64) -> [UInt64] { Array(repeating: term, count: Int(index)) }
    for (a, b) in (1...UInt64(4)).flatMap({ a in (1...UInt64(4)).map { (a, $0) } }) {
      for (c, d) in (0...UInt64(4)).flatMap({ c in (0...UInt64(4)).map { (c, $0) } }) {
        var node = Solo(term: 4, log: log(a, b))
        node.receive(.ask(5, last: (d, c)), from: 2)
        #expect(node.store().grants(to: 2) == (c > a || c == a && d >= b ? [5] : []))
      }
    }
  }

  @Test("scenario 13: an append lands on a voter between its log check and its vote reply: it is refused")
  func appendDuringVote() {
    var node = Solo(term: 1, log: [1])
    node.receive(.ask(2, last: (1, 1)), from: 2)
    let append = node.append(from: 3, term: 1, after: (1, 1), [1], commit: 2)
    #expect(append.accepted.isEmpty && node.last == 1 && node.commit == 0)
    let sent = node.store()
    #expect(sent.grants(to: 2) == [2] && sent.matches(to: 3) == [] && sent.replies(to: 3).map(\.term) == [Term(2)])
  }

  @Test("scenario 13: an append that is being written counts in the log check") func voteDuringAppend() {
    var node = Solo(term: 1, log: [1])
    node.append(from: 3, term: 1, after: (1, 1), [1])
    node.tick(TestCluster.smallLimits.electionTicks)
    node.receive(.ask(2, last: (1, 1)), from: 2)
    // The acknowledgement of the old term is not sent any more, and the vote is denied.
    let sent = node.store()
    #expect(sent.grants(to: 2) == [] && sent.matches(to: 3) == [])
  }

  @Test("scenario 13: the same in a cluster: what is committed is not lost") func committedSurvivesElection() {
    script(3) { cluster in
      cluster.elect(1)
      cluster[3].isDiskStalled = true
      cluster.partition([1, 3], [2])
      cluster.propose(cluster[1])
      cluster.settle()
      #expect(cluster[1].commit == LogIndex(1))
      // Node 2 campaigns among all: node 3 has the entry in memory, and would have acknowledged it in a moment.
      cluster.heal()
      cluster.hold(1, 2)
      cluster.cut(1, 3)
      for _ in 0..<cluster.limits.electionTicks { cluster.step(cluster[3], .tick) }
      for _ in 0..<2 * cluster.limits.electionTicks { cluster.step(cluster[2], .tick) }
      cluster.settle()
      cluster[3].isDiskStalled = false
      cluster.settle()
      cluster.heal()
      cluster.pass(6 * cluster.limits.electionTicks)
      cluster.write(cluster.leader.map { Int($0.id.rawValue) } ?? 1)
      #expect(cluster.checks.committedIndex > LogIndex(2))
    }
  }

  @Test("a leader that can send and not hear gives way") func leaderThatHearsNobody() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.cut(2, 1)
      cluster.cut(3, 1)
      cluster.pass(8 * cluster.limits.electionTicks)
      #expect(!cluster[1].isLeader && cluster.leaders.count == 1)
    }
  }

  @Test("a bridge: two nodes that do not hear each other keep one leader") func bridge() {
    script(3) { cluster in
      cluster.elect(2)
      cluster.cut(1, 3)
      cluster.cut(3, 1)
      cluster.pass(8 * cluster.limits.electionTicks)
      #expect(cluster[2].isLeader && cluster[2].term == Term(1))
      // When the bridge leads no more, one of the three leads, and the term does not run away.
      cluster.restart(cluster[2])
      cluster.pass(20 * cluster.limits.electionTicks)
      #expect(cluster.leader.map { $0.term < Term(8) } == true)
    }
  }

  @Test("a transfer moves the lead in one round, without a pause for proposals") func transfer() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 4)
      cluster.step(cluster[1], .transferRequested(NodeID(3)))
      cluster.pass(1)
      #expect(cluster[3].isLeader && cluster[3].term == Term(2))
      cluster.write(3)
      cluster.pass(2)
      #expect(cluster.areLogsEqual)
    }
  }

  @Test("a transfer whose request is lost leaves the old leader in office") func lostTransfer() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.step(cluster[1], .transferRequested(NodeID(3)))
      cluster.step(cluster[1], .tick)
      #expect(cluster.queue(1, 3).contains(.timeoutNow(term: Term(1))))
      cluster.lose(1, 3)
      cluster.pass(2 * cluster.limits.electionTicks)
      #expect(cluster[1].isLeader && cluster[1].term == Term(1))
      cluster.write(1)
      #expect(cluster[1].commit == LogIndex(2))
    }
  }
}
