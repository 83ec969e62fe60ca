// A committed entry that the leader does not have. It cannot happen while every node keeps what it has stored: "If a
// server has applied a log entry at a given index to its state machine, no other server will ever apply a different log
// entry for the same index" (State Machine Safety, Raft section 5.4.3). Where it is seen, a disk was put back to an
// earlier state, or copied, or two clusters met; nobody can say here whose history is the right one, so this node stops.
//
// What proves it is a message of a leader whose term is not behind this node's, however late it arrives: a leader has,
// from its first message on, "all the entries committed in previous terms" (Leader Completeness, section 5.4.3), those
// of its own term are made by itself alone (Election Safety), and it "never overwrites or deletes entries in its log"
// (Leader Append-Only). What it tells of its log is the term at `previous` and at each of its entries:
// - an index that is committed here has another term there: two entries of one index;
// - an entry behind all that is committed here has an earlier term than what is committed: terms never go back in a
//   log (section 5.3), so the leader lacks that too.
//
// No proof, and so no reason to stop: a candidate whose log is behind (it is only refused, section 5.4.1), a commit
// index below this node's (a leader learns anew what is committed, section 5.4.2), a `previous` that is not here but
// could follow (it is only rejected, section 5.3), and a follower's rejection (what it names need not be committed, and
// it may be late).

extension Replica {
  /// The first index of those told in this message, of a leader of this node's term or a later one, where the leader
  /// lacks what is committed here.
  func contradiction(in request: AppendRequest, _ entries: ReceivedEntries) -> LogIndex? {
    let previous = request.previous
    guard previous.index < commit else {
      guard let committed = log.term(at: commit) else { return nil }
      if previous.index == commit { return previous.term == committed ? nil : commit }
      return previous.term < committed ? commit : nil
    }
    guard agrees(previous) else { return previous.index }
    for number in entries.terms.indices {
      let index = entries.first.advanced(by: number)
      if index > commit { return nil }
      if !agrees(EntryID(term: entries.terms[number], index: index)) { return index }
    }
    return nil
  }

  /// Of what is compacted nothing is known that could differ.
  private func agrees(_ id: EntryID) -> Bool { log.contains(id) || log.lookup(id.index) == .compacted }

  /// From here on no event changes anything, and none has an effect: nothing is granted, acknowledged, answered or
  /// written any more. What waits on this node is refused, which promises nothing.
  mutating func diverge(at index: LogIndex, _ effects: inout [Effect]) {
    divergence = index
    effects.append(.diverged(index))
    becomeFollower(term: term, leader: nil, &effects)
    refuseForwardedReads(&effects)
    unstoredMessages.removeAll()
  }
}
