import LockstepConsensus
import Testing

/// The rounds that a lease may be counted from, and who keeps the peace that it counts on (thesis section 6.4.1).
@Suite("leases: the core") struct LeaseTests {
  private static var limits: Limits {
    var limits = TestCluster.smallLimits
    limits.leases = .served
    return limits
  }

  private static func leader(of count: UInt64 = 3) -> Solo {
    var leader = Solo.leader(of: count, limits: limits)
    for peer in 2...count { leader.receive(.accepted(1, 1), from: peer) }
    return leader
  }

  /// Until a round has begun by itself; it is answered by these.
  private func round(_ leader: inout Solo, answeredBy peers: [UInt64]) {
    let before = leader.replica.reads.current
    leader.tick(Self.limits.heartbeatTicks)
    #expect(leader.replica.reads.current == before + 1)
    for peer in peers { leader.receive(.accepted(1, 1, round: before + 1), from: peer) }
  }

  @Test("6.4.1: a leader keeps its lease by its heartbeats: each begins a round")
  func heartbeats() {
    var leader = Self.leader()
    for number in 1...5 {
      round(&leader, answeredBy: [2])
      #expect(leader.replica.reads.confirmed == number && leader.replica.reads.withoutLease < number)
    }
    var without = Solo.leader()
    without.receive(.accepted(1, 1), from: 2)
    without.tick(20)
    #expect(without.replica.reads.current == 0)
  }

  @Test("6.4.1: a lease begins when a majority has acknowledged, and not with fewer")
  func majority() {
    var leader = Self.leader(of: 5)
    round(&leader, answeredBy: [2])
    #expect(leader.replica.reads.confirmed == 0)
    leader.receive(.accepted(1, 1, round: 1), from: 2)
    #expect(leader.replica.reads.confirmed == 0)
    leader.receive(.accepted(1, 1, round: 1), from: 5)
    #expect(leader.replica.reads.confirmed == 1)
  }

  @Test("6.4: a leader that has not \"marked an entry from its current term committed\" begins no round")
  func ownTerm() {
    var leader = Solo.leader(of: 3, term: 4, log: [3, 3], limits: Self.limits)
    leader.tick(2 * Self.limits.heartbeatTicks)
    #expect(leader.replica.reads.current == 0)
    leader.receive(.accepted(4, 3), from: 2)
    #expect(leader.replica.reads.current == 1)
  }

  @Test("a transfer ends the leases of the term, also one that is given up")
  func transfer() {
    var leader = Self.leader()
    round(&leader, answeredBy: [2, 3])
    leader.step(.transferRequested(NodeID(2)))
    leader.tick()
    #expect(leader.replica.reads.withoutLease == .max)
    leader.tick(2 * Self.limits.electionTicks)
    #expect(leader.role == .leader || leader.replica.reads.withoutLease == 0)
    #expect(leader.role != .leader || leader.replica.reads.withoutLease == .max)
  }

  @Test("a member that is demoted ends the lease: the next round is one of the new configuration")
  func configuration() {
    var leader = Self.leader()
    round(&leader, answeredBy: [2, 3])
    #expect(leader.replica.reads.withoutLease < leader.replica.reads.confirmed)
    leader.step(.diskReplaced(MemberDisk(node: NodeID(3), disk: [UInt8](repeating: 9, count: 16))))
    for _ in 0..<4 * Self.limits.electionTicks where leader.replica.configurations.count == 1 {
      leader.tick()
      let now = leader.replica.reads.current
      leader.receive(.accepted(1, leader.last, round: now), from: 2)
    }
    #expect(leader.replica.configurations.count == 2)
    #expect(leader.replica.reads.withoutLease > 0)
  }

  @Test("a configuration after a transfer that was given up brings no lease back")
  func configurationAfterTransfer() {
    var leader = Self.leader()
    round(&leader, answeredBy: [2, 3])
    leader.step(.transferRequested(NodeID(2)))
    leader.tick()
    leader.tick(Self.limits.electionTicks)
    #expect(leader.role == .leader && leader.replica.transferee == nil)
    leader.step(.diskReplaced(MemberDisk(node: NodeID(3), disk: [UInt8](repeating: 9, count: 16))))
    for _ in 0..<4 * Self.limits.electionTicks where leader.replica.configurations.count == 1 {
      leader.tick()
      leader.receive(.accepted(1, leader.last, round: leader.replica.reads.current), from: 2)
    }
    #expect(leader.replica.configurations.count == 2 && leader.replica.reads.withoutLease == .max)
  }

  @Test("after its start a node leaves a leader in peace that it may have heard: no vote, no candidacy")
  func start() {
    var node = Solo(term: 3, log: [3], limits: Self.limits)
    let request = Message.vote(
      .init(term: Term(4), last: EntryID(term: Term(3), index: LogIndex(1)), isPreVote: true, isTransfer: false))
    for _ in 0..<Self.limits.electionTicks - 1 {
      #expect(node.tick().sent(to: 2).isEmpty && node.role == .follower)
      #expect(node.receive(request, from: 2).sent(to: 2).isEmpty)
    }
    node.tick()
    #expect(node.receive(request, from: 2).grants(to: 2) == [4])
    // One that never had a term has heard nobody.
    var fresh = Solo(limits: Self.limits)
    let first = Message.vote(.init(term: Term(1), last: .zero, isPreVote: true, isTransfer: false))
    #expect(fresh.receive(first, from: 2).grants(to: 2) == [1])
  }

  @Test("after its start a node votes for whom its leader has given the lead to")
  func startAndTransfer() {
    var node = Solo(term: 3, log: [3], limits: Self.limits)
    let request = Message.vote(
      .init(term: Term(4), last: EntryID(term: Term(3), index: LogIndex(1)), isPreVote: false, isTransfer: true))
    #expect((node.receive(request, from: 2) + node.store()).grants(to: 2) == [4])
  }

  @Test("the named leader keeps the peace after its start as all others do")
  func namedLeader() {
    var node = Solo(term: 3, log: [3], limits: Self.limits, preferredLeader: 1)
    node.tick(Self.limits.electionTicks - 1)
    #expect(node.role == .follower)
    node.tick(Self.limits.electionTicks)
    #expect(node.role != .follower)
  }
}
