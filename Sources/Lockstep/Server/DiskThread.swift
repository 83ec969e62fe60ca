import Foundation
import LockstepDriver
import LockstepStorage

/// The thread that waits for the disk, so that nothing else has to. Work is done in the order in which it came.
final class DiskThread: @unchecked Sendable {
  // Unchecked: `queue` and `isStopping` are guarded by the condition's lock; the worker is touched by the thread alone.

  enum Item: Sendable {
    case job(DiskJob)
    /// Anything else that blocks, such as remembering a peer; its result is the caller's business.
    case task(@Sendable () -> Void)
  }

  private let condition = NSCondition()
  private var queue: [Item] = []
  private var isStopping = false
  private let worker: DiskWorker
  private let finished: @Sendable (DiskResult) -> Void
  private let ended: @Sendable (StorageError?) -> Void

  /// `finished` is called for each job, and `ended` once, after `stop`, both on the disk thread.
  init(
    worker: DiskWorker, finished: @escaping @Sendable (DiskResult) -> Void,
    ended: @escaping @Sendable (StorageError?) -> Void
  ) {
    self.worker = worker
    self.finished = finished
    self.ended = ended
  }

  func start() {
    let thread = Thread { self.run() }
    thread.name = "lockstep-disk"
    thread.stackSize = 1 << 20
    thread.start()
  }

  func submit(_ item: Item) {
    condition.lock()
    queue.append(item)
    condition.unlock()
    // After the unlock: the thread that wakes would only wait for the lock.
    condition.signal()
  }

  /// Finishes what was submitted, then syncs and closes.
  func stop() {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
  }

  private func run() {
    var isMoreIdleWork = false
    while true {
      condition.lock()
      while queue.isEmpty, !isStopping, !isMoreIdleWork { condition.wait() }
      let items = queue
      queue.removeAll(keepingCapacity: true)
      let isDone = items.isEmpty && isStopping
      condition.unlock()
      if isDone { break }
      for item in items {
        switch item {
        case .job(let job): finished(worker.run(job))
        case .task(let task): task()
        }
      }
      isMoreIdleWork = between()
    }
    do throws(StorageError) {
      try worker.close()
      ended(nil)
    } catch { ended(error) }
  }

  /// What can wait until nothing else does, mostly. A failure stops the log, and so shows again at the next job, where
  /// it is answered.
  private func between() -> Bool {
    condition.lock()
    let isBusy = !queue.isEmpty
    condition.unlock()
    do throws(StorageError) { return try worker.between(isBusy: isBusy) } catch { return false }
  }
}

extension DiskThread: DiskQueue {
  func submit(_ job: DiskJob) { submit(.job(job)) }
}
