package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// The state that a group starts with: as its last whole snapshot has it, or as it was before the first command. What the
/// log has behind it is carried out when the node runs.
package struct StateRecovery {
  private let store: SnapshotStore
  private let log: DurableLog
  private let notice: (String) -> Void

  /// `notice` is called with what an operator should know: of snapshots that are damaged.
  package init(store: SnapshotStore, log: DurableLog, notice: @escaping (String) -> Void) {
    self.store = store
    self.log = log
    self.notice = notice
  }

  /// `first`: the machine as it is before the first command. Refused when the log has lost what a snapshot holds, and when
  /// no snapshot is whole and the log does not reach back to its first entry.
  package func restore(
    _ group: GroupID, first: any StateMachine, recovered: RecoveredGroup?
  ) throws(StorageError) -> (executor: Executor, snapshot: StoredSnapshot?) {
    var (failure, damaged): (StorageError?, [SnapshotName]) = (nil, [])
    for name in try store.names(of: group) {
      do throws(StorageError) {
        let file = try store.open(name)
        try admit(file, of: group, last: recovered?.last.index ?? .zero)
        let executor = try Self.executor(from: file, first: first)
        // In the place of one that is whole they would only be in the way of the next.
        for name in damaged { try store.remove(name) }
        return (executor, file.stored)
      } catch {
        guard case .damaged = error else { throw error }
        failure = failure ?? error
        damaged.append(name)
        notice("\(error); what was before it is used")
      }
    }
    guard recovered?.base.id.index ?? .zero == .zero else {
      throw failure
        ?? .refused(
          path: store.path,
          reason:
            "the log of group \(group) begins behind entry \(recovered?.base.id.index ?? .zero), and there is no snapshot up to it"
        )
    }
    return (Executor(group: group, machine: first), nil)
  }

  private func admit(_ file: SnapshotFile, of group: GroupID, last: LogIndex) throws(StorageError) {
    let entry = file.header.last
    guard entry.id.index <= last else {
      throw .refused(
        path: file.path,
        reason: "the state up to entry \(entry.id.index), and the log ends with entry \(last): its end was lost")
    }
    guard try log.goesOn(behind: entry, of: group) else {
      throw .refused(path: file.path, reason: "the log does not go on behind its last entry, \(entry.id)")
    }
  }

  /// The state that is in a file, all of which is read. `first`: the machine as it is before the first command.
  package static func executor(from file: SnapshotFile, first: any StateMachine) throws(StorageError) -> Executor {
    let header = file.header
    var failure: StorageError?
    var reader = SnapshotReader("the state in \(file.path)", version: header.machineVersion) { () throws(Status) in
      do throws(StorageError) { return try file.next() } catch {
        failure = error
        throw Status(.dataLoss, "\(error)")
      }
    }
    do throws(Status) {
      return try Executor(
        group: header.group, first: first, last: header.last.id, time: header.time, digest: header.digest, from: &reader
      )
    } catch {
      if let failure { throw failure }
      guard error.code == .dataLoss else { throw .refused(path: file.path, reason: error.message) }
      throw .damaged(file: file.path, offset: 0, reason: error.message)
    }
  }
}
