// InstallSnapshot (Raft section 7, figure 13). What is sent, and how, is the driver's: the core says who needs a snapshot,
// and takes over what it has come to. The state is on this node's disk before the core hears of it.

extension Replica {
  /// What this follower needs is compacted at its leader.
  func needSnapshot(_ request: AppendRequest, from leader: NodeID, _ effects: inout [Effect]) {
    guard request.needsSnapshot else { return }
    effects.append(.snapshotNeeded(atLeast: request.previous, leader: leader))
  }

  /// "If existing log entry has same index and term as snapshot's last included entry, retain log entries following it";
  /// otherwise "discard the entire log" (figure 13, steps 6 and 7). `term` is that of the node that it came from: "If RPC
  /// request or response contains term T > currentTerm: set currentTerm = T, convert to follower" (figure 2). A leader of
  /// an earlier term need not have what is in the snapshot, and must not be answered as if it had.
  mutating func install(_ id: EntryID, _ members: Members, term: Term, _ effects: inout [Effect]) {
    guard id.index > commit, id.term <= term, term.rawValue <= self.term.rawValue &+ limits.termLead else { return }
    if term > self.term { becomeFollower(term: term, leader: nil, &effects) }
    // A leader has "all the entries committed in previous terms" (Leader Completeness, section 5.4.3).
    guard role != .leader else { return }
    guard !log.contains(id) else { return commit(through: id.index, &effects) }
    // The leader of this term has what is committed, and has sent something else.
    guard id.index > verified else { return diverge(at: id.index, &effects) }
    log.reset(to: id)
    configurations = [(id.index, members)]
    unstoredFrom = nil
    effects.append(.reset(id))
    noteReplacedDisks()
    effects.append(.configured(members))
    commit(through: id.index, &effects)
  }
}
