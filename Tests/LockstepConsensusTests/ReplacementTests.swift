import LockstepConsensus
import Testing

/// "Learners" that catch up, and changes of a single server at a time: thesis sections 4.1 and 4.2.1, for a node that comes
/// back with an empty disk in place of the one that it had.
@Suite("a node whose disk was replaced") struct ReplacementTests {
  private static func disk(_ node: UInt64, _ byte: UInt8 = 9) -> MemberDisk {
    MemberDisk(node: NodeID(node), disk: [UInt8](repeating: byte, count: 16))
  }

  private func configurations(_ effects: [Effect]) -> [Members] {
    effects.compactMap { if case .append(_, _, .configuration(let members)) = $0 { members } else { nil } }
  }

  // MARK: One that says nothing

  @Test(
    "figure 2, \"persistent state, updated on stable storage before responding to RPCs\": one to whom a member says that it is not there takes part in no election until that member takes it in again"
  )
  func refused() {
    var replica = Replica(
      .init(
        id: NodeID(2), members: Members(voters: [1, 2, 3].map { NodeID($0) }), limits: TestCluster.smallLimits, seed: 2)
    )
    var effects: [Effect] = []
    replica.step(.diskRefused(NodeID(1), true), into: &effects)
    func campaigns() -> Bool {
      var effects: [Effect] = []
      for _ in 0..<5 * replica.limits.electionTicks { replica.step(.tick, into: &effects) }
      return effects.contains { if case .send(.vote, _) = $0 { true } else { false } }
    }
    func votes(_ term: UInt64) -> Bool {
      var answers: [Effect] = []
      replica.step(.ask(term, last: (9, 2)), from: NodeID(3), into: &answers)
      replica.step(.turnEnded, into: &answers)
      for write in answers.writes { replica.step(.stored(write.id), into: &answers) }
      return answers.messages.contains(.vote(granted: true, term, isPreVote: false))
    }
    #expect(!campaigns() && !votes(3))
    // Another one's word does not count for that of the first.
    replica.step(.diskRefused(NodeID(3), false), into: &effects)
    #expect(!campaigns() && !votes(4))
    replica.step(.diskRefused(NodeID(1), false), into: &effects)
    #expect(votes(5))
    #expect(campaigns())
  }

  @Test("a leader that hears it leads no more")
  func refusedLeader() {
    var leader = Solo.leader()
    leader.step(.diskRefused(NodeID(3), true))
    #expect(leader.role == .follower)
    leader.tick(5 * TestCluster.smallLimits.electionTicks)
    #expect(leader.role == .follower && leader.term == 1)
  }

  // MARK: The one that comes back

  private func comesBack(_ configurations: [(index: LogIndex, members: Members)] = [], log: [UInt64] = []) -> Replica {
    Replica(
      .init(
        id: NodeID(2), members: Members(voters: [1, 2, 3].map { NodeID($0) }), limits: TestCluster.smallLimits, seed: 2,
        disk: Self.disk(2).disk, isDiskReplaced: true), hardState: HardState(term: Term(log.isEmpty ? 0 : 1)),
      log: Log(runs: log.isEmpty ? [] : [.init(first: LogIndex(1), term: Term(1))], last: LogIndex(UInt64(log.count))),
      configurations: configurations)
  }

  /// A leader of term 1 says that entries up to here are committed, and has nothing to send.
  private func heard(_ commit: UInt64, by replica: inout Replica, from leader: UInt64) -> [Effect] {
    var effects: [Effect] = []
    let last = replica.log.last
    replica.step(
      .append(
        AppendRequest(
          term: Term(1), previous: EntryID(term: Term(1), index: last), entries: LogSlice(first: last.next, last: last),
          commit: LogIndex(commit), readRound: 0)), from: NodeID(leader), into: &effects)
    replica.step(.turnEnded, into: &effects)
    return effects
  }

