import LockstepConsensus
import Testing

/// A node's own disk hangs: writes are handed to it and not answered.
@Suite("a disk that hangs") struct SlowDiskTests {
  private static let limits = TestCluster.smallLimits
  private var limits: Limits { Self.limits }

  private func slow(_ effects: [Effect]) -> [Int] {
    effects.compactMap { if case .diskIsSlow(let ticks) = $0 { ticks } else { nil } }
  }
  private func again(_ effects: [Effect]) -> [Int] {
    effects.compactMap { if case .diskAnswersAgain(let ticks) = $0 { ticks } else { nil } }
  }

  /// Time passes on a leader whose followers acknowledge all that there is, each its own part of it.
  private func pass(_ ticks: Int, _ leader: inout Solo, _ matches: [UInt64: UInt64]) -> [Effect] {
    var effects: [Effect] = []
    for _ in 0..<ticks {
      effects += leader.tick()
      guard leader.role == .leader else { continue }
      for (peer, match) in matches.sorted(by: { $0.key < $1.key }) {
        effects += leader.receive(.accepted(leader.term, match), from: peer)
      }
    }
    return effects
  }

  @Test("is told once, when the limit is over, and once when it answers; a disk that answers in time is not told")
  func told() {
    var node = Solo(term: 1)
    node.append(term: 1, [1])
    var effects: [Effect] = []
    for _ in 0..<limits.diskTicks - 1 { effects += node.tick() }
    #expect(slow(effects) == [] && !node.replica.disk.isSlow)
    #expect(slow(node.tick(3 * limits.diskTicks)) == [limits.diskTicks])
    #expect(again(node.store()) == [4 * limits.diskTicks - 1] && !node.replica.disk.isSlow)
    // Nothing to write is no silence, and each answer begins the count anew.
    #expect(slow(node.tick(3 * limits.diskTicks)) == [] || node.role != .follower)
    var other = Solo(term: 1)
    for index in 0..<UInt64(4) {
      other.append(term: 1, after: (index, index == 0 ? 0 : 1), [1])
      #expect(slow(other.tick(limits.diskTicks / 2)) == [])
      other.store()
    }
  }

  /// A leader that is given a write with every tick; its disk answers one of them in so many ticks. The followers have
  /// what it had so many ticks ago.
  private func load(
    _ leader: inout Solo, ticks: Int, every period: Int, followersBehind behind: Int
  ) -> [Effect] {
    var (effects, unanswered, lasts): ([Effect], [WriteID], [UInt64]) = ([], [], [])
    for tick in 1...ticks where leader.role == .leader {
      var new = leader.tick()
      new += leader.step(.proposed(sizes: [1]))
      lasts.append(leader.last)
      unanswered += new.writes.map(\.id)
      if tick.isMultiple(of: period), !unanswered.isEmpty { new += leader.store(unanswered.removeFirst()) }
      for peer in [2, 3] as [UInt64] where leader.role == .leader {
        new += leader.receive(.accepted(1, lasts[max(0, lasts.count - 1 - behind)]), from: peer)
      }
      effects += new
      if leader.replica.transferee != nil { break }
    }
    return effects
  }

