package import LockstepConsensus
import LockstepWire

// Whether a node may begin with a snapshot that lies in its directory: its log must go on from it. What is decided here is
// what a start does (StateRecovery), and what `lockstep log verify` says that one would do.

/// A group's log, as far as snapshots ask for it.
struct SnapshotLog {
  /// Nil: the log has nothing of the group.
  let ledger: GroupLedger?
  let reader: LogReader
  /// The end of what was read.
  let limit: LogPosition

  var last: LogIndex { ledger?.tail.last.index ?? .zero }

  func admit(_ file: SnapshotFile) throws(StorageError) {
    let entry = file.header.last
    guard entry.id.index <= last else { throw .lost(path: file.path, reason: Self.ahead(entry.id.index, last)) }
    guard try goesOn(behind: entry) else {
      throw .lost(path: file.path, reason: "the log does not go on behind its last entry, \(entry.id)")
    }
  }

  /// The log has this entry, or begins behind it, with the same history before it.
  func goesOn(behind entry: LogBase) throws(StorageError) -> Bool {
    guard let ledger, entry.id.index >= ledger.base.id.index, entry.id.index <= last,
      ledger.term(at: entry.id.index) ?? entry.id.term == entry.id.term
    else { return false }
    return try reader.chain(of: entry, in: ledger, until: limit) == entry.chain
  }

  static func ahead(_ index: LogIndex, _ last: LogIndex) -> String {
    "the state up to entry \(index), and the log ends with entry \(last): its end was lost"
  }
}

extension SnapshotStore {
  /// What a start must end with when this is wrong with a snapshot; nil: the one before it may be used.
  ///
  /// One beyond the end of the log is never passed over, whole or not: the log has lost entries that were committed, and
  /// an older state would hide that.
  package func end(_ error: StorageError, of name: SnapshotName, log last: LogIndex) -> StorageError? {
    switch error {
    case .damaged, .disk:
      guard name.index > last else { return nil }
      return .lost(
        path: path(of: name), reason: "\(SnapshotLog.ahead(name.index, last)), and it cannot be read: \(error)")
    case .lost, .refused, .outOfSpace, .locked, .invalidWrite, .stopped: return error
    }
  }

  /// No snapshot is whole, and the log begins in the middle.
  package func nothingReaches(_ base: LogIndex, of group: GroupID) -> StorageError {
    .lost(
      path: path,
      reason: "the log of group \(group) begins behind entry \(base), and there is no snapshot up to it")
  }
}
