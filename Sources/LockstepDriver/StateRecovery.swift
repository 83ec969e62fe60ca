package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// The state that a group starts with: as its last whole snapshot has it, or as it was before the first command. What the
/// log has behind it is carried out when the node runs.
package struct StateRecovery {
  private let store: SnapshotStore
  private let log: DurableLog
  package let notice: (String) -> Void
  private let limits: SessionLimits

  /// `notice` is called with what an operator should know: of snapshots that are damaged.
  package init(
    store: SnapshotStore, log: DurableLog, limits: SessionLimits = .usual, notice: @escaping (String) -> Void
  ) {
    self.store = store
    self.log = log
    self.limits = limits
    self.notice = notice
  }

  /// `first`: the machine as it is before the first command. Refused when the log has lost what a snapshot holds, and when
  /// no snapshot is whole and the log does not reach back to its first entry.
  package func restore(
    _ group: GroupID, first: any StateMachine, recovered: RecoveredGroup?
  ) throws(StorageError) -> (executor: Executor, snapshot: StoredSnapshot?) {
    var (failure, damaged): (StorageError?, [SnapshotName]) = (nil, [])
    for name in try names(of: group) {
      do throws(StorageError) {
        guard let file = try open(name) else { continue }
        let executor = try Self.executor(from: file, first: first, limits)
        try remove(damaged)
        return (executor, file.stored)
      } catch {
        if let end = end(error, of: name, recovered) { throw end }
        failure = failure ?? error
        if case .damaged = error { damaged.append(name) }
        notice("\(error); what was before it is used")
      }
    }
    let base = recovered?.base.id.index ?? .zero
    guard base == .zero else { throw failure ?? store.nothingReaches(base, of: group) }
    return (Executor(group: group, machine: first, limits: limits), nil)
  }

  // MARK: What is there

  func names(of group: GroupID) throws(StorageError) -> [SnapshotName] { try store.names(of: group) }

  /// One that goes with this log; nil: it is another cluster's.
  func open(_ name: SnapshotName) throws(StorageError) -> SnapshotFile? {
    let file = try store.open(name)
    guard !store.isForeign(file) else {
      notice("\(file.path) is a snapshot of another cluster: it is left where it is, and not used")
      return nil
    }
    try log.admit(file)
    return file
  }

  /// What ends the start, when a snapshot cannot be used.
  func end(_ error: StorageError, of name: SnapshotName, _ recovered: RecoveredGroup?) -> StorageError? {
    store.end(error, of: name, log: recovered?.last.index ?? .zero)
  }

  func chain(at index: LogIndex, _ recovered: RecoveredGroup) throws(StorageError) -> UInt64? {
    let blocks = try log.read(group: recovered.group, from: index, through: index, maximumBytes: 1) { index in
      recovered.terms.last { $0.first <= index }?.term
    }
    return blocks.first?.chain(at: index)
  }

  func executor(
    _ group: GroupID, _ machine: any StoredMachine, in directory: String
  ) throws(StoredStateFailure) -> StoredExecutor {
    try StoredExecutor(group, machine, directory, limits)
  }

  func fill(
    _ directories: StateDirectories, _ machine: any StoredMachine, from file: SnapshotFile
  ) throws(StoredStateFailure) {
    try directories.fill(machine, from: file, limits)
  }

  /// In the place of one that is whole they would only be in the way of the next, and of who is sent the newest.
  func remove(_ damaged: [SnapshotName]) throws(StorageError) {
    for name in damaged {
      guard let problem = try store.tryToRemove(name) else { continue }
      notice("a snapshot that is not needed cannot be removed: \(problem)")
    }
  }

  /// The state that is in a file, all of which is read. `first`: the machine as it is before the first command.
  package static func executor(
    from file: SnapshotFile, first: any StateMachine, _ limits: SessionLimits = .usual
  ) throws(StorageError) -> Executor {
    let header = file.header
    var failure: StorageError?
    var reader = SnapshotReader("the state in \(file.path)", version: header.machineVersion) { () throws(CallStatus) in
      do throws(StorageError) { return try file.next() } catch {
        failure = error
        throw CallStatus(.dataLoss, "\(error)")
      }
    }
    do throws(CallStatus) {
      return try Executor(
        group: header.group, first: first, last: header.last.id, time: header.time, digest: header.digest,
        from: &reader, limits: limits)
    } catch {
      if let failure { throw failure }
      guard error.code == .dataLoss else {
        throw .refused(
          path: file.path,
          reason: "\(error.message); start the node with the program that wrote it, or a newer one")
      }
      throw .damaged(file: file.path, offset: 0, reason: error.message)
    }
  }
}