  @Test("it neither campaigns nor votes, though it is a voter of the configuration that it was started with")
  func silent() {
    var replica = comesBack()
    var effects: [Effect] = []
    for _ in 0..<5 * replica.limits.electionTicks { replica.step(.tick, into: &effects) }
    #expect(!effects.contains { if case .send = $0 { true } else { false } })
    for isPreVote in [true, false] {
      var answers: [Effect] = []
      replica.step(.ask(3, last: (9, 2), isPreVote: isPreVote), from: NodeID(1), into: &answers)
      replica.step(.turnEnded, into: &answers)
      for write in answers.writes { replica.step(.stored(write.id), into: &answers) }
      #expect(answers.messages == [.vote(granted: false, isPreVote ? 0 : 3, isPreVote: isPreVote)])
    }
    #expect(replica.hardState.vote == nil)
    // Nor when the leader asks it to take over.
    effects = []
    replica.step(
      .append(
        AppendRequest(
          term: Term(3), previous: .zero, entries: LogSlice(first: LogIndex(1), last: .zero), commit: .zero,
          readRound: 0)), from: NodeID(1), into: &effects)
    replica.step(.timeoutNow(term: Term(3)), from: NodeID(1), into: &effects)
    #expect(replica.role == .follower(leader: NodeID(1)))
  }

  @Test("what its log says of its number counts only with its disk by name: not what was said of an earlier one")
  func byName() {
    let (demoted, voters) = ([1, 3].map { NodeID($0) }, [1, 2, 3].map { NodeID($0) })
    let earlier = Members(voters: voters, disks: [Self.disk(2, 8)])
    let learner = Members(voters: demoted, learners: [NodeID(2)], disks: [Self.disk(2)])
    let again = Members(voters: voters, disks: [Self.disk(2)])
    for (members, awaits) in [(earlier, true), (learner, true), (again, false)] {
      var replica = comesBack([(LogIndex(2), members)], log: [1, 1])
      #expect(replica.isAwaitingAdmission == awaits)
      var answers: [Effect] = []
      replica.step(.ask(3, last: (9, 2)), from: NodeID(1), into: &answers)
      #expect((replica.hardState.vote == NodeID(1)) == !awaits)
    }
  }

  @Test(
    "thesis 4.1: a learner whose demotion is committed gives its vote to who has the promotion, and does not campaign")
  func unaware() {
    let learner = Members(voters: [1, 3].map { NodeID($0) }, learners: [NodeID(2)], disks: [Self.disk(2)])
    for commit in [1, 2] as [UInt64] {
      var replica = comesBack([(LogIndex(2), learner)], log: [1, 1])
      var effects = heard(commit, by: &replica, from: 3)
      let stored = effects.writes.map(\.hardState.commit)
      #expect(stored == (commit == 2 ? [LogIndex(2)] : []), "it is on the disk before the next vote")
      for write in effects.writes { replica.step(.stored(write.id), into: &effects) }
      for _ in 0..<3 * replica.limits.electionTicks { replica.step(.tick, into: &effects) }
      #expect(replica.role.kind == .follower)
      replica.step(.ask(3, last: (3, 1)), from: NodeID(3), into: &effects)
      #expect((replica.hardState.vote == NodeID(3)) == (commit == 2))
    }
  }

  @Test("a learner whose demotion is committed gives its vote to who has another member's demotion, not committed yet")
  func unawareOfAnother() {
    let disks = [Self.disk(2), Self.disk(3, 7)]
    let one = Members(voters: [1, 3].map { NodeID($0) }, learners: [NodeID(2)], disks: [disks[0]])
    let both = Members(voters: [NodeID(1)], learners: [2, 3].map { NodeID($0) }, disks: disks)
    for commit in [1, 2] as [UInt64] {
      var replica = comesBack([(LogIndex(2), one), (LogIndex(3), both)], log: [1, 1, 1])
      var effects = heard(commit, by: &replica, from: 1)
      for write in effects.writes { replica.step(.stored(write.id), into: &effects) }
      for _ in 0..<3 * replica.limits.electionTicks { replica.step(.tick, into: &effects) }
      replica.step(.ask(3, last: (4, 1)), from: NodeID(1), into: &effects)
      #expect((replica.hardState.vote == NodeID(1)) == (commit == 2))
    }
  }

