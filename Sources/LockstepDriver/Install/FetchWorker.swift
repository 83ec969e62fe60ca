import LockstepConsensus
import LockstepExecution
package import LockstepStorage
import LockstepWire

/// What a fetch does with the disk, on whatever thread may wait for it. Not Sendable.
package final class FetchWorker {
  private let store: SnapshotStore
  private let installer: any StateInstaller
  private var incoming: IncomingSnapshot?
  /// The same file, for the installer, which may read it while it comes. Nil when there is none, or nobody follows it.
  private var arriving: ArrivingFile?

  package init(store: SnapshotStore, installer: any StateInstaller) {
    self.store = store
    self.installer = installer
  }

  package func run(_ work: FetchWork) -> FetchResult {
    do throws(StorageError) {
      switch work {
      case .prepare(let group, let atLeast):
        stop()
        incoming = try store.incoming(of: group, atLeast: atLeast)
        return .prepared(incoming?.name.index, bytes: incoming?.received ?? 0)
      case .write(let group, let part):
        // Given up, with what was on its way to be written.
        guard incoming != nil || part.offset == 0 else { return .noRoom("it was given up", isSpace: false) }
        if incoming == nil { incoming = try store.receive(SnapshotName(group: group, index: part.index)) }
        guard let target = incoming else { return .written }
        guard part.offset == target.received, part.index == target.name.index else {
          throw .invalidWrite("bytes at \(part.offset) of a snapshot of which \(target.received) are there")
        }
        try target.append(part.data)
        try show(target, total: part.fileBytes)
        return .written
      case .restore(let term): return try restore(term)
      case .drop:
        try drop()
        return .dropped
      }
    } catch {
      var isSpace = false
      switch error {
      case .outOfSpace: isSpace = true
      case .refused: break
      default: return .failed(error)
      }
      do throws(StorageError) { try drop() } catch { return .failed(error) }
      return .noRoom("\(error)", isSpace: isSpace)
    }
  }

  /// To the installer, which may make the state of what is there while the rest comes.
  private func show(_ target: IncomingSnapshot, total: Int) throws(StorageError) {
    if let arriving {
      arriving.grown(to: target.received)
    } else if installer.followsWhatComes {
      let file = try target.arriving(total: total)
      arriving = file
      installer.follow(file)
    }
  }

  private func restore(_ term: Term) throws(StorageError) -> FetchResult {
    guard let incoming else { throw .invalidWrite("a snapshot of which nothing is there") }
    let file: SnapshotFile
    arriving?.finish()
    arriving = nil
    do throws(StoredStateFailure) {
      file = try onStorage { () throws(StorageError) in try incoming.open() }
      try installer.prepare(file)
    } catch {
      switch error {
      case .storage(.damaged), .storage(.refused), .storage(.lost):
        try drop()
        return .damaged(error.reason)
      case .storage(let error): throw error
      case .machine(let failure):
        try drop()
        // What its own disk does not take today it may take later.
        return failure.kind == .storage ? .noRoom(failure.message, isSpace: true) : .damaged(failure.message)
      }
    }
    try incoming.arrive(in: term)
    self.incoming = nil
    // From here on a start begins with it: there is no way back.
    do throws(StorageError) { return .restored(file.stored, try installer.begin()) } catch { return .failed(error) }
  }

  /// Nothing more is asked of it: nobody is to wait for what will not come.
  package func stop() {
    arriving?.abandon()
    arriving = nil
  }

  private func drop() throws(StorageError) {
    stop()
    let given = incoming
    incoming = nil
    try given?.discard()
  }
}