  @Test(
    "that answers now and then, but takes less than it is given, is told by its oldest write, and the lead handed over")
  func behind() {
    var leader = Solo.leader(of: 3)
    let effects = load(&leader, ticks: 3 * limits.diskTicks, every: 4, followersBehind: 1)
    #expect(slow(effects) == [limits.diskTicks] && leader.replica.transferee != nil)
    // One that answers each write, though late, is not behind.
    var other = Solo.leader(of: 3)
    var writes: [WriteID] = []
    for _ in 0..<4 * limits.diskTicks {
      writes += (other.tick() + other.step(.proposed(sizes: [1]))).writes.map(\.id)
      other.receive(.accepted(1, other.last), from: 2)
      other.receive(.accepted(1, other.last), from: 3)
      if writes.count == limits.diskTicks - 2 { #expect(slow(other.store(writes.removeFirst())) == []) }
      #expect(!other.replica.disk.isSlow && other.role == .leader && other.replica.transferee == nil)
    }
  }

  @Test("that was behind is so until its oldest write is half as old as the limit: it is not slow and quick by turns")
  func hysteresis() {
    var node = Solo(term: 1)
    var writes: [WriteID] = []
    var effects: [Effect] = []
    for index in 0..<UInt64(limits.diskTicks) {
      writes += node.append(term: 1, after: (index, index == 0 ? 0 : 1), [1]).writes.map(\.id)
      effects += node.tick()
    }
    #expect(slow(effects) == [limits.diskTicks] && node.replica.disk.isSlow)
    // Write n has waited for `diskTicks - n` ticks.
    for write in 0..<limits.diskTicks {
      let isLeft = limits.diskTicks - (write + 1)
      #expect(again(node.store(writes[write])) == (isLeft == limits.diskTicks / 2 - 1 ? [limits.diskTicks] : []))
      #expect(node.replica.disk.isSlow == (isLeft >= limits.diskTicks / 2))
    }
  }

  @Test("a leader whose followers' disks are as far behind as its own keeps the lead: more comes than any disk takes")
  func allBehind() {
    var leader = Solo.leader(of: 3)
    let effects = load(&leader, ticks: 6 * limits.diskTicks, every: 4, followersBehind: limits.diskTicks)
    #expect(slow(effects).count == 1 && leader.role == .leader && leader.replica.transferee == nil)
  }

  @Test("thesis 3.10: a leader hands over to the follower that is ahead of those that could lead") func handsOver() {
    var leader = Solo.leader(of: 5)
    // Two is ahead and replays, three is ahead of four and five.
    var effects: [Effect] = []
    for _ in 0..<limits.diskTicks + limits.electionTicks where leader.replica.transferee == nil {
      effects += leader.tick()
      leader.step(.proposed(sizes: [1]))
      let last = leader.last
      effects += leader.receive(.accepted(1, last, isReplaying: true), from: 2)
      for (peer, match) in [(3, last - 1), (4, max(last, 2) - 2), (5, max(last, 2) - 2)] as [(UInt64, UInt64)] {
        effects += leader.receive(.accepted(1, match), from: peer)
      }
    }
    #expect(slow(effects).count == 1 && leader.replica.transferee == NodeID(3))
    let last = leader.last
    #expect(leader.receive(.accepted(1, last), from: 3).sent(to: 3).contains(.timeoutNow(term: Term(1))))
    // It is taken up: this node follows, and promises nothing before its disk answers.
    let after = leader.receive(.ask(2, last: (last, 1), isTransfer: true), from: 3)
    #expect(leader.role == .follower && leader.term == 2 && after.messages.isEmpty)
    #expect(leader.append(from: 3, term: 2, after: (last, 1), [2], commit: last + 1).messages.isEmpty)
    #expect(leader.tick(5 * limits.electionTicks).messages.isEmpty && leader.role == .follower)
  }

  @Test("a leader whose offer is not taken up steps down, and does not campaign while its disk hangs")
  func stepsDown() {
    var leader = Solo.leader(of: 3)
    leader.step(.proposed(sizes: [1]))
    let ticks = limits.diskTicks + 2 * limits.electionTicks
    let effects = pass(ticks, &leader, [2: 2, 3: 2])
    #expect(effects.contains(.send(.timeoutNow(term: Term(1)), to: NodeID(2))))
    #expect(leader.role == .follower && leader.replica.leader == nil && leader.term == 1)
    #expect(effects.contains(.roleChanged(.follower, term: Term(1), leader: nil)))
    #expect(leader.tick(10 * limits.electionTicks).messages.isEmpty && leader.role == .follower && leader.term == 1)
    // The disk answers: it is a node like the others.
    leader.store()
    leader.campaign()
    leader.store()
    #expect(leader.role == .candidate)
  }

  @Test("a leader without a follower that could lead steps down when its disk hangs") func noHeir() {
    var leader = Solo.leader(of: 3)
    leader.step(.proposed(sizes: [1]))
    for _ in 0..<limits.diskTicks + limits.electionTicks where leader.role == .leader {
      leader.tick()
      for peer in [2, 3] as [UInt64] where leader.role == .leader {
        leader.receive(.accepted(1, 2, isReplaying: true), from: peer)
      }
    }
    #expect(leader.role == .follower && leader.replica.transferee == nil)
  }

  @Test("a leader without whom nobody can be elected stays, and answers reads", arguments: [1, 2] as [UInt64])
  func stays(count: UInt64) {
    var leader = Solo.leader(of: count)
    if count == 2 { leader.receive(.accepted(1, 1), from: 2) }
    leader.step(.proposed(sizes: [1]))
    let effects = pass(5 * limits.diskTicks, &leader, count == 2 ? [2: 2] : [:])
    #expect(slow(effects).count == 1 && leader.role == .leader && leader.commit == 1)
    var answers = leader.step(.readRequested(ReadID(1)))
    if count == 2 { answers += leader.receive(.accepted(1, 2, round: 1), from: 2) }
    #expect(answers.contains(.readReady(ReadID(1), LogIndex(1))))
    #expect(leader.store().commits == [2])
  }

  @Test("a node whose disk hangs neither votes nor promises to, does not take the lead, and forgets a silent leader")
  func follower() {
    var node = Solo(term: 1)
    node.append(term: 1, [1])
    while !node.replica.disk.isSlow {
      node.append(term: 1, after: (1, 1))
      node.tick()
    }
    #expect(node.replica.leader == NodeID(2))
    #expect(node.receive(.timeoutNow(term: Term(1)), from: 2).isEmpty && node.role == .follower)
    let lost = node.tick(2 * limits.electionTicks)
    #expect(lost.contains(.roleChanged(.follower, term: Term(1), leader: nil)) && lost.messages.isEmpty)
    #expect(node.step(.readRequested(ReadID(1))) == [.readRefused(ReadID(1), .noLeader)])
    let answer = node.receive(.ask(2, last: (5, 1), isPreVote: true), from: 3)
    #expect(answer.sent(to: 3) == [.vote(granted: false, 1, isPreVote: true)])
    node.receive(.ask(2, last: (5, 1)), from: 3)
    #expect(node.term == 2 && node.replica.hardState.vote == nil)
    // It cannot even ask its leader, for it cannot speak of its term.
    node.append(from: 3, term: 2, after: (1, 1))
    #expect(node.step(.readRequested(ReadID(2))) == [.readRefused(ReadID(2), .noLeader)])
    let sent = node.store()
    #expect(sent.grants(to: 3) == [] && sent.matches(to: 3).last == 1)
    #expect(node.step(.readRequested(ReadID(3))).sent(to: 3).count == 1)
  }

  @Test("a learner that no longer hears its leader says so, though it cannot campaign") func learner() {
    let members = Members(voters: [NodeID(2), NodeID(3)], learners: [NodeID(1)])
    var node = Solo(term: 1, members: members)
    node.append(term: 1)
    let effects = node.tick(2 * limits.electionTicks)
    #expect(effects.contains(.roleChanged(.follower, term: Term(1), leader: nil)) && node.replica.leader == nil)
    #expect(effects.messages.isEmpty)
  }

  @Test("what waits for a disk that hangs is bounded: of acknowledgements the latest, of all else so many")
  func unstoredMessages() {
    var limits = limits
    limits.unstoredMessages = 8
    var node = Solo(term: 1, limits: limits)
    for round in 1...UInt64(500) {
      node.append(term: 2, [2], round: round)
      node.receive(.ask(2), from: 3)
    }
    let sent = node.store().messages
    #expect(sent.count <= 9)
    #expect(sent.count { if case .appendReply = $0 { true } else { false } } <= 2)
    #expect(sent.contains(.accepted(2, 0, round: 500)))
  }

  @Test("a cluster whose leader's disk hangs has another leader soon, and the first one back when its disk answers")
  func cluster() {
    script(3, preferredLeader: 1) { cluster in
      cluster.elect(1)
      cluster[1].isDiskStalled = true
      cluster.write(1)
      cluster.pass(limits.diskTicks + 2 * limits.electionTicks)
      #expect(!cluster[1].isLeader && cluster.leaders.count == 1)
      for _ in 0..<20 {
        if let leader = cluster.leader { cluster.propose(leader) }
        cluster.pass(limits.electionTicks)
        #expect(cluster.leader != nil && !cluster[1].isLeader && cluster.leader?.replica?.transferee == nil)
      }
      let before = cluster.checks.committedIndex
      cluster.write(cluster.leader.map { Int($0.id.rawValue) } ?? 1)
      #expect(cluster.checks.committedIndex > before)
      cluster[1].isDiskStalled = false
      cluster.pass(10 * limits.electionTicks + limits.preferredLeaderTicks)
      #expect(cluster[1].isLeader && cluster.areLogsEqual)
    }
  }

  @Test("a named leader whose disk hangs within a term is not offered the lead: no proposal is held for it")
  func namedLeader() {
    script(3, preferredLeader: 2) { cluster in
      cluster.elect(1)
      cluster[2].isDiskStalled = true
      for _ in 0..<20 * limits.electionTicks {
        cluster.propose(cluster[1])
        cluster.pass(1)
      }
      let refused = cluster[1].effects.count { $0 == .proposalRefused(.transferring) }
      #expect(cluster[1].isLeader && refused == 0)
      cluster[2].isDiskStalled = false
      cluster.pass(6 * limits.electionTicks)
      #expect(cluster[2].isLeader)
    }
  }
}
