import LockstepConsensus
import Testing

/// Linearizable reads (Raft section 8, thesis section 6.4) and leadership transfer (thesis section 3.10).
@Suite("paper: reads and transfer") struct PaperReadTests {
  private func ready(_ effects: [Effect]) -> [UInt64] {
    effects.compactMap { if case .readReady(_, let index) = $0 { index.rawValue } else { nil } }
  }

  @Test("6.4: a leader that has not \"marked an entry from its current term committed\" waits")
  func waitsForOwnTerm() {
    var leader = Solo.leader(of: 3, term: 4, log: [3, 3])
    #expect(leader.step(.readRequested(ReadID(1))).appends(to: 2).allSatisfy { $0.readRound == 0 })
    let committed = leader.receive(.accepted(4, 3), from: 2)
    #expect(committed.commits == [3] && ready(committed).isEmpty)
    #expect(committed.appends(to: 3).map(\.readRound) == [1])
    #expect(ready(leader.receive(.accepted(4, 3, round: 1), from: 2)) == [3])
  }

  @Test("6.4: \"a new round of heartbeats\" and \"their acknowledgments from a majority\"", arguments: 2...5)
  func round(count: UInt64) {
    var leader = Solo.leader(of: count)
    for peer in 2...count { leader.receive(.accepted(1, 1), from: peer) }
    let asked = leader.step(.readRequested(ReadID(7)))
    for peer in 2...count { #expect(asked.appends(to: peer).map(\.readRound) == [1]) }
    // Acknowledgements of messages that were sent before the read do not confirm it.
    for peer in 2...count { #expect(ready(leader.receive(.accepted(1, 1, round: 0), from: peer)).isEmpty) }
    for peer in 2..<count / 2 + 1 {
      #expect(ready(leader.receive(.accepted(1, 1, round: 1), from: peer)).isEmpty)
      #expect(ready(leader.receive(.accepted(1, 1, round: 1), from: peer)).isEmpty)
    }
    #expect(ready(leader.receive(.accepted(1, 1, round: 1), from: count)) == [1])
  }

  @Test("a read that comes while a round is under way waits for the next one") func nextRound() {
    var leader = Solo.leader(of: 2)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.readRequested(ReadID(1)))
    leader.step(.readRequested(ReadID(2)))
    leader.step(.readRequested(ReadID(3)))
    let first = leader.receive(.accepted(1, 1, round: 1), from: 2)
    #expect(first.contains(.readReady(ReadID(1), LogIndex(1))) && ready(first).count == 1)
    #expect(first.appends(to: 2).map(\.readRound) == [2])
    #expect(ready(leader.receive(.accepted(1, 1, round: 2), from: 2)) == [1, 1])
  }

  @Test("6.4: \"The leader saves its current commit index in a local variable readIndex\": as the round begins")
  func indexOfTheRound() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.proposed(sizes: [1]))
    leader.step(.readRequested(ReadID(1)))
    leader.receive(.accepted(1, 2, round: 0), from: 3)
    leader.receive(.accepted(1, 2, round: 0), from: 2)
    #expect(leader.commit == 2)
    #expect(ready(leader.receive(.accepted(1, 2, round: 1), from: 2)) == [1])
  }

  @Test("8: reads of a leader that is deposed are refused, not answered") func deposed() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.readRequested(ReadID(1)))
    leader.receive(.readIndex(.init(term: Term(1), id: ReadID(5))), from: 3)
    let effects = leader.receive(.rejected(2, previous: 1, round: 1), from: 2) + leader.store()
    #expect(effects.contains(.readRefused(ReadID(1), .leadershipLost)) && ready(effects).isEmpty)
    #expect(effects.sent(to: 3) == [.readIndexReply(.init(term: Term(2), id: ReadID(5), index: nil))])
  }

  @Test("a single node confirms itself, after its own term's first entry") func single() {
    var node = Solo(of: 1, term: 1, log: [1])
    node.campaign()
    node.store()
    #expect(ready(node.step(.readRequested(ReadID(1)))).isEmpty)
    #expect(ready(node.store()) == [2])
    #expect(ready(node.step(.readRequested(ReadID(2)))) == [2])
  }

  @Test("6.4: \"the follower would issue a request to the leader that just asked for a current readIndex\"")
  func follower() {
    var node = Solo(term: 1)
    node.append(term: 1, [1, 1], commit: 1)
    node.store()
    let asked = node.step(.readRequested(ReadID(4)))
    #expect(asked.sent(to: 2) == [.readIndex(.init(term: Term(1), id: ReadID(4)))])
    // It is asked again when no answer comes, and answered once.
    node.append(term: 1, after: (2, 1))
    var again = node.tick(5)
    node.append(term: 1, after: (2, 1))
    again += node.tick(5)
    #expect(again.sent(to: 2).contains(.readIndex(.init(term: Term(1), id: ReadID(4)))))
    let answer = Message.readIndexReply(.init(term: Term(1), id: ReadID(4), index: LogIndex(2)))
    #expect(node.receive(answer, from: 3).isEmpty)
    #expect(node.receive(answer, from: 2) == [.commit(LogIndex(2)), .readReady(ReadID(4), LogIndex(2))])
    #expect(node.receive(answer, from: 2).isEmpty)
  }

  @Test("a forwarded read is refused when the leader refuses it, is lost, or was never known")
  func followerRefusals() {
    var node = Solo(term: 1)
    #expect(node.step(.readRequested(ReadID(1))) == [.readRefused(ReadID(1), .noLeader)])
    node.append(term: 1)
    node.step(.readRequested(ReadID(2)))
    let refusal = Message.readIndexReply(.init(term: Term(1), id: ReadID(2), index: nil))
    #expect(node.receive(refusal, from: 2) == [.readRefused(ReadID(2), .leadershipLost)])
    node.step(.readRequested(ReadID(3)))
    #expect(node.tick(20).contains(.readRefused(ReadID(3), .leadershipLost)))
    var other = Solo(term: 1)
    other.append(term: 1)
    other.step(.readRequested(ReadID(4)))
    #expect(other.append(from: 3, term: 2).contains(.readRefused(ReadID(4), .leadershipLost)))
  }

  @Test("no more reads wait than the limit allows") func readLimit() {
    var limits = TestCluster.smallLimits
    limits.waitingReads = 3
    var leader = Solo.leader(of: 2, limits: limits)
    let effects = (1...5).flatMap { leader.step(.readRequested(ReadID($0))) }
    #expect(effects.filter { if case .readRefused(_, .overloaded) = $0 { true } else { false } }.count == 2)
    var follower = Solo(term: 1, limits: limits)
    follower.append(term: 1)
    let forwarded = (1...5).flatMap { follower.step(.readRequested(ReadID($0))) }
    #expect(forwarded.filter { if case .readRefused(_, .overloaded) = $0 { true } else { false } }.count == 2)
  }

  // MARK: Transfer

  @Test("3.10: \"The prior leader stops accepting new client requests\"") func transferRefusesProposals() {
    var leader = Solo.leader(of: 3)
    leader.step(.transferRequested(NodeID(2)))
    #expect(leader.step(.proposed(sizes: [1])).contains(.proposalRefused(.transferring)))
  }

  @Test("3.10: \"fully updates the target server's log to match its own log\", then \"sends a TimeoutNow request\"")
  func transferCatchesUpFirst() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.proposed(sizes: [1, 1]))
    leader.step(.transferRequested(NodeID(2)))
    #expect(!leader.tick().sent(to: 2).contains(.timeoutNow(term: Term(1))))
    #expect(!leader.receive(.accepted(1, 2), from: 2).sent(to: 2).contains(.timeoutNow(term: Term(1))))
    #expect(leader.receive(.accepted(1, 3), from: 2).sent(to: 2).contains(.timeoutNow(term: Term(1))))
    #expect(!leader.tick(2).sent(to: 2).contains(.timeoutNow(term: Term(1))))
  }

  @Test("3.10: \"This request has the same effect as the target server's election timer firing\"") func timeoutNow() {
    var node = Solo(term: 1)
    node.append(term: 1)
    // Only from the leader of this term.
    node.receive(.timeoutNow(term: Term(1)), from: 3)
    node.receive(.timeoutNow(term: .zero), from: 2)
    #expect(node.role == .follower)
    node.receive(.timeoutNow(term: Term(1)), from: 2)
    #expect(node.role == .candidate && node.term == 2)
    #expect(node.store().sent(to: 3) == [.ask(2, isTransfer: true)])
  }

  @Test("3.10: the transferee's request is heard in spite of a leader that is recent") func transferIsHeard() {
    var node = Solo(term: 1)
    node.append(term: 1)
    node.receive(.ask(2, isTransfer: true), from: 3)
    #expect(node.store().grants(to: 3) == [2])
  }

  @Test("3.10: if it \"does not complete after about an election timeout, the prior leader aborts the transfer\"")
  func transferAborts() {
    var leader = Solo.leader(of: 3)
    leader.step(.transferRequested(NodeID(3)))
    for _ in 0..<TestCluster.smallLimits.electionTicks {
      #expect(leader.replica.transferee == NodeID(3))
      leader.tick()
      leader.receive(.accepted(1, 1), from: 2)
    }
    #expect(leader.replica.transferee == nil && leader.role == .leader)
    #expect(!leader.step(.proposed(sizes: [1])).contains(.proposalRefused(.transferring)))
  }

  @Test("a transfer to a stranger, to a learner or to oneself is not begun") func transferToNobody() {
    let members = Members(voters: [NodeID(1), NodeID(2)], learners: [NodeID(3)])
    var leader = Solo.leader(members: members)
    for node in [UInt64(1), 3, 9] {
      leader.step(.transferRequested(NodeID(node)))
      #expect(leader.replica.transferee == nil)
    }
    leader.step(.transferRequested(NodeID(2)))
    #expect(leader.replica.transferee == NodeID(2))
  }

  @Test("the preferred leader takes the lead back, and a lost transfer is not tried at once again") func preferred() {
    script(3, preferredLeader: 2) { cluster in
      cluster.pass(20)
      cluster.partition([1, 3], [2])
      cluster.pass(5 * cluster.limits.electionTicks)
      #expect(cluster.leader?.id != NodeID(2))
      cluster.heal()
      cluster.pass(4 * cluster.limits.electionTicks)
      #expect(cluster.leader?.id == NodeID(2))
      #expect(cluster.leaders.count == 1)
    }
  }

  @Test("the preferred leader is not offered the lead while its machine replays: no command is held in vain")
  func preferredReplays() {
    var leader = Solo.leader(of: 3, preferredLeader: 2)
    let patience = leader.replica.configuration.limits.preferredLeaderTicks
    leader.receive(.accepted(1, 1), from: 3)
    for isReplaying in [true, false] {
      for _ in 0..<2 * patience where leader.replica.transferee == nil {
        leader.receive(.accepted(1, 1), from: 3)
        leader.receive(.accepted(1, 1, isReplaying: isReplaying), from: 2)
        leader.tick()
      }
      #expect(leader.replica.transferee == (isReplaying ? nil : NodeID(2)))
    }
  }

  @Test("the preferred leader cannot win: it is not offered the lead again and again")
  func preferredCannotWin() {
    var limits = TestCluster.smallLimits
    limits.transferPauseTicks = 1000
    script(5, limits: limits, preferredLeader: 1) { cluster in
      cluster.elect(2)
      // The leader alone reaches everybody.
      for (one, other) in [(1, 3), (1, 4), (1, 5), (3, 4), (3, 5), (4, 5)] {
        cluster.cut(one, other)
        cluster.cut(other, one)
      }
      let before = cluster[2].replica?.term.rawValue ?? 0
      cluster.pass(900)
      let after = cluster.nodes.compactMap { $0.replica?.term.rawValue }.max() ?? 0
      #expect(after > before, "it was offered the lead once")
      #expect(after <= before + 6)
      #expect(cluster.leader != nil)
    }
  }
}
