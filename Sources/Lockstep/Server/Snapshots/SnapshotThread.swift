import Dispatch
import Foundation
import Glibc
import LockstepDriver
import LockstepStorage
import NIOCore
import Synchronization

/// Where states are encoded and written, beside everything else: a thread that runs when nothing more important does, and
/// rests as long as it has worked, as long as that is enough (SnapshotPace).
final class SnapshotThread: SnapshotQueue, Sendable {
  /// What a step encodes, checks and writes.
  private static let chunkBytes = 256 * 1024

  private struct State {
    var queue: [Progress] = []
    var isStopping = false
  }

  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let store: SnapshotStore
  private let finished: @Sendable (SnapshotResult) -> Void
  private let isSlow: @Sendable (String) -> Void
  private let failed: @Sendable (StorageError) -> Void
  private let ended = DispatchSemaphore(value: 0)

  /// `finished` is called for each job, `isSlow` with what is to be told of one that the machine leaves no time, `failed`
  /// when the disk cannot be trusted any more; all on a thread of this one's.
  init(
    store: SnapshotStore, finished: @escaping @Sendable (SnapshotResult) -> Void,
    isSlow: @escaping @Sendable (String) -> Void, failed: @escaping @Sendable (StorageError) -> Void
  ) {
    self.store = store
    self.finished = finished
    self.isSlow = isSlow
    self.failed = failed
  }

  func start() {
    Self.thread {
      ThreadSchedule.withoutPreempting()
      self.run()
    }
  }

  /// Gives up what is under way, and returns when nothing is written any more.
  func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
    ended.wait()
  }

  func write(_ job: SnapshotJob) {
    // Not the job: it would hold all of the state until the last of it is written.
    let progress = Progress(SnapshotWork(job, in: store))
    state.withLock { $0.queue.append(progress) }
    wake.signal()
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    thread.name = "lockstep-snapshot"
    thread.stackSize = 1 << 20
    thread.start()
  }

  private func run() {
    while true {
      wake.wait()
      let next = state.withLock { state -> Progress? in
        state.isStopping || state.queue.isEmpty ? nil : state.queue.removeFirst()
      }
      if let next { carryOut(next) }
      if isStopping { break }
    }
    ended.signal()
  }

  /// What a job's threads hand to each other; one of them at a time has it.
  private final class Progress: @unchecked Sendable {
    // Unchecked: who puts it into the queue leaves it alone from then on; and whoever starts a thread for it waits until
    // that has ended, and only then touches it.
    let work: SnapshotWork
    private(set) var start = NIODeadline.now()
    var pace = SnapshotPace(now: NIODeadline.now().uptimeNanoseconds)
    var isOver = false
    init(_ work: SnapshotWork) { self.work = work }

    func begin() {
      start = NIODeadline.now()
      pace = SnapshotPace(now: start.uptimeNanoseconds)
    }
  }

  /// Only who may change priorities gets ahead of where it was, so each step ahead is another thread's, begun by this one,
  /// which is like all others.
  private func carryOut(_ progress: Progress) {
    progress.begin()
    while !progress.isOver {
      let done = DispatchSemaphore(value: 0)
      Self.thread {
        ThreadSchedule.behindOthers(niceness: progress.pace.niceness)
        self.advance(progress)
        done.signal()
      }
      done.wait()
    }
  }

  /// Until it is over, or is to go on with another priority.
  private func advance(_ progress: Progress) {
    while !isStopping {
      let start = NIODeadline.now()
      let went: Int
      do throws(StorageError) {
        switch try progress.work.step(maximumBytes: Self.chunkBytes) {
        case .went(let bytes): went = bytes
        case .finished(var result):
          progress.isOver = true
          result.nanoseconds = UInt64(max(0, (.now() - progress.start).nanoseconds))
          return finished(result)
        }
      } catch {
        progress.isOver = true
        // "A failed sync is fatal": what it has left unwritten may be the log's.
        return failed(error)
      }
      let (rest, tooSlow) = progress.pace.worked(
        went, from: start.uptimeNanoseconds, to: NIODeadline.now().uptimeNanoseconds)
      if let tooSlow { return tell(tooSlow, progress.pace) }
      if rest > 0 { Thread.sleep(forTimeInterval: Double(rest) / 1e9) }
    }
    progress.work.abandon()
    progress.isOver = true
  }

  private func tell(_ rate: UInt64, _ pace: SnapshotPace) {
    isSlow(
      """
      a snapshot gets on with \(rate >> 10) KiB a second, as the machine has too much else to do: it takes more of the \
      processors and of the disk now, and the log behind it grows until it is done
      """)
  }
}
