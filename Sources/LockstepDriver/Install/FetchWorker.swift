import LockstepConsensus
import LockstepExecution
package import LockstepStorage
import LockstepWire

/// What a fetch does with the disk, on whatever thread may wait for it. Not Sendable.
package final class FetchWorker {
  private let store: SnapshotStore
  private let installer: any StateInstaller
  private var incoming: IncomingSnapshot?

  package init(store: SnapshotStore, installer: any StateInstaller) {
    self.store = store
    self.installer = installer
  }

  package func run(_ work: FetchWork) -> FetchResult {
    do throws(StorageError) {
      switch work {
      case .prepare(let group, let atLeast):
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

  private func restore(_ term: Term) throws(StorageError) -> FetchResult {
    guard let incoming else { throw .invalidWrite("a snapshot of which nothing is there") }
    let file: SnapshotFile
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

  private func drop() throws(StorageError) {
    let given = incoming
    incoming = nil
    try given?.discard()
  }
}
