package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// Why a machine with its own storage cannot be used.
package enum StoredStateFailure: Error, Equatable {
  case storage(StorageError)
  case machine(StoredMachineFailure)

  package var reason: String {
    switch self {
    case .storage(let error): "\(error)"
    case .machine(let failure): failure.message
    }
  }
}

/// A stored machine's state, and the directory in which it is: that of the snapshot up to this entry.
package struct OpenedState {
  package let executor: StoredExecutor
  package let directory: LogIndex
  /// Of the last entry that it has carried out, as the log has it: a snapshot of the state needs it, and there may be one
  /// before anything else is carried out. Nil: it has carried out none.
  package let chain: UInt64?
  /// Why it was made anew of a snapshot; nil: it is what the machine had.
  package let gap: String?
}

extension StateRecovery {
  /// Opens what a machine with its own storage has. It must be where this node's log can go on from: not ahead of the log,
  /// whose end then was lost, and not behind its beginning, unless there is a snapshot that it can be made of.
  package func open(
    _ group: GroupID, _ machine: any StoredMachine, in directories: StateDirectories, recovered: RecoveredGroup?
  ) throws(StoredStateFailure) -> (opened: OpenedState, snapshot: StoredSnapshot?) {
    var directory = try onStorage { () throws(StorageError) in try directories.open() }
    var executor = try self.executor(group, machine, in: directories.path(directory))
    let (base, mark) = (recovered?.base.id ?? .zero, executor.mark.last)
    var gap: String?
    if mark.index < base.index {
      executor.state.close()
      let reason = "the machine has carried out entry \(mark.index), and the log begins behind entry \(base.index)"
      directory = try replace(group, machine, in: directories, directory, behind: base.index, gap: reason)
      gap = "\(reason): it was made anew of the snapshot up to entry \(directory)"
      executor = try self.executor(group, machine, in: directories.path(directory))
    }
    do throws(StoredStateFailure) {
      try admit(executor.mark.last, recovered, directories.path(directory))
      let applied = executor.mark.last.index
      let snapshot = try onStorage { () throws(StorageError) in
        try directories.removeAll(but: directory)
        return try newest(of: group, recovered)
      }
      let chain = try onStorage { () throws(StorageError) in try appliedChain(applied, recovered) }
      return (OpenedState(executor: executor, directory: directory, chain: chain, gap: gap), snapshot)
    } catch {
      executor.state.close()
      throw error
    }
  }

  /// A future: the log has lost its end, and the machine has what nobody else need have. Another history: the directory is
  /// one from elsewhere.
  private func admit(
    _ mark: EntryID, _ recovered: RecoveredGroup?, _ directory: String
  ) throws(StoredStateFailure) {
    let last = recovered?.last.index ?? .zero
    guard mark.index <= last else {
      throw .storage(
        .lost(
          path: directory,
          reason:
            "the machine has carried out entry \(mark.index), and the log ends with entry \(last): its end was lost"
        ))
    }
    guard mark.index > .zero, let recovered else { return }
    let term = recovered.terms.last { $0.first <= mark.index }?.term ?? recovered.base.id.term
    guard mark.index == recovered.base.id.index || term == mark.term else {
      throw .storage(
        .refused(
          path: directory,
          reason: """
            the machine has carried out entry \(mark.index) of term \(mark.term), which in the log is of term \(term): it \
            has another history. Remove this directory to have the machine made anew
            """))
    }
  }

  private func appliedChain(_ index: LogIndex, _ recovered: RecoveredGroup?) throws(StorageError) -> UInt64? {
    guard index > .zero, let recovered else { return nil }
    if index == recovered.base.id.index { return recovered.base.chain }
    if index == recovered.last.index { return recovered.lastChain }
    return try chain(at: index, recovered)
  }

