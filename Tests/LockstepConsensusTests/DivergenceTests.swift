import LockstepConsensus
import Testing

/// A node whose committed entries the leader does not have: a disk that was put back to an earlier state, a directory
/// that was copied. State Machine Safety (Raft section 5.4.3) is broken already; this node must not add to it.
@Suite("committed entries that the leader contradicts") struct DivergenceTests {
  /// A follower in term 5 with entries of terms 1, 1, 3, 3, 4, of which four are committed.
  private func follower() -> Solo {
    var node = Solo(of: 3, term: 5, commit: 4, log: [1, 1, 3, 3, 4])
    node.append(from: 3, term: 5, after: (5, 4))
    node.store()
    return node
  }

  @Test(
    "Log Matching (5.3): another term at an index that is committed here, in `previous` or in an entry, stops the node",
    arguments: [
      (after: (0, 0), terms: [2], at: 1), (after: (2, 1), terms: [3, 4], at: 4), (after: (2, 2), terms: [], at: 2),
      (after: (4, 4), terms: [5], at: 4), (after: (3, 1), terms: [], at: 3),
      (after: (1, 1), terms: [1, 3, 6, 6], at: 4),
    ] as [(after: (UInt64, UInt64), terms: [UInt64], at: UInt64)])
  func otherTerm(message: (after: (UInt64, UInt64), terms: [UInt64], at: UInt64)) {
    for term in [UInt64(5), 6] {
      var node = follower()
      let terms = message.terms.map { min($0, term) }
      let effects = node.append(from: term == 5 ? 3 : 2, term: term, after: message.after, terms, commit: 9, round: 1)
      #expect(effects.divergences == [message.at])
      #expect(effects.messages.isEmpty && effects.accepted.isEmpty && effects.commits.isEmpty && effects.writes.isEmpty)
      #expect(node.replica.divergence == LogIndex(message.at) && node.last == 5 && node.commit == 4)
      #expect(node.replica.leader == nil)
    }
  }

  @Test("Log Matching (5.3): terms never go back in a log: an entry behind all that is committed, of an earlier term")
  func earlierTermBehind() {
    var node = follower()
    #expect(node.append(from: 2, term: 6, after: (9, 2)).divergences == [4])
    // Of the same term, or a later one: it may follow, and is only not here yet.
    for term in [UInt64(3), 4, 6] {
      var other = follower()
      let effects = other.append(from: 2, term: 6, after: (9, term))
      #expect(effects.divergences.isEmpty && other.replica.leader == NodeID(2))
    }
  }

  @Test("what is late, behind, or only claimed proves nothing, and stops no node") func noProof() {
    var node = follower()
    // Of a term that is over: that leader may have been deposed before the entry was committed.
    #expect(node.append(from: 2, term: 4, after: (2, 1), [2, 2]).divergences.isEmpty)
    // A candidate that is behind, whatever it asks for.
    for isPreVote in [true, false] {
      #expect(node.receive(.ask(9, last: (2, 1), isPreVote: isPreVote, isTransfer: true), from: 2).divergences.isEmpty)
    }
    // A leader that has yet to learn what is committed, a copy of what is here, a place that is not.
    #expect(node.append(from: 2, term: 9, after: (2, 1), commit: 1).divergences.isEmpty)
    #expect(node.append(from: 2, term: 9, after: (0, 0), [1, 1, 3, 3], commit: 1).divergences.isEmpty)
    #expect(node.append(from: 2, term: 9, after: (7, 4)).divergences.isEmpty)
    // What is not committed here may be replaced.
    #expect(node.append(from: 2, term: 9, after: (4, 3), [9]).divergences.isEmpty && node.last == 5)
    #expect(node.replica.divergence == nil)
    // And what a follower rejects says nothing about what is committed.
    var leader = Solo.leader(of: 3, term: 4, log: [1, 2, 2])
    leader.receive(.accepted(4, 4), from: 2)
    for hint in [(0, 0), (3, 9), (9, 9)] as [(UInt64, UInt64)] {
      #expect(leader.receive(.rejected(4, previous: 3, hint: hint), from: 3).divergences.isEmpty)
    }
  }

  @Test("a message that cannot be is refused before it is believed: nobody is stopped by nonsense") func nonsense() {
    var node = follower()
    #expect(node.append(from: 2, term: 6, after: (2, 9), [3]).violations == [.impossibleTerms])
    #expect(node.append(from: 9, term: 6, after: (2, 2)).violations == [.notAMember])
    #expect(node.append(from: 2, term: 5, after: (2, 2)).violations == [.secondLeader(Term(5))])
    #expect(node.replica.divergence == nil)
  }