  // MARK: The leader

  /// Leads three nodes in term 3, with its own first entry committed by node 3, and node 2 has acknowledged all.
  private func leader(committed: Bool = true) -> Solo {
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1])
    leader.receive(.accepted(3, 2), from: 2)
    if committed { leader.receive(.accepted(3, 3), from: 3) }
    return leader
  }

  @Test("the first change: the others vote, the node is a learner with its new disk, and what the former has is gone")
  func demotion() {
    var leader = leader()
    leader.step(.diskReplaced(Self.disk(2)))
    #expect(leader.replica.progress.first?.match == .zero)
    let appended = configurations(leader.tick())
    let demoted = Members(voters: [NodeID(1), NodeID(3)], learners: [NodeID(2)], disks: [Self.disk(2)])
    #expect(appended == [demoted] && leader.replica.members == demoted)
    // "as soon as it is added to the log": from then on the others alone commit.
    leader.store()
    leader.receive(.accepted(3, 4), from: 2)
    #expect(leader.commit == 3)
    #expect(leader.receive(.accepted(3, 4), from: 3).commits == [4])
  }

  @Test("before it is in the log, nothing that the node says counts: for no entry, and for no read")
  func uncounted() {
    var leader = leader(committed: false)
    leader.store()
    leader.step(.diskReplaced(Self.disk(2)))
    leader.receive(.accepted(3, 3), from: 2)
    #expect(leader.commit == 0)
    leader.receive(.accepted(3, 3), from: 3)
    #expect(leader.commit == 3)
    leader.step(.readRequested(ReadID(7)))
    func ready(_ effects: [Effect]) -> Bool { effects.contains { if case .readReady = $0 { true } else { false } } }
    #expect(!ready(leader.receive(.accepted(3, 3, round: 1), from: 2)))
    #expect(ready(leader.receive(.accepted(3, 3, round: 1), from: 3)))
  }

  @Test("no change before an entry of the leader's own term is committed, nor while another is not")
  func oneAtATime() {
    var leader = leader(committed: false)
    leader.store()
    leader.step(.diskReplaced(Self.disk(2)))
    #expect(configurations(leader.tick(5)).isEmpty)
    leader.receive(.accepted(3, 3), from: 3)
    #expect(configurations(leader.tick(5)).count == 1)
    // Another disk meanwhile: not before the first change is committed.
    leader.step(.diskReplaced(Self.disk(2, 10)))
    #expect(configurations(leader.tick(5)).isEmpty)
    leader.store()
    leader.receive(.accepted(3, 4), from: 3)
    #expect(configurations(leader.tick()).map(\.disks) == [[Self.disk(2, 10)]])
  }

  @Test("the second change waits for the first, and for a round in which the node gets all there was at its start")
  func promotion() {
    var leader = leader()
    leader.step(.diskReplaced(Self.disk(2)))
    leader.tick()
    leader.store()
    leader.receive(.accepted(3, 4), from: 2)
    #expect(configurations(leader.tick(3)).isEmpty, "the first change is not committed")
    leader.receive(.accepted(3, 4), from: 3)
    leader.receive(.accepted(3, 2), from: 2)
    leader.step(.proposed(sizes: [1]))
    leader.store()
    leader.receive(.accepted(3, 5), from: 3)
    var fresh = leader
    fresh.step(.diskReplaced(Self.disk(2, 11)))
    #expect(configurations(fresh.tick()).map(\.learners) == [[NodeID(2)]], "a third disk begins from the beginning")
    #expect(configurations(leader.tick()) == [], "a round begins, with an entry of its own")
    #expect(leader.replica.log.last == LogIndex(6))
    leader.store()
    leader.receive(.accepted(3, 5), from: 2)
    #expect(configurations(leader.tick()) == [], "it may not know yet that the first change is committed")
    leader.receive(.accepted(3, 6, isReplaying: true), from: 2)
    #expect(configurations(leader.tick()) == [], "its machine is not there yet")
    leader.receive(.accepted(3, 6), from: 2)
    let again = Members(voters: [1, 2, 3].map { NodeID($0) }, disks: [Self.disk(2)])
    #expect(configurations(leader.tick()) == [again])
    // And it counts.
    leader.store()
    #expect(leader.receive(.accepted(3, 7), from: 2).commits == [7])
    #expect(configurations(leader.tick(50)).isEmpty)
  }

  @Test("a round that has taken an election time-out is followed by another")
  func slowRound() {
    var leader = leader()
    leader.step(.diskReplaced(Self.disk(2)))
    leader.tick()
    leader.store()
    leader.receive(.accepted(3, 4), from: 3)
    for _ in 0..<leader.replica.limits.electionTicks + 3 {
      leader.receive(.accepted(3, 4), from: 3)
      leader.receive(.accepted(3, 2), from: 2)
      #expect(configurations(leader.tick()).isEmpty)
    }
    leader.receive(.accepted(3, 5), from: 2)
    #expect(configurations(leader.tick()).isEmpty)
    #expect(configurations(leader.tick()).count == 1)
  }

  @Test("a new leader goes on with the learner that it finds in its log, whether or not the node has come anew")
  func newLeader() {
    let demoted = Members(voters: [NodeID(1), NodeID(3)], learners: [NodeID(2)], disks: [Self.disk(2)])
    var leader = Solo(term: 2, log: [1, 1], configurations: [(LogIndex(2), demoted)])
    leader.campaign()
    leader.store()
    leader.receive(.vote(granted: true, 3), from: 3)
    leader.store()
    #expect(leader.role == .leader)
    leader.receive(.accepted(3, 3), from: 2)
    #expect(configurations(leader.tick(3)).isEmpty, "nothing of its own term is committed")
    leader.receive(.accepted(3, 3), from: 3)
    #expect(configurations(leader.tick(2)).isEmpty, "a round has an entry of its own")
    leader.receive(.accepted(3, 4), from: 2)
    #expect(configurations(leader.tick(2)).map(\.voters) == [[1, 2, 3].map { NodeID($0) }])
  }

  @Test("a disk that has shown itself and gone is not named in place of the one that the configuration means since")
  func goneSince() {
    let named = Members(voters: [1, 2, 3].map { NodeID($0) }, disks: [Self.disk(2)])
    var leader = Solo(term: 2, log: [1, 1], configurations: [(LogIndex(2), named)])
    leader.step(.diskReplaced(Self.disk(2, 8)))
    leader.step(.linkLost(NodeID(2)))
    leader.campaign()
    leader.store()
    leader.receive(.vote(granted: true, 3), from: 3)
    leader.store()
    leader.receive(.accepted(3, 3), from: 3)
    #expect(leader.role == .leader && leader.commit == 3)
    #expect(configurations(leader.tick(5)).isEmpty)
    // It comes with the one that is meant, and later with yet another.
    leader.step(.diskReplaced(Self.disk(2)))
    leader.step(.linkRestored(NodeID(2)))
    #expect(configurations(leader.tick(5)).isEmpty)
    leader.step(.diskReplaced(Self.disk(2, 10)))
    #expect(configurations(leader.tick()).map(\.disks) == [[Self.disk(2, 10)]])
  }

  @Test("the only voter, and a stranger's disk, change nothing")
  func nobody() {
    var leader = Solo.leader(of: 1, term: 2, log: [1])
    for node in [1, 2] as [UInt64] { leader.step(.diskReplaced(Self.disk(node))) }
    #expect(configurations(leader.tick(5)).isEmpty && leader.replica.unnamedDisks.isEmpty)
  }

  // MARK: A cluster

  private func restore(_ cluster: TestCluster, _ number: Int, _ ticks: Int = 40) {
    for _ in 0..<ticks where !cluster.isSound(cluster[number]) { cluster.pass(1) }
  }

  @Test("of any node the disk is replaced, and then the next one's, until all have other disks", arguments: [3, 4, 5])
  func all(count: Int) {
    script(count) { cluster in
      cluster.elect(1)
      cluster.write(1, 5)
      for number in 1...count {
        cluster.replaceDisk(cluster[number])
        for _ in 0..<100 where cluster.leader == nil || cluster.leader === cluster[number] { cluster.pass(1) }
        restore(cluster, number)
        #expect(cluster.isSound(cluster[number]), "\(cluster.summary)")
        if let leader = cluster.leader { cluster.write(Int(leader.id.rawValue), 2) }
        cluster.pass(3)
        #expect(cluster.areLogsEqual, "\(cluster.summary)")
      }
    }
  }

  @Test("the former disk has elected another leader, who has committed: an older one gets nothing out of the new disk")
  func olderLeader() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 2)
      // 3 and 2 go on without 1, which does not know.
      cluster.partition([1], [2, 3])
      cluster.elect(3, with: [2])
      cluster.write(3, 1)
      #expect(cluster[3].commit > cluster[1].commit)
      // Now 2 has lost its disk, and sees 1 alone.
      cluster.partition([1, 2], [3])
      cluster.replaceDisk(cluster[2])
      cluster.propose(cluster[1])
      let read = cluster.read(cluster[1])
      cluster.settle()
      cluster.pass(2)
      #expect(cluster[1].commit < cluster[3].commit, "\(read)")
      cluster.heal()
      cluster.pass(10)
      restore(cluster, 2)
      #expect(cluster.isSound(cluster[2]) && cluster.areLogsEqual, "\(cluster.summary)")
    }
  }

  @Test("a vote of the former disk, and one of the new disk, in one term: there is still one leader")
  func oneVote() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 2)
      // 3 asks 2 for its vote in the next term, has it, and stands still before it hears.
      cluster.hold(2, 3)
      for node in [2, 3] { cluster.cut(1, node) }
      for _ in 0..<60 where cluster[2].replica?.hardState.vote != NodeID(3) { cluster.pass(1) }
      cluster.replaceDisk(cluster[2])
      cluster.release(2, 3)
      cluster.heal()
      restore(cluster, 2, 100)
      #expect(cluster.isSound(cluster[2]), "\(cluster.summary)")
      cluster.pass(20)
      #expect(cluster.areLogsEqual)
    }
  }

  @Test("the leader ends after each step, and the next one goes on", arguments: 0..<6)
  func changeOfLeader(step: Int) {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 3)
      cluster.replaceDisk(cluster[2])
      for _ in 0..<step { cluster.pass(1) }
      cluster.restart(cluster[1])
      for _ in 0..<100 where cluster.leader == nil { cluster.pass(1) }
      restore(cluster, 2, 100)
      #expect(cluster.isSound(cluster[2]), "\(cluster.summary)")
      cluster.pass(5)
      #expect(cluster.areLogsEqual, "\(cluster.summary)")
      // It is worth a majority: without node 3.
      cluster.crash(cluster[3])
      for _ in 0..<100 where !cluster[1].isLeader && !cluster[2].isLeader { cluster.pass(1) }
      let before = cluster.checks.committedIndex
      if let leader = [1, 2].first(where: { cluster[$0].isLeader }) { cluster.write(leader) }
      #expect(cluster.checks.committedIndex > before, "\(cluster.summary)")
    }
  }

  @Test("with the other follower away nothing is changed, and no vote is given; when it is back, it goes on")
  func withoutTheOthers() {
    script(3) { cluster in
      cluster.elect(1)
      cluster.write(1, 3)
      cluster.crash(cluster[3])
      cluster.replaceDisk(cluster[2])
      cluster.pass(60)
      #expect(cluster.leader == nil && !cluster.isSound(cluster[2]))
      #expect(cluster[2].replica?.hardState.vote == nil)
      cluster.restart(cluster[3])
      for _ in 0..<100 where cluster.leader == nil { cluster.pass(1) }
      restore(cluster, 2)
      #expect(cluster.isSound(cluster[2]), "\(cluster.summary)")
    }
  }
}
