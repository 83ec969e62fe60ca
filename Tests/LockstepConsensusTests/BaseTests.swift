import LockstepConsensus
import Testing

/// Replicas whose log begins behind a base: what is before it is committed and compacted.
@Suite("a log with a base") struct BaseTests {
  private func voters(_ count: UInt64) -> Members { Members(voters: (1...count).map { NodeID($0) }) }

  @Test("the base is committed and durable, and its members count until an entry of the log says otherwise")
  func start() {
    var node = Solo(of: 5, term: 4, base: (7, 3), log: [3, 4], configurations: [(LogIndex(9), voters(4))])
    #expect(node.commit == 7 && node.last == 9 && node.replica.log.durable == LogIndex(9))
    #expect(node.replica.members == voters(4))
    #expect(node.replica.configurations.map(\.index) == [LogIndex(7), LogIndex(9)])
    node.append(from: 2, term: 5, after: (8, 3), [5])
    #expect(node.replica.members == voters(5) && node.replica.configurations.count == 1)
    // A commit index on the disk that is behind the base, or beyond the log, is only a hint.
    #expect(Solo(term: 4, commit: 2, base: (7, 3)).commit == 7 && Solo(term: 4, commit: 99, base: (7, 3)).commit == 7)
  }

  @Test("a follower acknowledges what is compacted, and takes of a message what follows its base", arguments: 0...8)
  func overlap(previous: UInt64) {
    let terms: [UInt64] = [1, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    var node = Solo(term: 4, base: (7, 3), log: [3])
    let term = previous == 0 ? 0 : terms[Int(previous) - 1]
    for count in 0...terms.count - Int(previous) {
      var fresh = Solo(term: 4, base: (7, 3), log: [3])
      let some = Array(terms[Int(previous)..<Int(previous) + count])
      let effects = fresh.append(term: 4, after: (previous, term), some) + fresh.store()
      #expect(effects.matches(to: 2).last == max(7, previous + UInt64(count)))
      #expect(fresh.last == max(8, previous + UInt64(count)))
    }
    node.append(term: 4, after: (previous, term), Array(terms[Int(previous)...]), commit: 10)
    #expect(node.last == 10 && node.commit == 10 && node.replica.log.lastID.term == Term(4))
  }

  @Test("a leader that has another entry at the base contradicts it; before the base nothing is known to contradict")
  func contradiction() {
    var node = Solo(term: 4, base: (7, 3), log: [3])
    #expect(node.append(term: 4, after: (4, 4)).divergences.isEmpty)
    #expect(node.append(term: 4, after: (5, 2), [2, 3]).divergences.isEmpty)
    var other = node
    #expect(node.append(term: 4, after: (5, 2), [2, 2]).divergences == [7])
    #expect(other.append(term: 4, after: (9, 2)).divergences == [7])
  }

  @Test("a rejection names no index before the base") func hint() {
    var node = Solo(term: 9, base: (7, 3), log: [5, 5])
    let hints = [(20, 8), (9, 4), (8, 4)].map { index, term in
      node.append(term: 9, after: (UInt64(index), UInt64(term))).replies(to: 2).first?.verdict
    }
    let base = EntryID(term: Term(3), index: LogIndex(7))
    #expect(
      hints == [
        .rejected(previous: LogIndex(20), hint: EntryID(term: Term(5), index: LogIndex(9))),
        .rejected(previous: LogIndex(9), hint: base), .rejected(previous: LogIndex(8), hint: base),
      ])
  }

