import LockstepConsensus
import Testing

/// InstallSnapshot: Raft section 7 and figure 13.
@Suite("a snapshot that is installed") struct InstallTests {
  private let three = Members(voters: [1, 2, 3].map { NodeID($0) })
  private func id(_ index: UInt64, _ term: UInt64) -> EntryID { EntryID(term: Term(term), index: LogIndex(index)) }

  private func needed(_ effects: [Effect]) -> [EntryID] {
    effects.compactMap { if case .snapshotNeeded(let entry, _) = $0 { entry } else { nil } }
  }

  private func isReset(_ effects: [Effect]) -> Bool {
    effects.contains { if case .reset = $0 { true } else { false } }
  }

  private func acknowledged(_ effects: [Effect], to peer: UInt64) -> [UInt64] {
    effects.replies(to: peer).compactMap { if case .accepted(let match) = $0.verdict { match.rawValue } else { nil } }
  }

  @Test(
    "a follower that needs what is compacted hears of it with each heartbeat, and is sent entries when it has the base")
  func leader() {
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1, 2, 2])
    leader.receive(.accepted(3, 5), from: 2)
    leader.step(.compacted(id(4, 2)))
    leader.receive(.rejected(3, previous: leader.replica.progress[1].next.previous.rawValue, hint: (1, 1)), from: 3)
    #expect(leader.replica.progress[1].state == .awaitingSnapshot)
    let heartbeats = leader.tick(leader.replica.limits.heartbeatTicks).appends(to: 3)
    #expect(heartbeats.last?.needsSnapshot == true && heartbeats.last?.previous == id(4, 2))
    let sent = leader.receive(.accepted(3, 4), from: 3).appends(to: 3)
    #expect(sent.map(\.previous) == [id(4, 2)] && sent.allSatisfy { !$0.needsSnapshot && !$0.entries.isEmpty })
  }

  @Test("a follower says what it needs, and to one that has it all the same the leader's word means nothing")
  func follower() {
    var node = Solo(term: 3, log: [1, 1])
    func hear(_ previous: EntryID, needs: Bool = true) -> [Effect] {
      node.receive(
        .append(
          AppendRequest(
            term: Term(3), previous: previous,
            entries: LogSlice(first: previous.index.next, last: previous.index), commit: LogIndex(4), readRound: 0,
            needsSnapshot: needs)), from: 2)
    }
    #expect(needed(hear(id(4, 2), needs: false)).isEmpty)
    #expect(needed(hear(id(4, 2))) == [id(4, 2)] && needed(hear(id(4, 2))) == [id(4, 2)])
    #expect(needed(hear(id(2, 1))).isEmpty)
  }

  @Test("figure 13, step 7: \"discard the entire log\"; it is acknowledged up to the base, which is durable already")
  func discards() {
    var node = Solo(term: 2, log: [1, 1, 1, 2, 2, 2, 2])
    node.append(term: 2, after: (7, 2), [2], commit: 2)
    let effects = node.step(.installed(id(6, 3), three, term: Term(3)))
    #expect(isReset(effects) && effects.contains(.commit(LogIndex(6))))
    let log = node.replica.log
    #expect(log.base == id(6, 3) && log.last == LogIndex(6) && log.durable == LogIndex(6) && node.commit == 6)
    // The write of entry 8 comes back, and makes nothing durable that is there no more.
    node.store()
    #expect(node.replica.log.durable == LogIndex(6))
    node.append(term: 3, after: (6, 3), [3], commit: 6)
    let replies = node.store()
    #expect(acknowledged(replies, to: 2).last == 7)
  }

  @Test("figure 13, step 6: \"retain log entries following it\" where the log has the entry; it is committed")
  func retains() {
    var node = Solo(term: 3, log: [1, 1, 2, 2, 2])
    let effects = node.step(.installed(id(4, 2), three, term: Term(3)))
    #expect(!isReset(effects) && effects.contains(.commit(LogIndex(4))))
    #expect(node.replica.log.base == .zero && node.replica.log.last == LogIndex(5))
  }

  @Test(
    "one that reaches no further than what is committed here changes nothing, and neither does one of a leader's log")
  func superseded() {
    var node = Solo(term: 2, log: [1, 1, 2])
    node.append(term: 2, after: (3, 2), [], commit: 3)
    #expect(
      node.step(.installed(id(3, 2), three, term: Term(2))).isEmpty
        && node.step(.installed(id(2, 1), three, term: Term(9))).isEmpty)
    var leader = Solo.leader(of: 3, term: 3, log: [1, 1])
    #expect(!isReset(leader.step(.installed(id(9, 3), three, term: Term(3)))))
    #expect(leader.replica.log.base == .zero && leader.role == .leader)
  }

  @Test(
    "figure 2: \"if RPC request or response contains term T > currentTerm: set currentTerm = T\": a leader of an earlier term, who may lack what is in it, is answered no more"
  )
  func laterTerm() {
    var node = Solo(term: 3, log: [1, 1])
    node.append(term: 3, after: (2, 1), [], commit: 2)
    // Committed by a leader of term 5, made in term 2: the leader of term 3 has others there.
    node.step(.installed(id(4, 2), three, term: Term(5)))
    #expect(node.term == 5 && node.replica.log.base == id(4, 2))
    node.store()
    let replies = node.append(term: 3, after: (2, 1), [3, 3, 3], commit: 2)
    #expect(acknowledged(replies, to: 2).isEmpty && node.replica.log.last == LogIndex(4))
    // A snapshot whose last entry is of a later term than whoever had it is none.
    #expect(node.step(.installed(id(9, 7), three, term: Term(6))).isEmpty)
    #expect(node.step(.installed(id(9, 7), three, term: Term(.max))).isEmpty)
  }

  @Test("one that contradicts what this term's leader has sent is of another history: this node stops")
  func contradicts() {
    var node = Solo(term: 2, log: [1, 1, 2])
    node.append(term: 2, after: (3, 2), [2], commit: 2)
    #expect(node.step(.installed(id(4, 1), three, term: Term(2))).contains(.diverged(LogIndex(4))))
    #expect(node.replica.log.base == .zero)
  }

  @Test("the configuration as of its last entry is in force, and none of those that the log had")
  func configuration() {
    let four = Members(voters: [1, 2, 3, 4].map { NodeID($0) })
    var node = Solo(term: 2, log: [1, 1, 2], configurations: [(LogIndex(2), four)])
    node.step(.installed(id(9, 2), three, term: Term(2)))
    #expect(node.replica.members == three && node.replica.configurations.map(\.index) == [LogIndex(9)])
  }
}
