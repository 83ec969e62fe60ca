import LockstepConsensus

/// Messages that are well formed as values and make no sense.
enum Garbage {
  private static let extremes: [UInt64] = [.max, .max - 1, .max - 2, 1 << 63, (1 << 63) - 1, 1 << 62]

  private static func extreme(_ generator: inout Generator) -> UInt64 {
    extremes[generator.below(extremes.count)]
  }

  /// One that no node can have sent to this replica, whatever happened: it has to be refused or ignored.
  static func impossible(for replica: Replica, _ generator: inout Generator) -> TestEnvelope {
    let term = replica.term
    let far = extreme(&generator)
    let farIndex = LogIndex(far)
    let entry = TestEntry(term: term, payload: .max, bytes: 1, members: nil)
    func append(_ previous: EntryID, _ slice: LogSlice, _ entries: [TestEntry]) -> TestEnvelope {
      let request = AppendRequest(term: term, previous: previous, entries: slice, commit: farIndex, readRound: 0)
      return TestEnvelope(message: .append(request), entries: entries)
    }
    let message: Message
    switch generator.below(12) {
    case 0: return append(replica.log.lastID, LogSlice(first: .zero, last: LogIndex(.max)), [])
    case 1: return append(replica.log.lastID, LogSlice(first: farIndex, last: farIndex), [entry])
    case 2:
      let previous = EntryID(term: term, index: farIndex)
      return append(previous, LogSlice(first: LogIndex(1), last: LogIndex(1)), [entry])
    case 3:
      let last = EntryID(term: Term(far), index: replica.log.last)
      return append(last, LogSlice(first: replica.log.last.next, last: replica.log.last), [])
    case 4:
      let none = LogSlice(first: LogIndex(1), last: .zero)
      message = .append(.init(term: Term(far), previous: .zero, entries: none, commit: .zero, readRound: 0))
    case 5: message = .vote(.init(term: Term(far), last: replica.log.lastID, isPreVote: false, isTransfer: true))
    case 6: message = .voteReply(.init(term: Term(far), isGranted: false, isPreVote: generator.below(2) == 0))
    case 7: message = .voteReply(.init(term: Term(far), isGranted: true, isPreVote: generator.below(2) == 0))
    case 8:
      message = .appendReply(.init(term: Term(far), verdict: .rejected(previous: farIndex, hint: .zero), readRound: 0))
    case 9: message = .appendReply(.init(term: term, verdict: .accepted(match: farIndex), readRound: 0))
    case 10: message = .appendReply(.init(term: term, verdict: .accepted(match: .zero), readRound: far))
    default: message = .timeoutNow(term: Term(far))
    }
    return TestEnvelope(message: message, entries: [])
  }

  /// Anything at all, near what the replica holds or near 2^64. It may mislead a replica, for a member is believed; it
  /// must never stop one.
  static func anything(for replica: Replica, _ generator: inout Generator) -> TestEnvelope {
    func number(near value: UInt64) -> UInt64 {
      switch generator.below(4) {
      case 0: extreme(&generator)
      case 1: UInt64(generator.below(4))
      default: value &+ UInt64(generator.below(5)) &- 2
      }
    }
    func someTerm() -> Term { Term(number(near: replica.term.rawValue)) }
    func someIndex() -> LogIndex { LogIndex(number(near: replica.log.last.rawValue)) }
    func someID() -> EntryID {
      let index = someIndex()
      if generator.below(2) == 0, let term = replica.log.term(at: index) { return EntryID(term: term, index: index) }
      return EntryID(term: someTerm(), index: index)
    }
    func flip() -> Bool { generator.below(2) == 0 }
    let message: Message
    switch generator.below(8) {
    case 0, 1:
      let previous = someID()
      let entries = (0..<generator.below(4)).map { _ in
        TestEntry(term: someTerm(), payload: generator.next(), bytes: generator.below(100), members: nil)
      }
      let first = flip() ? previous.index.next : someIndex()
      let last = flip() ? first.advanced(by: entries.count).previous : someIndex()
      let request = AppendRequest(
        term: someTerm(), previous: previous, entries: LogSlice(first: first, last: last), commit: someIndex(),
        readRound: number(near: 0))
      return TestEnvelope(message: .append(request), entries: entries)
    case 2:
      let verdict: AppendReply.Verdict =
        flip() ? .accepted(match: someIndex()) : .rejected(previous: someIndex(), hint: someID())
      var reply = AppendReply(term: someTerm(), verdict: verdict, readRound: number(near: 0))
      reply.isReplaying = flip()
      reply.room = LogRoom(missing: flip() ? 0 : 1, takesEntries: flip())
      message = .appendReply(reply)
    case 3: message = .vote(.init(term: someTerm(), last: someID(), isPreVote: flip(), isTransfer: flip()))
    case 4: message = .voteReply(.init(term: someTerm(), isGranted: flip(), isPreVote: flip()))
    case 5: message = .timeoutNow(term: someTerm())
    case 6: message = .readIndex(.init(term: someTerm(), id: ReadID(generator.next())))
    default:
      let index = flip() ? someIndex() : nil
      message = .readIndexReply(.init(term: someTerm(), id: ReadID(number(near: 0)), index: index))
    }
    return TestEnvelope(message: message, entries: [])
  }
}