  @Test("a follower that needs what is compacted hears of its leader and is sent nothing, until it has the base")
  func awaitingSnapshot() {
    var leader = Solo.leader(of: 3, term: 5, base: (7, 3), log: [4])
    let base = EntryID(term: Term(3), index: LogIndex(7))
    #expect(leader.receive(.rejected(5, previous: 8, hint: (4, 2)), from: 2).appends(to: 2).isEmpty)
    func isStill(_ effects: [Effect]) -> Bool {
      leader.replica.progress[0].state == .awaitingSnapshot && effects.loads.isEmpty
        && effects.appends(to: 2).allSatisfy { $0.entries.isEmpty && $0.previous == base }
    }
    #expect(isStill(leader.step(.proposed(sizes: [1, 1]))))
    leader.receive(.accepted(5, 9), from: 3)
    for _ in 0..<3 {
      let heard = leader.tick(2)
      #expect(isStill(heard) && !heard.appends(to: 2).isEmpty)
      #expect(isStill(leader.receive(.rejected(5, previous: 7, hint: (4, 2)), from: 2)))
    }
    // A late acknowledgement of less, a link that comes and goes, a transfer: nothing moves it.
    #expect(isStill(leader.receive(.accepted(5, 3), from: 2)))
    leader.step(.linkLost(NodeID(2)))
    let probe = leader.step(.linkRestored(NodeID(2))).appends(to: 2)
    #expect(probe.map(\.previous) == [base])
    #expect(isStill(leader.receive(.rejected(5, previous: 7, hint: (4, 2)), from: 2)))
    // It confirms reads: it has heard this leader.
    let asked = leader.step(.readRequested(ReadID(1)))
    #expect(asked.appends(to: 2).map(\.readRound) == [1])
    let confirmed = leader.receive(.rejected(5, previous: 7, hint: (4, 2), round: 1), from: 2)
    #expect(confirmed.contains(.readReady(ReadID(1), LogIndex(9))))
    // It has the base.
    let sent = leader.receive(.accepted(5, 7, round: 1), from: 2)
    #expect(leader.replica.progress[0].state == .loading && sent.loads == [LogIndex(8)])
  }

  @Test("whatever happens behind the base happens as if the log had no base", arguments: 1...UInt64(60))
  func same(seed: UInt64) {
    var generator = Generator(seed: seed)
    let before: [UInt64] = (0..<1 + generator.below(9)).reduce(into: []) { terms, _ in
      terms.append((terms.last ?? 1) + UInt64(generator.below(2)))
    }
    let base = (UInt64(before.count), before[before.count - 1])
    let behind = (0..<generator.below(5)).map { _ in base.1 }
    var whole = Solo(term: base.1 + 1, commit: base.0, log: before + behind)
    var based = Solo(term: base.1 + 1, base: base, log: behind)
    for _ in 0..<150 {
      let one = Self.anything(behind: base, whole, &generator)
      #expect(one(&whole) == one(&based))
      #expect(whole.replica.hardState == based.replica.hardState && whole.role == based.role)
      #expect(whole.replica.log.lastID == based.replica.log.lastID)
    }
  }

  /// A step, drawn from what can follow for a node whose first entries up to `base` are committed.
  private static func anything(
    behind base: (UInt64, UInt64), _ node: Solo, _ generator: inout Generator
  ) -> (inout Solo) -> [Effect] {
    func index() -> UInt64 { base.0 + UInt64(generator.below(Int(node.last - base.0) + 3)) }
    let term = node.term + UInt64(generator.below(8) == 0 ? 1 : 0)
    let peer = UInt64(2 + generator.below(2))
    let ticks = 1 + generator.below(12)
    let (one, round) = (index(), UInt64(generator.below(3)))
    switch generator.below(10) {
    case 0, 1, 2:
      let previous = node.replica.log.term(at: LogIndex(one))?.rawValue ?? base.1 + UInt64(generator.below(2))
      let terms = (0..<generator.below(4)).map { _ in max(previous, term - UInt64(generator.below(2))) }.sorted()
      let commit = index()
      return { $0.append(from: peer, term: term, after: (one, previous), terms, commit: commit, round: round) }
    case 3: return { $0.receive(.accepted(term, one, round: round), from: peer) }
    case 4:
      let hint = (one, node.replica.log.term(at: LogIndex(one))?.rawValue ?? base.1)
      let previous = max(index(), one + 1)
      return { $0.receive(.rejected(term, previous: previous, hint: hint, round: round), from: peer) }
    case 5:
      let ask = Message.ask(term, last: (one, base.1), isPreVote: ticks > 6, isTransfer: ticks > 9)
      return { $0.receive(ask, from: peer) }
    case 6: return { $0.receive(.vote(granted: true, term + (ticks > 6 ? 1 : 0), isPreVote: ticks > 6), from: peer) }
    case 7: return { $0.step(.proposed(sizes: [ticks, 100 * ticks])) }
    case 8: return { $0.tick(ticks) }
    default: return { $0.store() }
    }
  }
}