  @Test("a node that has stopped grants, acknowledges, writes, answers and asks for nothing any more") func stopped() {
    var node = Solo(of: 3, term: 1)
    node.append(term: 1, [1, 1], commit: 2)
    node.step(.readRequested(ReadID(7)))
    // The write is under way, and its acknowledgement waits for it.
    let effects = node.append(from: 3, term: 2, after: (1, 1), [2])
    #expect(effects.divergences == [2])
    #expect(effects.contains(.readRefused(ReadID(7), .leadershipLost)))
    let before = node.replica.hardState
    var after = node.store() + node.tick(100)
    after += node.receive(.ask(9, last: (9, 9), isPreVote: true), from: 2)
    after += node.receive(.ask(9, last: (9, 9)), from: 2)
    after += node.append(from: 3, term: 9, after: (2, 1), [9], commit: 3)
    after += node.receive(.readIndexReply(.init(term: Term(1), id: ReadID(7), index: LogIndex(1))), from: 2)
    after += node.step(.readRequested(ReadID(8))) + node.step(.proposed(sizes: [1]))
    after += node.step(.linkLost(NodeID(2))) + node.step(.linkRestored(NodeID(2)))
    #expect(after.isEmpty && node.replica.hardState == before && node.last == 2)
  }

  @Test("a leader that a later leader contradicts stops too, and answers none of its reads") func leaderToo() {
    var leader = Solo.leader(of: 3, term: 4, log: [1, 2, 2])
    leader.receive(.accepted(4, 4), from: 2)
    leader.step(.readRequested(ReadID(1)))
    let effects = leader.append(from: 3, term: 6, after: (3, 2), [6])
    #expect(effects.divergences == [4] && leader.role == .follower)
    #expect(effects.contains(.readRefused(ReadID(1), .leadershipLost)))
    #expect(leader.receive(.accepted(4, 4, round: 1), from: 2).isEmpty)
  }

  @Test("a linearizable read is not answered from what the leader has not confirmed, whatever is committed here")
  func unverifiedRead() {
    func answered(_ effects: [Effect]) -> Bool { effects.contains(.readReady(ReadID(1), LogIndex(4))) }
    var node = Solo(of: 3, term: 5, commit: 4, log: [1, 1, 3, 3, 4])
    node.append(from: 2, term: 6, after: (2, 1))
    node.step(.readRequested(ReadID(1)))
    let reply = Message.readIndexReply(.init(term: Term(6), id: ReadID(1), index: LogIndex(4)))
    #expect(!answered(node.receive(reply, from: 2)))
    // The leader has the same entries: now it is known.
    var good = node
    #expect(!answered(good.append(from: 2, term: 6, after: (2, 1), [3])))
    #expect(answered(good.append(from: 2, term: 6, after: (3, 3), [3])))
    #expect(!answered(good.append(from: 2, term: 6, after: (4, 3))))
    // It has others: the read is refused, and so it is when the lead changes first.
    let contradicted = node.append(from: 2, term: 6, after: (2, 1), [3, 6])
    #expect(contradicted.contains(.readRefused(ReadID(1), .leadershipLost)) && !answered(contradicted))
    var other = Solo(of: 3, term: 5, commit: 4, log: [1, 1, 3, 3, 4])
    other.append(from: 2, term: 6, after: (2, 1))
    other.step(.readRequested(ReadID(1)))
    #expect(!answered(other.receive(reply, from: 2)))
    #expect(other.append(from: 3, term: 7, after: (5, 4)).contains(.readRefused(ReadID(1), .leadershipLost)))
  }

  @Test("no more reads wait for an answer and for the leader's log together than the limit allows") func readLimit() {
    var limits = TestCluster.smallLimits
    limits.waitingReads = 3
    var node = Solo(of: 3, term: 5, commit: 4, log: [1, 1, 3, 3, 4], limits: limits)
    node.append(from: 2, term: 6, after: (2, 1))
    for id in 1...UInt64(3) {
      node.step(.readRequested(ReadID(id)))
      node.receive(.readIndexReply(.init(term: Term(6), id: ReadID(id), index: LogIndex(4))), from: 2)
    }
    #expect(node.step(.readRequested(ReadID(4))) == [.readRefused(ReadID(4), .overloaded)])
  }

  @Test("a node restored from another history joins two others: it stops at their leader's first entries")
  func restored() {
    let cluster = TestCluster(3)
    for number in 1...2 { cluster.place(number, log: [1, 1, 3], term: 3) }
    cluster.place(3, log: [1, 1, 2, 2, 2], term: 2)
    cluster[3].disk.hardState.commit = LogIndex(5)
    cluster.restart(cluster[3])
    cluster.areDivergencesExpected = true
    cluster.heal()
    cluster.elect(1, with: [2])
    cluster.write(1)
    cluster.pass(cluster.limits.heartbeatTicks)
    #expect(cluster[3].replica?.divergence == LogIndex(3))
    cluster.read(cluster[3])
    cluster.pass(3 * cluster.limits.electionTicks)
    #expect(cluster[3].effects.allSatisfy { if case .readReady = $0 { false } else { true } })
    // The others go on.
    cluster.write(1)
    #expect(cluster[1].isLeader && cluster[1].commit == cluster[1].replica?.log.last)
  }
}
