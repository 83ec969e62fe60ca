package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// An applier of a machine with its own storage.
package protocol StoredStateApplier: Applier {
  /// Finishes what is under way, and closes the state: nothing is carried out or answered any more when this returns.
  func stop()
}

/// The states of a machine with its own storage: the one at work, and beside it the one that a snapshot of another node has
/// brought, until that has taken its place.
package final class StoredStates: StateInstaller, @unchecked Sendable {
  // Unchecked: used by one thread after the other: the assembly, the transfer queue, and who ends the node when that has
  // stopped.

  package typealias Begin = (StoredExecutor, any StoredMachine) throws(StoredMachineFailure) -> any StoredStateApplier

  private let machine: any StoredMachine
  private let limits: SessionLimits
  private let directories: StateDirectories
  /// The applier of a state that was opened, at work.
  private let beginWork: Begin
  private var current: (directory: LogIndex, applier: any StoredStateApplier)
  /// Whole, and not begun.
  private var prepared: SnapshotHeader?
  private var next: (directory: LogIndex, applier: any StoredStateApplier)?

  /// `applier`: the one that a node begins with, of the state in this directory.
  package init(
    _ applier: any StoredStateApplier, in directory: LogIndex, of directories: StateDirectories,
    machine: any StoredMachine, limits: SessionLimits = .usual, beginWork: @escaping Begin
  ) {
    self.machine = machine
    self.directories = directories
    self.limits = limits
    self.beginWork = beginWork
    current = (directory, applier)
  }

  /// Its files are written, not made in memory: the disk that would be asked is busy with what comes.
  package var followsWhatComes: Bool { false }
  package func follow(_ file: ArrivingFile) {}

  package func prepare(_ file: SnapshotFile) throws(StoredStateFailure) {
    prepared = nil
    try directories.fill(machine, from: file, limits)
    prepared = file.header
  }

  package func begin() throws(StorageError) -> any Applier {
    guard let header = prepared.take() else { preconditionFailure("a state begins that nobody has made") }
    let index = header.last.id.index
    try directories.complete(index)
    do throws(StoredStateFailure) {
      let executor = try StoredExecutor(header.group, machine, directories.path(index), limits)
      do throws(StoredMachineFailure) {
        let applier = try beginWork(executor, machine)
        next = (index, applier)
        return applier
      } catch {
        executor.state.close()
        throw .machine(error)
      }
    } catch {
      let reason = "the state that has come from another node cannot be opened: \(error.reason)"
      switch error {
      case .storage(let error): throw error
      case .machine(let failure) where failure.kind == .storage:
        throw .disk(DiskError(operation: "open", path: directories.path(index), reason: .other, text: reason))
      // It was whole a moment ago.
      case .machine: throw .lost(path: directories.path(index), reason: reason)
      }
    }
  }

  package func settle(isOfUse: Bool) throws(StorageError) {
    guard let next = next.take() else { return }
    let retired = isOfUse ? current : next
    if isOfUse { current = next }
    retired.applier.stop()
    try directories.remove(retired.directory)
  }

  /// Nothing is carried out or answered any more when this returns.
  package func stop() {
    next?.applier.stop()
    current.applier.stop()
  }
}
