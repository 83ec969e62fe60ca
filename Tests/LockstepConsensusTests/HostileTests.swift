import LockstepConsensus
import Testing

/// What a peer sends is data: it may be refused, it must not stop a replica, and what is refused changes nothing.
@Suite("hostile messages") struct HostileTests {
  @Test("a slice of 2^64 entries is counted without a trap") func sliceCount() {
    #expect(LogSlice(first: .zero, last: LogIndex(.max)).count == .max)
    #expect(LogSlice(first: LogIndex(1), last: LogIndex(.max)).count == .max)
    #expect(LogSlice(first: LogIndex(.max), last: LogIndex(.max)).count == 1)
    #expect(LogSlice(first: LogIndex(2), last: LogIndex(1)).count == 0)
  }

  @Test("an append that claims 2^64 entries and brings none is refused") func hugeSlice() {
    var follower = Solo(term: 1)
    let request = AppendRequest(
      term: Term(1), previous: .zero, entries: LogSlice(first: .zero, last: LogIndex(.max)), commit: LogIndex(.max),
      readRound: .max)
    #expect(follower.receive(.append(request), from: 2).violations == [.gap])
  }

  @Test("a term that no elections lead to is refused, so that terms are not used up", arguments: [1 << 33, UInt64.max])
  func farTerm(term: UInt64) {
    var node = Solo(term: 5, log: [1])
    let messages: [Message] = [
      .ask(term, last: (9, 9)), .ask(term, last: (9, 9), isPreVote: true), .vote(granted: false, term),
      .vote(granted: true, term), .accepted(term, 0), .rejected(term, previous: 1), .timeoutNow(term: Term(term)),
      .readIndex(.init(term: Term(term), id: ReadID(1))),
      .readIndexReply(.init(term: Term(term), id: ReadID(1), index: nil)),
    ]
    for message in messages {
      #expect(node.receive(message, from: 2) == [.protocolViolation(NodeID(2), .impossibleTerms)])
    }
    #expect(node.append(term: term).violations == [.impossibleTerms])
    #expect(node.term == 5 && node.role == .follower)
  }

  @Test("there is neither a leader nor a candidate in term 0") func termZero() {
    var node = Solo()
    #expect(node.append(term: 0).violations == [.impossibleTerms])
    #expect(node.receive(.ask(0), from: 2).violations == [.impossibleTerms])
    #expect(node.append(term: 1, [0]).violations == [.impossibleTerms])
    #expect(node.replica.hardState == HardState())
  }

  @Test("a stranger is refused") func stranger() {
    var node = Solo()
    #expect(node.receive(.ask(1), from: 9) == [.protocolViolation(NodeID(9), .notAMember)])
    #expect(node.receive(.ask(1), from: 1) == [.protocolViolation(NodeID(1), .notAMember)])
  }

  @Test("entries whose terms go back, or are later than the message, are refused")
  func impossibleTerms() {
    var node = Solo(term: 4, log: [3])
    #expect(node.append(term: 4, after: (1, 3), [2]).violations == [.impossibleTerms])
    #expect(node.append(term: 4, after: (1, 3), [4, 3]).violations == [.impossibleTerms])
    #expect(node.append(term: 4, after: (1, 3), [5]).violations == [.impossibleTerms])
    #expect(node.append(term: 4, after: (1, 5)).violations == [.impossibleTerms])
    #expect(node.replica.role == .follower(leader: nil))
  }

