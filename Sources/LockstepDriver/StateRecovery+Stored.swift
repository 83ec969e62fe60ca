package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// Why a machine with its own storage cannot be used at a start.
package enum StoredRecoveryFailure: Error, Equatable {
  case storage(StorageError)
  case machine(StoredMachineFailure)
}

extension StateRecovery {
  /// Opens what a machine with its own storage has in `directory`. It must be where this node's log can go on from: not
  /// ahead of the log, whose end then was lost, and not behind its beginning, unless there is a snapshot that it can be
  /// put back to.
  package func open(
    _ group: GroupID, _ machine: any StoredMachine, in directory: String, recovered: RecoveredGroup?
  ) throws(StoredRecoveryFailure) -> (executor: StoredExecutor, snapshot: StoredSnapshot?) {
    var executor = try opened(group, machine, directory)
    let (base, mark) = (recovered?.base.id ?? .zero, executor.mark.last)
    if mark.index < base.index {
      executor.state.close()
      try replace(group, machine, in: directory, at: mark.index, base: base.index)
      executor = try opened(group, machine, directory)
    }
    do throws(StoredRecoveryFailure) {
      try admit(executor.mark.last, recovered, directory)
      return (executor, try onStorage { () throws(StorageError) in try newest(of: group, recovered) })
    } catch {
      executor.state.close()
      throw error
    }
  }

  private func opened(
    _ group: GroupID, _ machine: any StoredMachine, _ directory: String
  ) throws(StoredRecoveryFailure) -> StoredExecutor {
    do throws(StoredMachineFailure) {
      let state = try machine.open(directory)
      do throws(StoredMachineFailure) { return try StoredExecutor(group: group, state: state) } catch {
        state.close()
        throw error
      }
    } catch { throw .machine(error) }
  }

  /// A future: the log has lost its end, and the machine has what nobody else need have. Another history: the directory is
  /// one from elsewhere.
  private func admit(
    _ mark: EntryID, _ recovered: RecoveredGroup?, _ directory: String
  ) throws(StoredRecoveryFailure) {
    let last = recovered?.last.index ?? .zero
    guard mark.index <= last else {
      throw refused(
        directory,
        "the machine has carried out entry \(mark.index), and the log ends with entry \(last): its end was lost. Remove this directory to have the machine made anew, and the node's whole directory if others went on without it"
      )
    }
    guard mark.index > .zero, let recovered else { return }
    let term = recovered.terms.last { $0.first <= mark.index }?.term ?? recovered.base.id.term
    guard mark.index == recovered.base.id.index || term == mark.term else {
      throw refused(
        directory,
        "the machine has carried out entry \(mark.index) of term \(mark.term), which in the log is of term \(term): it has another history. Remove this directory to have the machine made anew"
      )
    }
  }

  /// A gap: what is between the machine and the log's beginning is in snapshots alone.
  private func replace(
    _ group: GroupID, _ machine: any StoredMachine, in directory: String, at mark: LogIndex, base: LogIndex
  ) throws(StoredRecoveryFailure) {
    let gap = "the machine has carried out entry \(mark), and the log begins behind entry \(base)"
    for name in try onStorage({ () throws(StorageError) in try store.names(of: group) }) where name.index >= base {
      do throws(StoredRecoveryFailure) {
        let file = try onStorage { () throws(StorageError) in try store.open(name) }
        guard !store.isForeign(file) else { continue }
        try onStorage { () throws(StorageError) in try log.admit(file) }
        notice("\(gap): it is put back to the snapshot of entry \(name.index)")
        try replace(machine, in: directory, by: file)
        return
      } catch {
        switch error {
        case .storage(.damaged(_, _, _)): break
        case .machine(let failure) where failure.kind == .damaged: break
        case .storage, .machine: throw error
        }
        notice("\(error); what was before it is used")
      }
    }
    throw refused(
      directory, "\(gap), and there is no whole snapshot to put it back to; replace the node's directory")
  }

  private func replace(
    _ machine: any StoredMachine, in directory: String, by file: SnapshotFile
  ) throws(StoredRecoveryFailure) {
    guard file.header.machineVersion <= machine.version else {
      throw refused(
        file.path,
        "the snapshot is of version \(file.header.machineVersion) of the machine, and this is version \(machine.version)"
      )
    }
    var failure: StorageError?
    var reader = SnapshotReader("the state in \(file.path)", version: file.header.machineVersion) {
      () throws(Status) in
      do throws(StorageError) { return try file.next() } catch {
        failure = error
        throw Status(.dataLoss, "\(error)")
      }
    }
    do throws(StoredMachineFailure) { try machine.replace(directory, by: &reader) } catch {
      throw failure.map { .storage($0) } ?? .machine(error)
    }
  }

  /// The snapshot that the next one is counted from. Its header alone is read: the machine has its state.
  private func newest(of group: GroupID, _ recovered: RecoveredGroup?) throws(StorageError) -> StoredSnapshot? {
    for name in try store.names(of: group) {
      do throws(StorageError) {
        let file = try store.open(name)
        guard !store.isForeign(file) else { continue }
        try log.admit(file)
        return file.stored
      } catch {
        if let end = store.end(error, of: name, log: recovered?.last.index ?? .zero) { throw end }
        notice("\(error); what was before it is used")
      }
    }
    return nil
  }

  private func refused(_ path: String, _ reason: String) -> StoredRecoveryFailure {
    .storage(.refused(path: path, reason: reason))
  }

  private func onStorage<Result>(
    _ body: () throws(StorageError) -> Result
  ) throws(StoredRecoveryFailure) -> Result {
    do throws(StorageError) { return try body() } catch { throw .storage(error) }
  }
}
