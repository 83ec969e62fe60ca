import Dispatch
import LockstepDriver
import LockstepStorage
import NIOCore
import Synchronization

import class Foundation.Thread

/// The thread that waits for the disk, so that nothing else has to. Work is done in the order in which it came.
///
/// A short append that finds the disk at rest, and quick a moment ago, is run at once by whoever submits it: to wake a
/// thread and be woken by it takes longer than such a sync. The first slow one ends that for a while, so that a disk that
/// stalls holds up the event loop once, and not again. One that hangs for good in just that moment holds up all of the
/// node: the others elect another leader, and the disk's thread says what has happened.
final class DiskThread: @unchecked Sendable {
  // Unchecked: the worker is touched by whoever has set `isWorking`, which is one thread at a time; all else is guarded
  // by the mutex.

  enum Item: Sendable {
    case job(DiskJob)
    /// Anything else that blocks, such as remembering a peer; its result is the caller's business.
    case task(@Sendable () -> Void)
  }

  private struct State {
    var queue: [Item] = []
    /// Somebody has the worker.
    var isWorking = false
    var isWaiting = false
    var isStopping = false
    /// There is work for idle moments, if nothing has come since this moment.
    var restDue: NIODeadline?
    /// Until then nothing is run at once.
    var threadOnlyUntil = NIODeadline.uptimeNanoseconds(0)
    /// Until then a disk that was quick is taken to be so still.
    var quickUntil = NIODeadline.uptimeNanoseconds(0)
    /// Since when the event loop has the worker.
    var atOnceSince: NIODeadline?
  }

  /// What can wait is done when nothing else has come for so long.
  private static let restAfter = TimeAmount.milliseconds(5)
  private static let slow = TimeAmount.milliseconds(1)
  private static let threadOnlyAfterSlow = TimeAmount.milliseconds(250)
  private static let quickFor = TimeAmount.milliseconds(20)
  private static let hangs = TimeAmount.seconds(2)

  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let worker: DiskWorker
  private let finished: @Sendable (DiskResult) -> Void
  private let ended: @Sendable (StorageError?) -> Void
  private let standsStill: @Sendable (TimeAmount) -> Void

  /// `finished` is called for each job that was not run at once, and `ended` once, after `stop`, both on the disk
  /// thread. `standsStill`, too: the disk has not answered the event loop for so long.
  init(
    worker: DiskWorker, finished: @escaping @Sendable (DiskResult) -> Void,
    ended: @escaping @Sendable (StorageError?) -> Void, standsStill: @escaping @Sendable (TimeAmount) -> Void
  ) {
    self.standsStill = standsStill
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
    let isWaiting = state.withLock { state in
      state.queue.append(item)
      defer { state.isWaiting = false }
      return state.isWaiting
    }
    if isWaiting { wake.signal() }
  }

  /// Finishes what was submitted, then syncs and closes.
  func stop() {
    let isWaiting = state.withLock { state in
      state.isStopping = true
      defer { state.isWaiting = false }
      return state.isWaiting
    }
    if isWaiting { wake.signal() }
  }

  /// To be called now and then: work for idle moments may be due, and the thread asleep.
  func tick() {
    let isDue = state.withLock { state in
      guard state.isWaiting, let due = state.restDue, due <= .now() else { return false }
      state.isWaiting = false
      return true
    }
    if isDue { wake.signal() }
  }

  private enum Step {
    case work([Item])
    case rest
    case wait
    case end
  }

  private func run() {
    ThreadSchedule.withoutPreempting()
    var toldOf: NIODeadline?
    loop: while true {
      switch next() {
      case .work(let items):
        for item in items {
          switch item {
          case .job(let job): finished(timed { worker.run(job) })
          case .task(let task): task()
          }
        }
        // A failure stops the log, and so shows again at the next job, where it is answered.
        do throws(StorageError) { try worker.keepPace() } catch {}
        release(restDue: .now() + Self.restAfter)
      case .rest:
        var isMore = false
        do throws(StorageError) { isMore = try worker.rest() } catch {}
        release(restDue: isMore ? .now() + Self.restAfter : nil)
      case .wait:
        guard wake.wait(timeout: .now() + .seconds(1)) == .timedOut else { continue }
        guard let since = state.withLock({ $0.atOnceSince }), since != toldOf, .now() - since >= Self.hangs else {
          continue
        }
        toldOf = since
        standsStill(.now() - since)
      case .end: break loop
      }
    }
    do throws(StorageError) {
      try worker.close()
      ended(nil)
    } catch { ended(error) }
  }

  private func next() -> Step {
    state.withLock { state in
      if state.isWorking {
        // The loop runs a job at once; it signals when it is done, if anything has come meanwhile.
        state.isWaiting = true
        return .wait
      }
      if !state.queue.isEmpty {
        let items = state.queue
        state.queue.removeAll(keepingCapacity: true)
        state.isWorking = true
        return .work(items)
      }
      if state.isStopping { return .end }
      if let due = state.restDue, due <= .now() {
        state.restDue = nil
        state.isWorking = true
        return .rest
      }
      state.isWaiting = true
      return .wait
    }
  }

  private func release(restDue: NIODeadline?) {
    state.withLock { state in
      state.isWorking = false
      state.restDue = restDue
    }
  }

  private func timed(_ work: () -> DiskResult) -> DiskResult {
    let start = NIODeadline.now()
    var result = work()
    let end = NIODeadline.now()
    result.nanoseconds = UInt64(max(0, (end - start).nanoseconds))
    state.withLock { state in
      state.quickUntil = end + Self.quickFor
      if end - start > Self.slow { state.threadOnlyUntil = end + Self.threadOnlyAfterSlow }
    }
    return result
  }
}

extension DiskThread: DiskQueue {
  func submit(_ job: DiskJob) -> DiskResult? {
    guard job.mayRunAtOnce, beginAtOnce() else {
      submit(.job(job))
      return nil
    }
    let result = timed { worker.run(job) }
    do throws(StorageError) { try worker.keepPace() } catch {}
    let isWaited = state.withLock { state in
      (state.isWorking, state.atOnceSince) = (false, nil)
      state.restDue = .now() + Self.restAfter
      guard state.isWaiting, !state.queue.isEmpty || state.isStopping else { return false }
      state.isWaiting = false
      return true
    }
    if isWaited { wake.signal() }
    return result
  }

  private func beginAtOnce() -> Bool {
    state.withLock { state in
      let now = NIODeadline.now()
      guard !state.isWorking, state.queue.isEmpty, !state.isStopping, state.threadOnlyUntil <= now,
        now <= state.quickUntil
      else { return false }
      (state.isWorking, state.atOnceSince) = (true, now)
      return true
    }
  }
}
