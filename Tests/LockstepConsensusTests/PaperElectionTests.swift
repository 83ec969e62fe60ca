import LockstepConsensus
import Testing

/// Elections, rule by rule. Quotations are from the Raft paper unless they name the thesis.
@Suite("paper: elections") struct PaperElectionTests {
  @Test("5.1: \"If a server receives a request with a stale term number, it rejects the request\"") func staleTerm() {
    var node = Solo(term: 5, log: [4])
    let reply = node.append(term: 4, after: (1, 4), [4], commit: 2).replies(to: 2)
    #expect(reply == [.init(term: Term(5), verdict: .rejected(previous: LogIndex(1), hint: .zero), readRound: 0)])
    #expect(node.last == 1 && node.commit == 0 && node.replica.leader == nil)
    #expect(node.receive(.ask(4, last: (9, 4)), from: 2).grants(to: 2) == [])
  }

  @Test(
    "figure 2: \"If RPC request or response contains term T > currentTerm: set currentTerm = T\"",
    arguments: [
      // From a candidate the leader itself has sent: it does not listen to others in its own time (section 6).
      Message.ask(9, isTransfer: true), .vote(granted: false, 9), .vote(granted: false, 9, isPreVote: true),
      .rejected(9, previous: 1),
      .accepted(9, 1),
    ])
  func higherTerm(message: Message) {
    var leader = Solo.leader()
    leader.receive(message, from: 2)
    #expect(leader.role == .follower && leader.term == 9 && leader.replica.hardState.vote != NodeID(1))
    var candidate = Solo()
    candidate.campaign()
    candidate.store()
    candidate.receive(message, from: 2)
    #expect(candidate.role == .follower && candidate.term == 9)
  }

