import Dispatch
package import LockstepExecution
package import LockstepStorage

/// Makes a state of a snapshot that has come from another node, beside the one that is at work; on whatever thread may wait
/// for the disk.
package protocol StateInstaller: AnyObject {
  /// Whether it wants to see a file while it comes.
  var followsWhatComes: Bool { get }
  /// Part of a file is there, and more is coming: a state may be made of it on a thread that waits for the rest. It counts
  /// when `prepare` is given the same file, whole. Told once for each file.
  func follow(_ file: ArrivingFile)
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
  package typealias Restore = (SnapshotFile) throws(StorageError) -> any Applier

  private let restore: Restore
  private let inBackground: ((@escaping @Sendable () -> Void) -> Void)?
  /// What is made of a file that has not come whole.
  private var ahead: AheadOfTheRest?
  private var prepared: (any Applier)?

  /// `restore` makes a machine out of a file, and reads all of it. `inBackground` does something on a thread of its own: then
  /// restoring begins with the first bytes that come. Nil: when all of them are there.
  package init(inBackground: ((@escaping @Sendable () -> Void) -> Void)? = nil, _ restore: @escaping Restore) {
    self.inBackground = inBackground
    self.restore = restore
  }

  package var followsWhatComes: Bool { inBackground != nil }

  package func follow(_ file: ArrivingFile) {
    let ahead = AheadOfTheRest(file, restore)
    self.ahead = ahead
    inBackground? { ahead.run() }
  }

  package func prepare(_ file: SnapshotFile) throws(StoredStateFailure) {
    prepared = nil
    // Whatever became of the other, what is wrong with the file is found here.
    if let applier = ahead.take()?.state(of: file) {
      prepared = applier
    } else {
      prepared = try onStorage { () throws(StorageError) in try restore(file) }
    }
  }

  package func begin() throws(StorageError) -> any Applier {
    guard let applier = prepared.take() else { preconditionFailure("a state begins that nobody has made") }
    return applier
  }

  package func settle(isOfUse: Bool) {}
}

/// A state that is made of a file while that comes.
private final class AheadOfTheRest: @unchecked Sendable {
  // Unchecked: one thread runs it, and who takes the state waits until that is done.
  private let file: ArrivingFile
  private let restore: MemoryInstaller.Restore
  private let done = DispatchSemaphore(value: 0)
  private var made: (any Applier)?

  init(_ file: ArrivingFile, _ restore: @escaping MemoryInstaller.Restore) {
    (self.file, self.restore) = (file, restore)
  }

  func run() {
    do throws(StorageError) { made = try restore(try SnapshotFile(arriving: file)) } catch {
      // Said when the whole file is read for it.
      made = nil
    }
    done.signal()
  }

  /// Nil when it was made of another file, or none was made: then the file has to be read once more, which says why.
  func state(of whole: SnapshotFile) -> (any Applier)? {
    guard whole.path == file.path, whole.fileBytes == file.total else {
      file.abandon()
      return nil
    }
    done.wait()
    return made
  }
}
