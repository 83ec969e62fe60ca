import LockstepConsensus
import Testing

/// A node is about to be stopped.
@Suite("a node that is about to be stopped") struct StopTests {
  private let limits = TestCluster.smallLimits

  @Test("thesis 3.10: a leader that has to be taken down hands over at once, and not to who is behind") func handsOver()
  {
    var leader = Solo.leader(of: 3)
    leader.step(.proposed(sizes: [1]))
    let last = leader.last
    leader.receive(.accepted(1, last), from: 3)
    let effects = leader.step(.stopRequested)
    #expect(leader.replica.transferee == NodeID(3) && leader.replica.isHandingOver)
    let offer = Message.timeoutNow(term: Term(1))
    #expect(effects.sent(to: 3).contains(offer) || leader.tick().sent(to: 3).contains(offer))
    // "The prior leader stops accepting new client requests."
    #expect(leader.step(.proposed(sizes: [1])).contains(.proposalRefused(.transferring)))
    leader.receive(.ask(2, last: (last, 1), isTransfer: true), from: 3)
    #expect(leader.role == .follower && !leader.replica.isHandingOver)
  }

  @Test("thesis 3.10: a transfer that does not come about is tried again, until the lead has gone") func again() {
    var leader = Solo.leader(of: 3)
    for peer in 2...3 as ClosedRange<UInt64> { leader.receive(.accepted(1, leader.last), from: peer) }
    leader.step(.stopRequested)
    var offers = 0
    for _ in 0..<3 * limits.electionTicks {
      leader.store()
      var effects = leader.tick()
      for peer in 2...3 as ClosedRange<UInt64> { effects += leader.receive(.accepted(1, leader.last), from: peer) }
      for peer in 2...3 as ClosedRange<UInt64> {
        if effects.sent(to: peer).contains(.timeoutNow(term: Term(1))) { offers += 1 }
      }
    }
    #expect(offers >= 2 && leader.role == .leader && leader.replica.isHandingOver)
  }

  @Test("it neither campaigns nor takes the lead up, and votes and acknowledges as ever") func doesNotLead() {
    var node = Solo(term: 1)
    node.append(term: 1, [1])
    node.store()
    node.step(.stopRequested)
    #expect(!node.replica.isHandingOver)
    #expect(node.receive(.timeoutNow(term: Term(1)), from: 2).messages.isEmpty && node.role == .follower)
    #expect(node.tick(10 * limits.electionTicks).messages.isEmpty && node.term == 1)
    node.receive(.ask(2, last: (1, 1)), from: 3)
    let vote = node.store()
    #expect(vote.sent(to: 3).contains(.voteReply(.init(term: Term(2), isGranted: true, isPreVote: false))))
  }

  @Test("nobody to hand over to: there is nothing to wait for") func alone() {
    var only = Solo.leader(of: 1)
    only.step(.stopRequested)
    #expect(only.role == .leader && !only.replica.isHandingOver)
    var leader = Solo.leader(of: 3)
    leader.step(.linkLost(NodeID(2)))
    leader.step(.linkLost(NodeID(3)))
    leader.step(.stopRequested)
    #expect(leader.role == .leader && !leader.replica.isHandingOver)
  }
}
