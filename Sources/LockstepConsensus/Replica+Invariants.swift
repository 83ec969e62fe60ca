/// What the state was after the step before, as far as the invariants speak of change.
struct InvariantSummary: Sendable {
  var term = Term.zero
  var vote: NodeID?
  var commit = LogIndex.zero
  var leaderLast: LogIndex?
  var isFirst = true
}

extension Replica {
  /// Checked after every step, in release builds too: each is a comparison or two. A replica that finds one broken
  /// must not go on, for it would harm the others: it stops before any effect of the step is carried out.
  mutating func checkInvariants() {
    invariant(commit <= log.last, "commit index beyond the log")
    invariant(commit >= log.base.index, "commit index before the base of the log")
    invariant(log.durable >= log.base.index, "durable index before the base of the log")
    invariant(log.durable <= log.last, "durable index beyond the log")
    invariant(log.lastID.term <= term, "an entry of a term that this node has not reached")
    invariant(log.floor <= log.last.next, "memory begins beyond the log")
    if !summary.isFirst {
      invariant(term >= summary.term, "the term went back")
      // "each server will vote for at most one candidate in a given term" (Raft section 5.2).
      invariant(
        term > summary.term || summary.vote == nil || summary.vote == hardState.vote, "two votes in one term")
      invariant(commit >= summary.commit, "the commit index went back")
    }
    switch role {
    case .leader:
      invariant(hardState.vote == id, "a leader that did not vote for itself")
      invariant(log.lastID.term == term, "a leader without an entry of its own term")
      if let before = summary.leaderLast, term == summary.term {
        invariant(log.last >= before, "leader append-only: its log became shorter")
      }
      for peer in progress {
        invariant(peer.match < peer.next, "a follower's match index is not before its next index")
        invariant(peer.next > log.base.index, "a follower's next index is compacted")
        invariant(peer.next <= log.last.next, "a follower's next index is beyond the log")
      }
    case .follower, .preCandidate, .candidate:
      invariant(progress.isEmpty && transferee == nil, "a leader's state without the lead")
      invariant(verified <= log.last, "verified beyond the log")
      invariant(reads.waiting.isEmpty && reads.confirming.isEmpty, "a leader's reads without the lead")
    }
    summary = InvariantSummary(
      term: term, vote: hardState.vote, commit: commit, leaderLast: role == .leader ? log.last : nil, isFirst: false)
  }
}

/// A precondition in release builds too: a replica that does not hold what it must would harm the others.
private func invariant(_ holds: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
  precondition(holds(), message())
}
