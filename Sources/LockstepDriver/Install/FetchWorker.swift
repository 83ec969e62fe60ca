package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
import LockstepWire

/// What a fetch does with the disk, on whatever thread may wait for it. Not Sendable.
package final class FetchWorker {
  private let store: SnapshotStore
  private let restore: (SnapshotFile) throws(StorageError) -> any Applier
  private var incoming: IncomingSnapshot?

  /// `restore` makes a machine out of a file, and reads all of it.
  package init(store: SnapshotStore, restore: @escaping (SnapshotFile) throws(StorageError) -> any Applier) {
    self.store = store
    self.restore = restore
  }

  package func run(_ work: FetchWork) -> FetchResult {
    do throws(StorageError) {
      switch work {
      case .prepare(let group, let atLeast):
        incoming = try store.incoming(of: group, atLeast: atLeast)
        return .prepared(incoming?.name.index, bytes: incoming?.received ?? 0)
      case .write(let group, let part):
        // Given up, with what was on its way to be written.
        guard incoming != nil || part.offset == 0 else { return .noRoom("it was given up") }
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
      switch error {
      case .outOfSpace, .refused: break
      default: return .failed(error)
      }
      do throws(StorageError) { try drop() } catch { return .failed(error) }
      return .noRoom("\(error)")
    }
  }

  private func restore(_ term: Term) throws(StorageError) -> FetchResult {
    guard let incoming else { throw .invalidWrite("a snapshot of which nothing is there") }
    do throws(StorageError) {
      let file = try incoming.open()
      let applier = try restore(file)
      try incoming.arrive(in: term)
      self.incoming = nil
      return .restored(file.stored, applier)
    } catch {
      switch error {
      case .damaged, .refused, .lost:
        try drop()
        return .damaged("\(error)")
      case .disk, .outOfSpace, .locked, .invalidWrite, .stopped: throw error
      }
    }
  }

  private func drop() throws(StorageError) {
    let given = incoming
    incoming = nil
    try given?.discard()
  }
}