  @Test("entries that do not follow from their predecessor are refused") func gaps() {
    var node = Solo(term: 1)
    func send(_ first: UInt64, _ last: UInt64, entries: ReceivedEntries) -> [ProtocolViolation] {
      let request = AppendRequest(
        term: Term(1), previous: .zero, entries: LogSlice(first: LogIndex(first), last: LogIndex(last)), commit: .zero,
        readRound: 0)
      return node.receive(.append(request), entries: entries, from: 2).violations
    }
    let one = ReceivedEntries(first: LogIndex(1), terms: [Term(1)], ends: [1])
    #expect(send(1, 2, entries: one) == [.gap])
    #expect(send(2, 2, entries: ReceivedEntries(first: LogIndex(2), terms: [Term(1)], ends: [1])) == [.gap])
    #expect(send(1, 1, entries: ReceivedEntries(first: LogIndex(2), terms: [Term(1)], ends: [1])) == [.gap])
    #expect(send(1, 1, entries: ReceivedEntries(first: LogIndex(1), terms: [Term(1)], ends: [])) == [.gap])
    #expect(send(1, 1, entries: one) == [])
  }

  @Test("an acknowledgement of what was never sent is refused") func impossibleAcknowledgement() {
    var leader = Solo.leader()
    #expect(leader.receive(.accepted(1, 2), from: 2).violations == [.impossibleAcknowledgement])
    #expect(leader.receive(.accepted(1, .max), from: 2).violations == [.impossibleAcknowledgement])
    #expect(leader.receive(.accepted(1, 1, round: 1), from: 2).violations == [.impossibleAcknowledgement])
    #expect(leader.commit == 0)
    let nonsense: [Message] = [
      .rejected(1, previous: .max, hint: (.max, .max)), .rejected(1, previous: .max - 1, hint: (.max, 0)),
      .rejected(1, previous: 0, hint: (.max, .max)),
    ]
    for message in nonsense { #expect(leader.receive(message, from: 2).violations == []) }
  }

  @Test("a second leader of a term is refused by the first and by its followers") func secondLeader() {
    var leader = Solo.leader()
    #expect(leader.append(from: 2, term: 1, [1]).violations == [.secondLeader(Term(1))])
    var follower = Solo(term: 1)
    follower.append(from: 2, term: 1)
    #expect(follower.append(from: 3, term: 1, [1]).violations == [.secondLeader(Term(1))])
    #expect(follower.replica.leader == NodeID(2) && follower.last == 0)
  }

  @Test("an entry that its leader has sent in this term is not taken back") func takesBackItsOwnEntry() {
    var follower = Solo(term: 1)
    follower.append(term: 1, [1, 1], commit: 1)
    follower.store()
    #expect(follower.append(term: 2, after: (1, 1), [2]).violations == [])
    #expect(follower.append(term: 2, after: (1, 1), [1]).violations == [.takesBackItsOwnEntry(LogIndex(2))])
    #expect(follower.last == 2 && follower.commit == 1)
  }

  @Test("no message at all stops a replica", arguments: 0..<4) func anything(half: UInt64) {
    for seed in (1...UInt64(150)) where seed % 4 == half {
      var generator = Generator(seed: seed)
      var node = Solo(of: 1 + UInt64(generator.below(4)), term: 1, log: [1, 1])
      for _ in 0..<400 {
        let message = Garbage.anything(for: node.replica, &generator)
        var entries = ReceivedEntries.none
        if case .append(let request) = message.message {
          entries = ReceivedEntries(first: request.entries.first, message.entries)
        }
        node.receive(message.message, entries: entries, from: UInt64(1 + generator.below(5)))
        switch generator.below(8) {
        case 0: node.tick(generator.below(25))
        case 1: node.step(.proposed(sizes: [generator.below(300)]))
        case 2: node.step(.readRequested(ReadID(generator.next())))
        case 3: node.step(.linkLost(NodeID(UInt64(generator.below(5)))))
        case 4: node.step(.linkRestored(NodeID(UInt64(generator.below(5)))))
        case 5: node.step(.transferRequested(NodeID(UInt64(generator.below(5)))))
        default: node.store()
        }
        // A member is believed that this node's history is another: it stops, and the next one is asked.
        if node.replica.divergence != nil { node = Solo(of: 3, term: 1, log: [1, 1]) }
      }
    }
  }
}
