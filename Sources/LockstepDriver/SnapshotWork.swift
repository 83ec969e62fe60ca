import LockstepConsensus
import LockstepExecution
package import LockstepStorage
import LockstepWire

/// One snapshot on its way from the frozen state to its result, a step at a time. Not Sendable; each step blocks.
///
/// When the new one is durable, the one before it is read again, whole, as it is now on the disk: the log is about to begin
/// behind that, and then nothing but that file holds what was before. One that does not hold is not counted on any more.
package final class SnapshotWork {
  package enum Step {
    /// So many bytes were written, or read.
    case went(bytes: Int)
    case finished(SnapshotResult)
  }

  private enum Phase {
    case begin
    case write(SnapshotWriter)
    /// Of the last before this one; or of the last, if none is written. Nil: it is to be opened.
    case check(written: StoredSnapshot?, SnapshotFile?)
    case over
  }

  private let header: SnapshotHeader
  private let kept: [StoredSnapshot]
  private let store: SnapshotStore
  /// Not kept a second time, as in a job: what has been written of the only one is let go (`Snapshot`).
  private var content: (any Snapshot)?
  /// Nothing is written: what is there is read.
  package let isTrimming: Bool
  private var phase = Phase.begin

  package init(_ job: SnapshotJob, in store: SnapshotStore) {
    header = job.header
    kept = job.kept
    self.store = store
    content = job.content
    isTrimming = job.content == nil
  }

  /// Throws when the disk cannot be trusted any more, and not after it has finished.
  package func step(maximumBytes: Int) throws(StorageError) -> Step {
    do throws(StorageError) {
      switch phase {
      case .begin: return try begin()
      case .write(let writer): return try write(writer, maximumBytes)
      case .check(let written, let file): return try check(written, file)
      case .over: return .went(bytes: 0)
      }
    } catch {
      abandon()
      guard case .outOfSpace = error else { throw error }
      return finished(.failed(CallStatus(.resourceExhausted, "\(error)")))
    }
  }

  /// Nothing is left of it if it is not whole.
  package func abandon() {
    if case .write(let writer) = phase { writer.abandon() }
    phase = .over
  }

  private func finished(_ outcome: SnapshotResult.Outcome) -> Step {
    phase = .over
    return .finished(SnapshotResult(header, outcome))
  }

  private func begin() throws(StorageError) -> Step {
    if isTrimming {
      phase = .check(written: nil, nil)
      return .went(bytes: 0)
    }
    do throws(StorageError) { phase = .write(try store.begin(header)) } catch {
      // Nothing was synced, so that nothing is in doubt: what is in the way here is no harm to the log.
      switch error {
      case .refused: return finished(.failed(CallStatus(.failedPrecondition, "\(error)")))
      case .disk: break
      default: throw error
      }
      _ = try store.names(of: header.group)
      return finished(.failed(CallStatus(.internal, "\(error)")))
    }
    return .went(bytes: 0)
  }

  private func write(_ writer: SnapshotWriter, _ maximumBytes: Int) throws(StorageError) -> Step {
    let piece: [UInt8]?
    do throws(CallStatus) { piece = try content?.next(maximumBytes: maximumBytes) } catch {
      writer.abandon()
      return finished(.failed(CallStatus(error.code, "the machine cannot be written down: \(error.message)")))
    }
    guard let piece else {
      phase = .check(written: try writer.finish(), nil)
      return .went(bytes: 0)
    }
    try writer.append(piece)
    return .went(bytes: piece.count)
  }

  private func check(_ written: StoredSnapshot?, _ file: SnapshotFile?) throws(StorageError) -> Step {
    guard let before = kept.last else { return try settle(written, nil) }
    do throws(StorageError) {
      guard let file else {
        phase = .check(written: written, try store.open(before.name))
        return .went(bytes: 0)
      }
      if let piece = try file.next() { return .went(bytes: piece.count) }
    } catch { return try settle(written, error) }
    return try settle(written, nil)
  }

  /// `problem`: with the one that was read.
  private func settle(_ written: StoredSnapshot?, _ problem: StorageError?) throws(StorageError) -> Step {
    phase = .over
    var result = SnapshotResult(header, written.map { .written($0) } ?? .trimmed)
    var names = kept.map(\.name)
    if let problem, let unsound = names.popLast() {
      result.unsound.append(SnapshotResult.Unsound(index: unsound.index, reason: "\(problem)"))
    }
    if let written {
      names = (names + [written.name]).suffix(SnapshotStore.kept)
      result.left = try store.prune(header.group, keeping: names).map { "\($0)" }
    } else if problem == nil {
      result.left = try store.prune(header.group, keeping: names.suffix(1), atLeast: 1).map { "\($0)" }
    }
    return .finished(result)
  }
}
