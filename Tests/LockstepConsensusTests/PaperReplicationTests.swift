import LockstepConsensus
import Testing

/// Replication and commitment, rule by rule. Quotations are from the Raft paper unless they name the thesis.
@Suite("paper: replication") struct PaperReplicationTests {
  @Test(
    "figure 2, AppendEntries 2: false without \"an entry at prevLogIndex whose term matches prevLogTerm\"",
    arguments: [(3, 3), (2, 2), (9, 9)] as [(UInt64, UInt64)])
  func previousMissing(previous: (UInt64, UInt64)) {
    var node = Solo(term: 9, log: [1, 1])
    let effects = node.append(term: 9, after: previous, [9], commit: 9)
    guard case .rejected(let index, _)? = effects.replies(to: 2).first?.verdict else {
      Issue.record("not rejected")
      return
    }
    #expect(index == LogIndex(previous.0))
    #expect(node.last == 2 && node.commit == 0 && effects.accepted.isEmpty)
  }

  @Test("figure 2, AppendEntries 3: on a conflict \"delete the existing entry and all that follow it\"")
  func conflict() {
    var node = Solo(term: 4, log: [1, 2, 2, 2])
    let effects = node.append(term: 4, after: (1, 1), [2, 3])
    #expect(effects.accepted == [LogSlice(first: LogIndex(3), last: LogIndex(3))])
    #expect(effects.writes.map(\.entries) == [LogSlice(first: LogIndex(3), last: LogIndex(3))])
    #expect(node.last == 3 && node.replica.log.lastID.term == Term(3))
    #expect(node.replica.log.durable == LogIndex(2))
  }

  @Test("figure 2, AppendEntries 3: without a conflict nothing is deleted") func noConflict() {
    var node = Solo(term: 1)
    node.append(term: 1, [1, 1, 1, 1])
    node.store()
    for (previous, terms) in [(0, [1]), (0, [1, 1]), (2, [1]), (3, []), (0, [])] as [(UInt64, [UInt64])] {
      let effects = node.append(term: 1, after: (previous, previous == 0 ? 0 : 1), terms)
      #expect(effects.accepted.isEmpty && effects.writes.isEmpty && node.last == 4)
      #expect(effects.matches(to: 2) == [4])
    }
  }

  @Test("figure 2, AppendEntries 4: \"Append any new entries not already in the log\"") func onlyNewEntries() {
    var node = Solo(term: 1, log: [1, 1])
    let effects = node.append(term: 1, [1, 1, 1, 1])
    #expect(effects.accepted == [LogSlice(first: LogIndex(3), last: LogIndex(4))])
  }

  @Test("figure 2, AppendEntries 5: \"set commitIndex = min(leaderCommit, index of last new entry)\"")
  func commitIndex() {
    var node = Solo(term: 2, log: [1, 1, 1, 1])
    #expect(node.append(term: 2, after: (2, 1), commit: 4).commits == [2])
    #expect(node.append(term: 2, after: (2, 1), [1], commit: 4).commits == [3])
    #expect(node.append(term: 2, after: (3, 1), [1, 2], commit: 4).commits == [4])
    #expect(node.append(term: 2, after: (1, 1), commit: 2).commits == [])
    #expect(node.commit == 4)
  }

  @Test("figure 2: \"Updated on stable storage before responding\": entries are acknowledged when they are stored")
  func acknowledgedWhenStored() {
    var node = Solo(term: 1)
    #expect(node.append(term: 1, [1, 1]).matches(to: 2).allSatisfy { $0 == 0 })
    #expect(node.append(term: 1, after: (2, 1), [1]).matches(to: 2).allSatisfy { $0 == 0 })
    #expect(node.store().matches(to: 2) == [3])
  }

  @Test("an acknowledgement goes no further than the log is known to be the leader's")
  func acknowledgedWhenVerified() {
    var node = Solo(term: 2, log: [1, 1, 1, 1])
    #expect(node.append(term: 2, after: (2, 1)).matches(to: 2) == [2])
    // A new term, a new leader: what was verified with the one before says nothing.
    node.append(from: 3, term: 3, after: (1, 1))
    #expect(node.store().matches(to: 3) == [1])
  }

  @Test("figure 2: \"a majority of matchIndex[i] >= N, and log[N].term == currentTerm: set commitIndex = N\"")
  func commitByMajority() {
    var leader = Solo.leader(of: 5)
    leader.step(.proposed(sizes: [1, 1]))
    leader.store()
    #expect(leader.receive(.accepted(1, 2), from: 2).commits == [])
    #expect(leader.receive(.accepted(1, 3), from: 3).commits == [2])
    #expect(leader.receive(.accepted(1, 3), from: 4).commits == [3])
    #expect(leader.receive(.accepted(1, 3), from: 5).commits == [])
  }

  @Test("5.4.2: \"Only log entries from the leader's current term are committed by counting replicas\"")
  func ownTermOnly() {
    var leader = Solo.leader(of: 3, term: 4, log: [1, 2, 2])
    #expect(leader.receive(.accepted(4, 3), from: 2).commits == [])
    #expect(leader.receive(.accepted(4, 3), from: 3).commits == [])
    // "once an entry from the current term has been committed in this way, then all prior entries are committed
    // indirectly"
    #expect(leader.receive(.accepted(4, 4), from: 2).commits == [4])
  }

