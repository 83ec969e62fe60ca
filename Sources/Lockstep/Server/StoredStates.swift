import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepStorage
import LockstepWire

/// The states of a machine with its own storage: the one at work, and beside it the one that a snapshot of another node has
/// brought, until that has taken its place.
final class StoredStates: StateInstaller, @unchecked Sendable {
  // Unchecked: used by one thread after the other: the assembly, the transfer queue, and who ends the node when that has
  // stopped.

  private let machine: any StoredMachine
  private let directories: StateDirectories
  /// Called on a thread of an applier's, when that has something to collect.
  private let isReady: @Sendable () -> Void
  private var current: (directory: LogIndex, applier: StoredApplier)
  /// Whole, and not begun.
  private var prepared: SnapshotHeader?
  private var next: (directory: LogIndex, applier: StoredApplier)?

  init(
    _ state: OpenedState, _ readers: [any StoredStateReader], of machine: any StoredMachine,
    in directories: StateDirectories, isReady: @escaping @Sendable () -> Void
  ) {
    self.machine = machine
    self.directories = directories
    self.isReady = isReady
    let applier = StoredApplier(state.executor, of: machine, isReady: isReady)
    applier.start(readers)
    current = (state.directory, applier)
  }

  /// The one that a node begins with.
  var applier: StoredApplier { current.applier }

  static func readers(of executor: StoredExecutor) throws(StoredMachineFailure) -> [any StoredStateReader] {
    var readers: [any StoredStateReader] = []
    while readers.count < StoredQueries.threads { readers.append(try executor.state.makeReader()) }
    return readers
  }

  func prepare(_ file: SnapshotFile) throws(StoredStateFailure) {
    prepared = nil
    try directories.fill(machine, from: file)
    prepared = file.header
  }

  func begin() throws(StorageError) -> any Applier {
    guard let header = prepared.take() else { preconditionFailure("a state begins that nobody has made") }
    let index = header.last.id.index
    try directories.complete(index)
    do throws(StoredStateFailure) {
      let executor = try StoredExecutor(header.group, machine, directories.path(index))
      do throws(StoredMachineFailure) {
        let readers = try Self.readers(of: executor)
        let applier = StoredApplier(executor, of: machine, isReady: isReady)
        applier.start(readers)
        next = (index, applier)
        return applier
      } catch {
        executor.state.close()
        throw .machine(error)
      }
    } catch {
      // It was opened a moment ago: what is wrong now is wrong with the disk.
      throw .lost(
        path: directories.path(index),
        reason: "the state that has come from another node cannot be opened: \(error.reason)")
    }
  }

  func settle(isOfUse: Bool) throws(StorageError) {
    guard let next = next.take() else { return }
    let retired = isOfUse ? current : next
    if isOfUse { current = next }
    retired.applier.stop()
    try directories.remove(retired.directory)
  }

  /// Nothing is carried out or answered any more when this returns.
  func stop() {
    next?.applier.stop()
    current.applier.stop()
  }
}