  /// A gap: what is between the machine and the log's beginning is in snapshots alone. Returns the new directory.
  private func replace(
    _ group: GroupID, _ machine: any StoredMachine, in directories: StateDirectories, _ former: LogIndex,
    behind base: LogIndex, gap: String
  ) throws(StoredStateFailure) -> LogIndex {
    for name in try onStorage({ () throws(StorageError) in try names(of: group) }) where name.index >= base {
      do throws(StoredStateFailure) {
        guard let file = try onStorage({ () throws(StorageError) in try open(name) }) else { continue }
        try fill(directories, machine, from: file)
        try onStorage { () throws(StorageError) in
          // It may be there, and hold what is older: emptied by hand, for one.
          if former == name.index { try directories.remove(former) }
          try directories.complete(name.index)
        }
        return name.index
      } catch {
        switch error {
        case .storage(.damaged(_, _, _)): break
        case .machine(let failure) where failure.kind == .damaged: break
        case .storage, .machine: throw error
        }
        notice("\(error.reason); what was before it is used")
      }
    }
    throw .storage(
      .lost(path: directories.path(former), reason: "\(gap), and there is no whole snapshot to make it anew of"))
  }

  /// The snapshot that the next one is counted from. Its header alone is read: the machine has its state.
  private func newest(of group: GroupID, _ recovered: RecoveredGroup?) throws(StorageError) -> StoredSnapshot? {
    var damaged: [SnapshotName] = []
    for name in try names(of: group) {
      do throws(StorageError) {
        guard let file = try open(name) else { continue }
        try remove(damaged)
        return file.stored
      } catch {
        if let end = end(error, of: name, recovered) { throw end }
        if case .damaged = error { damaged.append(name) }
        notice("\(error); what was before it is used")
      }
    }
    return nil
  }
}

extension StoredExecutor {
  package convenience init(
    _ group: GroupID, _ machine: any StoredMachine, _ directory: String, _ limits: SessionLimits = .usual
  ) throws(StoredStateFailure) {
    do throws(StoredMachineFailure) {
      let state = try machine.open(directory)
      do throws(StoredMachineFailure) { try self.init(group: group, state: state, limits: limits) } catch {
        state.close()
        throw error
      }
    } catch { throw .machine(error) }
  }
}

extension StateDirectories {
  /// The state that is in a file, all of which is read, in a directory that does not count yet.
  package func fill(
    _ machine: any StoredMachine, from file: SnapshotFile, _ limits: SessionLimits = .usual
  ) throws(StoredStateFailure) {
    let header = file.header
    let index = header.last.id.index
    let directory = try onStorage { () throws(StorageError) in try make(index) }
    do throws(StoredStateFailure) {
      try read(file, machine, into: directory)
      let executor = try StoredExecutor(header.group, machine, directory, limits)
      defer { executor.state.close() }
      let mark = StoredMark(last: header.last.id, time: header.time)
      guard executor.mark == mark, executor.digest == header.digest else {
        throw .storage(
          .damaged(
            file: file.path, offset: 0, reason: "the state in it is another one than its header says"))
      }
    } catch {
      try onStorage { () throws(StorageError) in try discard(index) }
      throw error
    }
  }

  private func read(
    _ file: SnapshotFile, _ machine: any StoredMachine, into directory: String
  ) throws(StoredStateFailure) {
    guard file.header.machineVersion <= machine.version else {
      throw .storage(
        .refused(
          path: file.path,
          reason: """
            the snapshot is of version \(file.header.machineVersion) of the machine, and this is version \
            \(machine.version); start the node with the program that wrote it, or a newer one
            """))
    }
    var failure: StorageError?
    var reader = SnapshotReader("the state in \(file.path)", version: file.header.machineVersion) {
      () throws(CallStatus) in
      do throws(StorageError) { return try file.next() } catch {
        failure = error
        throw CallStatus(.dataLoss, "\(error)")
      }
    }
    do throws(StoredMachineFailure) { try machine.restore(directory, from: &reader) } catch {
      throw failure.map { .storage($0) } ?? .machine(error)
    }
  }
}

func onStorage<Result>(_ body: () throws(StorageError) -> Result) throws(StoredStateFailure) -> Result {
  do throws(StorageError) { return try body() } catch { throw .storage(error) }
}
