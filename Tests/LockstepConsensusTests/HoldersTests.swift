import LockstepConsensus
import Testing

/// What a leader knows of who has stored and applied what.
@Suite("who has what") struct HoldersTests {
  private func accepted(_ match: UInt64, applied: UInt64) -> Message {
    var reply = AppendReply(term: Term(1), verdict: .accepted(match: LogIndex(match)), readRound: 0)
    reply.applied = LogIndex(applied)
    return .appendReply(reply)
  }

  /// A leader of term 1 with five entries on its own disk.
  private func leader(of count: UInt64 = 3) -> Solo {
    var leader = Solo.leader(of: count)
    leader.step(.proposed(sizes: [1, 1, 1, 1]))
    leader.store()
    return leader
  }

  @Test("stored by at least so many voters: the leader's own disk counts, and what is not durable there does not")
  func counted() {
    var leader = leader(of: 5)
    leader.receive(accepted(3, applied: 0), from: 2)
    leader.receive(accepted(4, applied: 0), from: 3)
    #expect((1...6).map { leader.replica.stored(byAtLeast: $0).rawValue } == [5, 4, 3, 0, 0, 0])
    #expect(leader.replica.stored(byAtLeast: 0) == .zero)
    leader.step(.proposed(sizes: [1]))
    #expect(leader.replica.stored(byAtLeast: 1) == LogIndex(5))
  }

  @Test("applied counts as far as that node's disk has it, and what it said once stays")
  func applied() {
    var leader = leader()
    leader.receive(accepted(3, applied: 5), from: 2)
    #expect(leader.replica.applied(by: NodeID(2)) == LogIndex(3))
    leader.receive(accepted(5, applied: 2), from: 2)
    #expect(leader.replica.applied(by: NodeID(2)) == LogIndex(5))
    #expect(leader.replica.applied(by: NodeID(3)) == .zero)
  }

  @Test("nobody has applied what the leader does not have (Leader Completeness, Raft section 5.4.3)")
  func impossible() {
    var leader = leader()
    #expect(leader.receive(accepted(5, applied: 6), from: 2).violations == [.impossibleAcknowledgement])
    #expect(leader.replica.applied(by: NodeID(2)) == .zero)
  }

  @Test("a follower hears at once what is committed and that its leader waits, and says what it has applied")
  func asked() {
    var leader = leader()
    leader.receive(accepted(5, applied: 0), from: 2)
    #expect(leader.commit == 5)
    let asked = leader.step(.appliedAwaited(LogIndex(5))).appends(to: 2)
    #expect(asked.map(\.reportApplied) == [LogIndex(5)] && asked.map(\.commit) == [LogIndex(5)])
    // Not again and again; and no more when it has said so.
    #expect(leader.step(.turnEnded).appends(to: 2).isEmpty)
    leader.receive(accepted(5, applied: 5), from: 2)
    #expect(leader.tick(10).appends(to: 2).allSatisfy { $0.reportApplied == .zero })

    var follower = Solo(term: 1)
    #expect(!follower.replica.isAppliedDue(LogIndex(1)))
    let request = AppendRequest(
      term: Term(1), previous: .zero, entries: LogSlice(first: LogIndex(1), last: .zero), commit: .zero, readRound: 0,
      reportApplied: LogIndex(2))
    follower.receive(.append(request), from: 2)
    #expect(follower.replica.isAppliedDue(LogIndex(1)))
    #expect(follower.step(.applied(LogIndex(1))).replies(to: 2).count == 1)
    #expect(!follower.replica.isAppliedDue(LogIndex(1)) && follower.replica.isAppliedDue(LogIndex(7)))
    #expect(follower.step(.applied(LogIndex(7))).replies(to: 2).count == 1)
    #expect(follower.step(.applied(LogIndex(8))).replies(to: 2).isEmpty, "nobody waits for it")
    // Another leader has not asked.
    follower.append(from: 3, term: 2)
    #expect(!follower.replica.isAppliedDue(LogIndex(9)))
  }

  @Test("a node whose link was lost may come back with less applied: what it said before counts for nothing")
  func linkLost() {
    var leader = leader()
    leader.receive(accepted(5, applied: 5), from: 2)
    leader.step(.linkLost(NodeID(2)))
    #expect(leader.replica.applied(by: NodeID(2)) == .zero && leader.replica.stored(by: NodeID(2)) == LogIndex(5))
    leader.step(.linkRestored(NodeID(2)))
    leader.receive(accepted(5, applied: 2), from: 2)
    #expect(leader.replica.applied(by: NodeID(2)) == LogIndex(2))
  }

  @Test("what another disk under the number has said counts for nothing")
  func replaced() {
    var leader = leader()
    leader.receive(accepted(5, applied: 5), from: 2)
    leader.step(.diskReplaced(MemberDisk(node: NodeID(2), disk: [UInt8](repeating: 9, count: 16))))
    #expect(leader.replica.stored(by: NodeID(2)) == .zero && leader.replica.applied(by: NodeID(2)) == .zero)
  }
}
