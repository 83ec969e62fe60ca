import Dispatch
import Foundation
import Glibc
import LockstepDriver
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire
import NIOCore
import Synchronization

/// Where states are encoded and written, beside everything else: a thread that runs when nothing more important does, and
/// rests as long as it has worked.
final class SnapshotThread: SnapshotQueue, Sendable {
  /// What a step encodes, checks and writes.
  private static let chunkBytes = 256 * 1024

  private struct State {
    var queue: [SnapshotJob] = []
    var isStopping = false
  }

  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let store: SnapshotStore
  private let finished: @Sendable (SnapshotResult) -> Void
  private let failed: @Sendable (StorageError) -> Void
  private let ended = DispatchSemaphore(value: 0)

  /// `finished` is called for each job, `failed` when the disk cannot be trusted any more; both on this thread.
  init(
    store: SnapshotStore, finished: @escaping @Sendable (SnapshotResult) -> Void,
    failed: @escaping @Sendable (StorageError) -> Void
  ) {
    self.store = store
    self.finished = finished
    self.failed = failed
  }

  func start() {
    let thread = Thread { self.run() }
    thread.name = "lockstep-snapshot"
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Gives up what is under way, and returns when nothing is written any more.
  func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
    ended.wait()
  }

  func write(_ job: SnapshotJob) {
    state.withLock { $0.queue.append(job) }
    wake.signal()
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private func run() {
    ThreadSchedule.behindAllOthers()
    while true {
      wake.wait()
      let job = state.withLock { state -> SnapshotJob? in
        state.isStopping || state.queue.isEmpty ? nil : state.queue.removeFirst()
      }
      if let job { carryOut(job) }
      if isStopping { break }
    }
    ended.signal()
  }

  private func carryOut(_ job: SnapshotJob) {
    let start = NIODeadline.now()
    do throws(StorageError) {
      guard let outcome = try write(job.header, job.content) else { return }
      finished(SnapshotResult(job.header, outcome, nanoseconds: UInt64(max(0, (.now() - start).nanoseconds))))
    } catch {
      // "A failed sync is fatal": what it has left unwritten may be the log's.
      failed(error)
    }
  }

  /// Nil: it was given up, because the node stops.
  private func write(
    _ header: SnapshotHeader, _ content: any Snapshot
  ) throws(StorageError) -> SnapshotResult.Outcome? {
    do throws(StorageError) {
      let writer = try store.begin(header)
      do throws(StorageError) {
        guard let problem = try fill(writer, content) else {
          let snapshot = try writer.finish()
          try store.prune(header.group)
          return .written(snapshot)
        }
        writer.abandon()
        return isStopping ? nil : .failed(problem)
      } catch {
        writer.abandon()
        throw error
      }
    } catch {
      guard case .outOfSpace = error else { throw error }
      return .failed(Status(.resourceExhausted, "\(error)"))
    }
  }

  /// Returns why there is no snapshot, if there is none.
  private func fill(_ writer: SnapshotWriter, _ content: any Snapshot) throws(StorageError) -> Status? {
    var content = content
    while !isStopping {
      let start = NIODeadline.now()
      let piece: [UInt8]?
      do throws(Status) { piece = try content.next(maximumBytes: Self.chunkBytes) } catch {
        return Status(error.code, "the machine cannot be written down: \(error.message)")
      }
      guard let piece else { return nil }
      try writer.append(piece)
      let worked = NIODeadline.now() - start
      Thread.sleep(forTimeInterval: Double(worked.nanoseconds) / 1e9)
    }
    return Status(.unavailable, "the node stops")
  }
}
