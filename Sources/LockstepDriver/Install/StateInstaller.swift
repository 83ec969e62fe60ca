package import LockstepExecution
package import LockstepStorage

/// Makes a state of a snapshot that has come from another node, beside the one that is at work; on whatever thread may wait
/// for the disk.
package protocol StateInstaller: AnyObject {
  /// Reads all of the file. The state is whole when this returns, and does not count: a crash leaves the one before it.
  func prepare(_ file: SnapshotFile) throws(StoredStateFailure)
  /// The snapshot itself has arrived, durably: from now on the state counts at a start.
  func begin() throws(StorageError) -> any Applier
  /// It has taken the place of the one before it; or, when it is of no use, the log has gone on without it. To be told
  /// before the snapshot's own mark goes.
  func settle(isOfUse: Bool) throws(StorageError)
}

/// Of a machine in memory: nothing is there before it is at work, and nothing is left.
package final class MemoryInstaller: StateInstaller {
  private let restore: (SnapshotFile) throws(StorageError) -> any Applier
  private var prepared: (any Applier)?

  /// `restore` makes a machine out of a file, and reads all of it.
  package init(_ restore: @escaping (SnapshotFile) throws(StorageError) -> any Applier) { self.restore = restore }

  package func prepare(_ file: SnapshotFile) throws(StoredStateFailure) {
    prepared = nil
    prepared = try onStorage { () throws(StorageError) in try restore(file) }
  }

  package func begin() throws(StorageError) -> any Applier {
    guard let applier = prepared.take() else { preconditionFailure("a state begins that nobody has made") }
    return applier
  }

  package func settle(isOfUse: Bool) {}
}