  @Test("5.2: it \"increments its current term and transitions to candidate state. It then votes for itself\"")
  func candidacy() {
    var node = Solo(term: 3, log: [2, 3])
    let effects = node.campaign()
    #expect(node.role == .candidate && node.term == 4 && node.replica.hardState.vote == NodeID(1))
    // "and issues RequestVote RPCs in parallel to each of the other servers": once its own vote is stored.
    #expect(!effects.messages.contains(.ask(4, last: (2, 3))))
    #expect(effects.writes.map(\.hardState) == [node.replica.hardState])
    let requests = node.store()
    for peer in [UInt64(2), 3] { #expect(requests.sent(to: peer) == [.ask(4, last: (2, 3))]) }
  }

  @Test("5.2: \"A candidate wins an election if it receives votes from a majority of the servers\"", arguments: 1...5)
  func majority(count: UInt64) {
    var node = Solo(of: count)
    node.campaign()
    // Its own vote is one of them, and counts when it is stored as any other.
    #expect(node.role == .candidate)
    node.store()
    var votes: UInt64 = 1
    while votes < count / 2 + 1 {
      #expect(node.role == .candidate)
      node.receive(.vote(granted: true, 1), from: votes + 1)
      // A repeated vote is one vote.
      node.receive(.vote(granted: true, 1), from: votes + 1)
      votes += 1
    }
    #expect(node.role == .leader)
  }

  @Test("5.2: votes count \"for the same term\" only") func votesOfTheSameTerm() {
    var node = Solo(term: 3)
    node.campaign()
    node.store()
    node.receive(.vote(granted: true, 3), from: 2)
    node.receive(.vote(granted: true, 5), from: 2)
    #expect(node.role == .candidate)
    node.receive(.vote(granted: true, 4), from: 2)
    #expect(node.role == .leader)
  }

  @Test("5.2: \"Each server will vote for at most one candidate in a given term, on a first-come-first-served basis\"")
  func oneVote() {
    var node = Solo()
    node.receive(.ask(1), from: 2)
    #expect(node.store().grants(to: 2) == [1])
    #expect(node.receive(.ask(1), from: 3).sent(to: 3) == [.vote(granted: false, 1)])
    // The same candidate may ask again: its answer was lost.
    #expect(node.receive(.ask(1), from: 2).grants(to: 2) == [1])
    #expect(node.receive(.ask(2), from: 3).messages.isEmpty)
    #expect(node.store().grants(to: 3) == [2])
  }

  @Test("figure 2: \"Updated on stable storage before responding to RPCs\": a vote waits for its write")
  func storedVote() {
    var node = Solo()
    #expect(node.receive(.ask(1), from: 2).messages.isEmpty)
    #expect(node.receive(.ask(1), from: 2).messages.isEmpty)
    #expect(node.receive(.ask(1), from: 3).messages.isEmpty)
    #expect(node.store().grants(to: 2) == [1, 1])
  }

  @Test("figure 2: \"votedFor\" survives a restart") func voteAfterRestart() {
    var node = Solo(term: 1, vote: 2)
    #expect(node.receive(.ask(1), from: 3).sent(to: 3) == [.vote(granted: false, 1)])
    #expect(node.receive(.ask(1), from: 2).grants(to: 2) == [1])
  }

  @Test("5.2: a leader whose \"term is at least as large as the candidate's current term\" ends the candidacy")
  func candidateHearsLeader() {
    var node = Solo(term: 3)
    node.campaign()
    node.store()
    // "If the term in the RPC is smaller than the candidate's current term, then the candidate rejects the RPC".
    node.append(from: 2, term: 3)
    #expect(node.role == .candidate)
    node.append(from: 2, term: 4)
    #expect(node.replica.role == .follower(leader: NodeID(2)))
    node.receive(.vote(granted: true, 4), from: 2)
    node.receive(.vote(granted: true, 4), from: 3)
    #expect(node.role == .follower)
  }

  @Test("5.2: \"election timeouts are chosen randomly from a fixed interval\", from one to two time-outs")
  func timeouts() {
    let ticks = TestCluster.smallLimits.electionTicks
    var counts = Array(repeating: 0, count: 2 * ticks)
    for seed in 1...UInt64(400) {
      var replica = Replica(
        .init(
          id: NodeID(1), members: Members(voters: [NodeID(1), NodeID(2)]), limits: TestCluster.smallLimits, seed: seed))
      var effects: [Effect] = []
      var waited = 0
      while replica.role == .follower(leader: nil) {
        replica.step(.tick, into: &effects)
        waited += 1
      }
      counts[waited] += 1
    }
    #expect(counts[..<ticks].allSatisfy { $0 == 0 } && counts[ticks...].allSatisfy { $0 > 0 })
  }

  @Test("5.2: a split vote ends when the candidates time out and begin anew") func splitVote() {
    var node = Solo()
    node.campaign()
    node.store()
    node.receive(.vote(granted: false, 1), from: 2)
    #expect(node.role == .candidate)
    node.receive(.vote(granted: false, 1), from: 3)
    #expect(node.role == .follower)
    node.campaign()
    #expect(node.role == .candidate && node.term == 2)
    // With no answers at all it begins anew too.
    node.tick(2 * TestCluster.smallLimits.electionTicks)
    #expect(node.role == .preCandidate)
  }

  @Test("5.2: a leader sends \"periodic heartbeats\", and a follower that hears them does not campaign")
  func heartbeats() {
    var leader = Solo.leader()
    var beats = 0
    var follower = Solo(3)
    for _ in 0..<60 {
      for request in leader.tick().appends(to: 3) {
        beats += 1
        follower.append(from: 1, term: 1, after: (request.previous.index.rawValue, request.previous.term.rawValue))
      }
      leader.receive(.accepted(1, 0), from: 3)
      follower.tick()
    }
    #expect(beats >= 30 && follower.role == .follower && leader.role == .leader)
  }

  @Test(
    "5.4.1: a voter denies its vote \"if its own log is more up-to-date than that of the candidate\"",
    arguments: [
      ((3, 3), true), ((4, 3), true), ((1, 4), true), ((2, 3), false), ((9, 2), false), ((0, 0), false),
    ] as [((UInt64, UInt64), Bool)])
  func upToDate(last: (UInt64, UInt64), isGranted: Bool) {
    var node = Solo(term: 4, log: [1, 2, 3])
    node.receive(.ask(5, last: last), from: 2)
    #expect(node.store().grants(to: 2) == (isGranted ? [5] : []))
    #expect(node.term == 5)
    var other = Solo(term: 4, log: [1, 2, 3])
    let reply = other.receive(.ask(5, last: last, isPreVote: true), from: 2).sent(to: 2)
    #expect(reply == [.vote(granted: isGranted, isGranted ? 5 : 4, isPreVote: true)])
  }

  @Test("thesis 9.6: a pre-candidate \"only increments its term if it first learns\" that a majority would vote for it")
  func preVote() {
    var node = Solo(of: 5, term: 3)
    var effects: [Effect] = []
    while node.role == .follower { effects = node.tick() }
    #expect(node.role == .preCandidate && node.term == 3 && effects.writes.isEmpty)
    #expect(effects.sent(to: 2) == [.ask(4, isPreVote: true)])
    node.receive(.vote(granted: true, 4, isPreVote: true), from: 2)
    #expect(node.term == 3)
    node.receive(.vote(granted: true, 4, isPreVote: true), from: 3)
    #expect(node.role == .candidate && node.term == 4)
  }

  @Test("thesis 9.6: a pre-vote is not recorded, and several candidates may have it") func preVoteIsNoVote() {
    var node = Solo(term: 3, vote: 1)
    for peer in [UInt64(2), 3, 2] {
      let reply = node.receive(.ask(4, isPreVote: true), from: peer)
      #expect(reply == [.send(.vote(granted: true, 4, isPreVote: true), to: NodeID(peer))])
    }
    #expect(node.replica.hardState == HardState(term: Term(3), vote: NodeID(1)))
  }

  @Test("thesis 9.6: a pre-vote for a term that is not ahead is refused with the term to catch up with")
  func preVoteOfOldTerm() {
    var node = Solo(term: 7)
    let reply = node.receive(.ask(6, isPreVote: true), from: 2).sent(to: 2)
    #expect(reply == [.vote(granted: false, 7, isPreVote: true)])
    var asking = Solo(2, term: 5)
    while asking.role == .follower { asking.tick() }
    asking.receive(reply[0], from: 1)
    #expect(asking.role == .follower && asking.term == 7)
  }

  @Test(
    "6: \"within the minimum election timeout of hearing from a current leader\" no vote is granted and no term updated",
    arguments: [true, false])
  func leaderRecent(isPreVote: Bool) {
    let ticks = TestCluster.smallLimits.electionTicks
    var node = Solo(term: 1)
    node.append(from: 2, term: 1)
    for _ in 0..<ticks - 1 {
      #expect(node.receive(.ask(2, last: (9, 9), isPreVote: isPreVote), from: 3).messages.isEmpty)
      node.tick()
    }
    #expect(node.term == 1 && node.role == .follower)
    node.tick()
    node.receive(.ask(2, last: (9, 9), isPreVote: isPreVote), from: 3)
    #expect(node.term == (isPreVote ? 1 : 2))
    // The leader itself does not listen either.
    var leader = Solo.leader()
    leader.receive(.ask(2, last: (9, 9), isPreVote: isPreVote), from: 3)
    #expect(leader.role == .leader && leader.term == 1)
  }

  @Test("thesis 6.2: a leader steps down \"without a successful round of heartbeats to a majority of its cluster\"")
  func checkQuorum() {
    let ticks = TestCluster.smallLimits.electionTicks
    var deserted = Solo.leader(of: 5)
    deserted.tick(ticks)
    for _ in 0..<ticks {
      #expect(deserted.role == .leader)
      deserted.tick()
      deserted.receive(.accepted(1, 0), from: 2)
    }
    #expect(deserted.role == .follower && deserted.replica.leader == nil && deserted.term == 1)
    var followed = Solo.leader(of: 5)
    for _ in 0..<6 * ticks {
      followed.tick()
      followed.receive(.accepted(1, 0), from: 2)
      followed.receive(.accepted(1, 0), from: 3)
    }
    #expect(followed.role == .leader)
  }

  @Test("8: \"having each leader commit a blank no-op entry into the log at the start of its term\"")
  func noOperation() {
    var node = Solo(of: 1, term: 4, log: [2, 4])
    node.campaign()
    let effects = node.store()
    let first = EntryID(term: Term(5), index: LogIndex(3))
    #expect(effects.contains(.append(first: first, count: 1, content: .noOperation)))
    #expect(node.commit == 0)
    #expect(node.store().commits == [3])
  }

  @Test("a node that does not vote does not campaign, and its vote does not count") func learner() {
    let members = Members(voters: [NodeID(2), NodeID(3), NodeID(4)], learners: [NodeID(1)])
    var learner = Solo(members: members)
    learner.tick(100)
    #expect(learner.role == .follower)
    var candidate = Solo(2, members: members)
    candidate.campaign()
    candidate.store()
    candidate.receive(.vote(granted: true, 1), from: 1)
    #expect(candidate.role == .candidate)
  }

  @Test("the preferred leader campaigns first at the start, and the others when it does not come")
  func preferredAtStart() {
    script(3, preferredLeader: 2) { cluster in
      cluster.pass(2 * cluster.limits.electionTicks / 3)
      #expect(cluster.leader?.id == NodeID(2))
    }
    script(3, preferredLeader: 2) { cluster in
      cluster.crash(cluster[2])
      cluster.pass(4 * cluster.limits.electionTicks)
      #expect(cluster.leader != nil)
    }
  }

  @Test("the preferred leader's first term over, all are as patient as ever: T to 2 T")
  func preferredAtFirstFailover() {
    let ticks = TestCluster.smallLimits.electionTicks
    for id in 1...12 as ClosedRange<UInt64> {
      var node = Solo(id, of: 12, preferredLeader: 1)
      let leader: UInt64 = id == 1 ? 2 : 1
      node.receive(.ask(1), from: leader)
      node.receive(
        .append(
          .init(
            term: Term(1), previous: EntryID(term: .zero, index: .zero),
            entries: LogSlice(first: LogIndex(1), last: .zero),
            commit: .zero, readRound: 0)), from: leader)
      node.tick(ticks - 1)
      #expect(node.role == .follower, "node \(id) lost patience early")
      node.tick(ticks + 1)
      #expect(node.role != .follower, "node \(id) is too patient")
    }
  }
}
