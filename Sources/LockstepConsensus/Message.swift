// What replicas of a group say to each other. These are values; LockstepWire knows their bytes.

package enum Message: Hashable, Sendable {
  case append(AppendRequest)
  case appendReply(AppendReply)
  case vote(VoteRequest)
  case voteReply(VoteReply)
  case timeoutNow(term: Term)
  case readIndex(ReadIndexRequest)
  case readIndexReply(ReadIndexReply)

  package var term: Term {
    switch self {
    case .append(let message): message.term
    case .appendReply(let message): message.term
    case .vote(let message): message.term
    case .voteReply(let message): message.term
    case .timeoutNow(let term): term
    case .readIndex(let message): message.term
    case .readIndexReply(let message): message.term
    }
  }
}

/// Raft figure 2, AppendEntries. The entries themselves travel beside it: the core only needs to know which.
package struct AppendRequest: Hashable, Sendable {
  package var term: Term
  package var previous: EntryID
  package var entries: LogSlice
  package var commit: LogIndex
  package var readRound: UInt64
  /// Every member's disk has all up to here.
  package var storedByAll: LogIndex
  /// All up to `previous` is compacted at the leader, and what it knows of the receiver's log ends before that.
  package var needsSnapshot: Bool
  /// The receiver is to say so as soon as it has applied more, until it has applied all up to here.
  package var reportApplied: LogIndex

  package init(
    term: Term, previous: EntryID, entries: LogSlice, commit: LogIndex, readRound: UInt64,
    storedByAll: LogIndex = .zero, needsSnapshot: Bool = false, reportApplied: LogIndex = .zero
  ) {
    self.reportApplied = reportApplied
    self.storedByAll = storedByAll
    self.needsSnapshot = needsSnapshot
    self.term = term
    self.previous = previous
    self.entries = entries
    self.commit = commit
    self.readRound = readRound
  }
}

/// What the core has to know of entries that arrived with an AppendRequest; the driver keeps the bytes.
package struct ReceivedEntries: Sendable {
  package var first: LogIndex
  /// For each entry its term.
  package var terms: [Term]
  /// For each entry, where its bytes end; only the differences matter.
  package var ends: [Int]
  /// The configurations among them.
  package var configurations: [(index: LogIndex, members: Members)]

  package init(
    first: LogIndex, terms: [Term], ends: [Int], configurations: [(index: LogIndex, members: Members)] = []
  ) {
    self.first = first
    self.terms = terms
    self.ends = ends
    self.configurations = configurations
  }

  package static let none = ReceivedEntries(first: LogIndex(1), terms: [], ends: [])
}

package struct AppendReply: Hashable, Sendable {
  package enum Verdict: Hashable, Sendable {
    /// Durable here, and equal to the leader's log, up to this index.
    case accepted(match: LogIndex)
    /// There is no entry like `previous` here. The logs may agree up to the hint.
    case rejected(previous: LogIndex, hint: EntryID)
  }
  package var term: Term
  package var verdict: Verdict
  package var readRound: UInt64
  /// The sender's machine has yet to carry out what was found on the disk: as a leader it would answer nobody. The
  /// driver knows and fills it in.
  package var isReplaying = false
  /// The sender's machine has carried out all up to here. The driver knows and fills it in.
  package var applied: LogIndex = .zero
  package var room = LogRoom.ample

  package init(term: Term, verdict: Verdict, readRound: UInt64) {
    self.term = term
    self.verdict = verdict
    self.readRound = readRound
  }
}

package struct VoteRequest: Hashable, Sendable {
  /// That of the candidacy; for a pre-vote, the term that it would have.
  package var term: Term
  package var last: EntryID
  package var isPreVote: Bool
  /// The leader asked for this candidacy (thesis section 3.10).
  package var isTransfer: Bool

  package init(term: Term, last: EntryID, isPreVote: Bool, isTransfer: Bool) {
    self.term = term
    self.last = last
    self.isPreVote = isPreVote
    self.isTransfer = isTransfer
  }
}

package struct VoteReply: Hashable, Sendable {
  /// Granted: that of the request. Refused: the voter's own.
  package var term: Term
  package var isGranted: Bool
  package var isPreVote: Bool

  package init(term: Term, isGranted: Bool, isPreVote: Bool) {
    self.term = term
    self.isGranted = isGranted
    self.isPreVote = isPreVote
  }
}

package struct ReadIndexRequest: Hashable, Sendable {
  package var term: Term
  package var id: ReadID
  package init(term: Term, id: ReadID) {
    self.term = term
    self.id = id
  }
}

package struct ReadIndexReply: Hashable, Sendable {
  package var term: Term
  package var id: ReadID
  /// nil: refused, ask again.
  package var index: LogIndex?
  package init(term: Term, id: ReadID, index: LogIndex?) {
    self.term = term
    self.id = id
    self.index = index
  }
}
