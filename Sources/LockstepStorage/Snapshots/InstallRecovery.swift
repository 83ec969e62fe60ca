package import LockstepConsensus
import LockstepWire

/// A start after a crash in the middle of an install: a snapshot has arrived, and the log does not begin behind it yet. What
/// is up to its last entry was promised when it had arrived, so now it takes the log's place ("discard the entire log",
/// Raft figure 13), unless the log has that very entry.
package struct InstallRecovery {
  private let store: SnapshotStore
  private let log: DurableLog

  package init(store: SnapshotStore, log: DurableLog) {
    self.store = store
    self.log = log
  }

  /// What the log holds after that. Damage of what has arrived is refused: it may be all that is left of what was promised.
  package func complete(
    _ group: GroupID, recovered: RecoveredGroup?, notice: (String) -> Void
  ) throws(StorageError) -> RecoveredGroup? {
    try store.removeParts(of: group, through: recovered?.last.index ?? .zero)
    guard let (name, term) = try store.arrived(of: group).first else { return recovered }
    guard try store.names(of: group).contains(name) else {
      try store.settle(group) { _ in true }
      return recovered
    }
    let file = try store.open(name)
    let base = file.header.last
    var result = recovered
    let known = recovered?.base.id.index ?? .zero
    if base.id.index > known, try !log.goesOn(behind: base, of: group) {
      _ = try file.verify()
      result = try begin(behind: base, of: group, recovered, term: max(term, base.id.term))
      notice("the log begins behind entry \(base.id.index): a snapshot had arrived when the node ended")
    }
    try store.settle(group) { $0 == base.id.index && $0 >= known }
    return result
  }

  /// In a later term than any that this node knows it has not voted. What others had acknowledged is committed as before;
  /// of that, too, this log has nothing behind its base, and all before it is committed anyhow.
  private func begin(
    behind base: LogBase, of group: GroupID, _ recovered: RecoveredGroup?, term: Term
  ) throws(StorageError) -> RecoveredGroup {
    let state = recovered?.hardState ?? HardState()
    var hardState = state
    if term > state.term { (hardState.term, hardState.vote) = (term, nil) }
    hardState.commit = max(state.commit, base.id.index)
    try log.append([LogWrite(group: group, hardState: hardState, base: base)])
    return RecoveredGroup(
      group: group, hardState: hardState, base: base, last: base.id, lastChain: base.chain, terms: [],
      configurations: [], tail: [], acknowledged: min(recovered?.acknowledged ?? .zero, base.id.index))
  }
}