  @Test("thesis 10.2.1: the leader writes \"in parallel\" with replication, and counts itself when its write is done")
  func ownCopy() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    #expect(leader.commit == 1)
    let effects = leader.step(.proposed(sizes: [1]))
    #expect(effects.writes.count == 1 && effects.appends(to: 2).first?.entries.count == 1)
    // One follower and a write that is under way are no majority.
    #expect(leader.receive(.accepted(1, 2), from: 2).commits == [])
    #expect(leader.store().commits == [2])
  }

  @Test("thesis 10.2.1: the leader \"may even commit an entry before it has been written to its own disk\"")
  func followersFirst() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    leader.step(.proposed(sizes: [1]))
    leader.receive(.accepted(1, 2), from: 2)
    #expect(leader.receive(.accepted(1, 2), from: 3).commits == [2])
    #expect(leader.replica.log.durable == LogIndex(1))
  }

  @Test("thesis 10.2.2: pipelining: an append does not wait for the acknowledgement of the one before")
  func pipelining() {
    var leader = Solo.leader(of: 2)
    leader.receive(.accepted(1, 1), from: 2)
    for index in 2...UInt64(4) {
      let sent = leader.step(.proposed(sizes: [1])).appends(to: 2)
      #expect(sent.map(\.previous.index) == [LogIndex(index - 1)])
    }
  }

  @Test("5.3: a rejection names \"the term of the conflicting entry and the first index it stores for that term\"")
  func hint() {
    var node = Solo(term: 9, log: [1, 1, 4, 4, 4, 6, 6])
    func hint(_ index: UInt64, _ term: UInt64) -> EntryID? {
      guard case .rejected(_, let hint)? = node.append(term: 9, after: (index, term)).replies(to: 2).first?.verdict
      else { return nil }
      return hint
    }
    node.append(term: 9)
    node.store()
    #expect(hint(20, 8) == EntryID(term: Term(6), index: LogIndex(7)))
    #expect(hint(7, 5) == EntryID(term: Term(4), index: LogIndex(5)))
    #expect(hint(5, 3) == EntryID(term: Term(1), index: LogIndex(2)))
    #expect(hint(2, 8) == EntryID(term: Term(1), index: LogIndex(1)))
    #expect(hint(1, 7) == .zero)
  }

  @Test("5.3: \"the leader decrements nextIndex and retries\", never below what was acknowledged") func backOff() {
    var leader = Solo.leader(of: 2, term: 5, log: [1, 1, 3, 3])
    let probe = leader.receive(.rejected(5, previous: 4, hint: (4, 2)), from: 2).appends(to: 2)
    #expect(probe.map(\.previous.index) == [LogIndex(2)])
    // A rejection that comes twice is answered once.
    #expect(leader.receive(.rejected(5, previous: 4, hint: (4, 2)), from: 2).appends(to: 2).isEmpty)
    leader.receive(.accepted(5, 2), from: 2)
    let state = leader.replica.progress[0].state
    leader.receive(.rejected(5, previous: 2, hint: (0, 0)), from: 2)
    leader.receive(.rejected(5, previous: 1, hint: (0, 0)), from: 2)
    #expect(leader.replica.progress[0].state == state)
    #expect(leader.replica.progress[0].match == LogIndex(2) && leader.replica.progress[0].next > LogIndex(2))
  }

  @Test("5.3: the commit index goes with \"future AppendEntries RPCs (including heartbeats)\"")
  func commitIsTold() {
    var leader = Solo.leader(of: 3)
    leader.receive(.accepted(1, 1), from: 2)
    #expect(leader.commit == 1)
    #expect(leader.tick().appends(to: 2).map(\.commit) == [LogIndex(1)])
  }

  @Test("5.5: \"Raft RPCs are idempotent\"") func idempotent() {
    var node = Solo(term: 1)
    node.append(term: 1, [1, 1], commit: 1)
    node.store()
    let before = node.replica.hardState
    let again = node.append(term: 1, [1, 1], commit: 1)
    #expect(again.writes.isEmpty && again.commits.isEmpty && again.matches(to: 2) == [2])
    #expect(node.replica.hardState == before)
  }

  @Test("6: a joint configuration commits with \"separate majorities from both the old and new configurations\"")
  func joint() {
    let members = Members(
      voters: [NodeID(1), NodeID(2), NodeID(3)], outgoingVoters: [NodeID(1), NodeID(4), NodeID(5)])
    var leader = Solo.leader(members: members)
    #expect(leader.role == .leader)
    #expect(leader.receive(.accepted(1, 1), from: 2).commits == [])
    #expect(leader.receive(.accepted(1, 1), from: 3).commits == [])
    #expect(leader.receive(.accepted(1, 1), from: 4).commits == [1])
    var candidate = Solo(members: members)
    candidate.campaign()
    candidate.store()
    candidate.receive(.vote(granted: true, 1), from: 2)
    candidate.receive(.vote(granted: true, 1), from: 3)
    #expect(candidate.role == .candidate)
    candidate.receive(.vote(granted: true, 1), from: 5)
    #expect(candidate.role == .leader)
  }

  @Test("a write never calls more committed than the disk held before it: half of it may be lost") func commitHint() {
    // The follower's third entry is another than the leader's, which is committed.
    var node = Solo(term: 2, log: [1, 1, 2])
    let write = node.append(term: 3, after: (2, 1), [3], commit: 3).writes.first
    #expect(node.commit == 3)
    #expect(write?.entries == LogSlice(first: LogIndex(3), last: LogIndex(3)))
    #expect(write?.hardState.commit == LogIndex(2))
  }
}
