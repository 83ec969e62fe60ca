import Dispatch
import Foundation
import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepRequests
import NIOCore
import Synchronization

/// A machine with its own storage, on a thread of its own: the loop hands over committed entries and goes on, and is told
/// when there are answers. Queries have threads beside it.
final class StoredApplier: StoredStateApplier, @unchecked Sendable {
  // Unchecked: `executor` is touched by the machine's thread, and by the loop while nothing is submitted, which the two tell
  // each other through the mutex; what stands below "The loop's own" by the loop alone; all else is guarded by the mutex.

  /// Entries that are handed over, with their bytes: those of the log are borrowed for the call.
  private struct Job {
    struct Item {
      let id: EntryID
      let kind: EntryKind
      let timestamp: UInt64
      let session: UInt64
      let sequence: UInt64
      let sessionCall: SessionCall?
      let method: Range<Int>
      let request: Range<Int>
    }
    var items: [Item] = []
    var bytes: [UInt8] = []
    let repliesAreWanted: Bool
    let isRecording: Bool

    /// Returns how many bytes it has more.
    mutating func append(_ entries: ArraySlice<Executor.Entry>) -> Int {
      let before = bytes.count
      items.reserveCapacity(items.count + entries.count)
      bytes.reserveCapacity(entries.reduce(bytes.count) { $0 + $1.method.count + $1.request.count })
      for entry in entries {
        let start = bytes.count
        bytes.append(contentsOf: entry.method)
        let middle = bytes.count
        bytes.append(contentsOf: entry.request)
        items.append(
          Item(
            id: entry.id, kind: entry.kind, timestamp: entry.timestamp, session: entry.session,
            sequence: entry.sequence, sessionCall: entry.sessionCall, method: start..<middle,
            request: middle..<bytes.count))
      }
      return bytes.count - before
    }
  }

  /// What one transaction has come to.
  private struct Done {
    let mark: StoredMark
    let digest: UInt64
    let answers: [StoredExecutor.Answer]
    let changes: [Change]
    /// Of the replies, and of the changes.
    let bytes: Int
  }

  private struct Shared {
    var jobs: [Job] = []
    var done: [Done] = []
    /// Of the replies in `done`.
    var bytes = 0
    /// Of the entries that are handed over and not carried out.
    var waitingBytes = 0
    var failure: StoredMachineFailure?
    var isStopping = false
    var isTold = false
  }

  /// Commands in one transaction: enough to share its cost, and few enough for the first to be answered soon.
  private static let commandsAtOnce = 256
  /// Of replies that the loop has not collected; the machine waits for it.
  private static let maximumBytes = 8 * 1024 * 1024
  /// Of entries that wait for the machine. More than one transaction: while it is at work the next one gathers.
  private static let maximumWaitingBytes = 1024 * 1024

  let group: GroupID
  let schemas: [Schema]
  private let description: any StoredMachine
  private let executor: StoredExecutor
  private let shared = Mutex(Shared())
  private let wake = DispatchSemaphore(value: 0)
  private let collected = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private let queries: QueryThreads
  /// Called on a thread of the applier's, when there is something to collect.
  private let isReady: @Sendable () -> Void

  // The loop's own.
  private(set) var submitted: LogIndex
  private(set) var digest: UInt64
  private var mark: StoredMark
  private var failure: ApplierFailure?
  private var isFull = false
  private var isRecording = false
  /// Collected, and not taken.
  private var changes: [Change] = []

  init(_ executor: StoredExecutor, of machine: any StoredMachine, isReady: @escaping @Sendable () -> Void) {
    self.executor = executor
    self.isReady = isReady
    description = machine
    group = executor.group
    schemas = machine.schemas
    mark = executor.mark
    submitted = executor.mark.last.index
    digest = executor.digest
    queries = QueryThreads(isReady: isReady)
  }

  /// As many readers as queries are answered at the same time.
  static func readers(of executor: StoredExecutor) throws(StoredMachineFailure) -> [any StoredStateReader] {
    var readers: [any StoredStateReader] = []
    while readers.count < QueryThreads.threads { readers.append(try executor.state.makeReader()) }
    return readers
  }

  func start(_ readers: [any StoredStateReader]) {
    queries.start(readers)
    let thread = Thread { self.run() }
    thread.name = "lockstep-machine"
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// Finishes the transaction that is under way, and closes the state. Not on the loop.
  func stop() {
    shared.withLock { $0.isStopping = true }
    wake.signal()
    collected.signal()
    ended.wait()
    queries.stop()
    executor.state.close()
  }

  // MARK: What the driver asks

  var applied: LogIndex { mark.last.index }
  var appliedTerm: Term { mark.last.term }
  var time: UInt64 { mark.time }
  var machine: (any StateMachine)? { nil }
  var isStored: Bool { true }

  private var progress: ApplyProgress {
    if let failure { return .failed(failure) }
    if applied == submitted { return .done }
    return isFull ? .full : .underWay
  }

  func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    guard failure == nil, let last = entries.last else { return progress }
    submitted = last.id.index
    shared.withLock { shared in
      // What comes while the machine is at work waits together, and shares the cost of a transaction.
      let place = shared.jobs.count - 1
      if place < 0 || shared.jobs[place].repliesAreWanted != repliesAreWanted
        || shared.jobs[place].isRecording != isRecording
      {
        shared.jobs.append(Job(repliesAreWanted: repliesAreWanted, isRecording: isRecording))
      }
      let added = shared.jobs[shared.jobs.count - 1].append(entries)
      shared.waitingBytes += added
      isFull = shared.waitingBytes > Self.maximumWaitingBytes
    }
    wake.signal()
    return progress
  }

  func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress {
    let (done, failed) = shared.withLock { shared in
      defer {
        shared.done = []
        shared.bytes = 0
        shared.isTold = false
      }
      isFull = shared.waitingBytes > Self.maximumWaitingBytes
      return (shared.done, shared.failure)
    }
    if !done.isEmpty { collected.signal() }
    for transaction in done {
      mark = transaction.mark
      digest = transaction.digest
      for answer in transaction.answers { onReply(answer.id, answer.reply) }
      changes += transaction.changes
    }
    if let failed, failure == nil { failure = ApplierFailure(applied: applied, message: failed.message) }
    return progress
  }

  func record(_ isRecording: Bool) { self.isRecording = isRecording }

  func takeChanges() -> [Change] {
    defer { changes = [] }
    return changes
  }

  func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? {
    guard let kind = description.kind(ofMethod: call.method) else { return nil }
    try description.validate(call)
    return kind
  }

  func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    queries.ask(id, call, deadline)
    return nil
  }

  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {
    for (id, answer) in queries.collect() { onAnswer(id, answer) }
  }

  func freeze() -> FrozenState? {
    // The machine's thread has nothing to do: the state is the loop's for this call.
    guard progress == .done else { return nil }
    do throws(StoredMachineFailure) {
      return FrozenState(
        group: group, last: mark.last, time: mark.time, machineVersion: description.version, digest: digest,
        content: try executor.state.freeze())
    } catch {
      failure = ApplierFailure(applied: applied, message: error.message)
      shared.withLock { $0.failure = error }
      isReady()
      return nil
    }
  }

  // MARK: The machine's thread

  private func run() {
    while true {
      wake.wait()
      let (job, isStopping) = shared.withLock { shared in
        (shared.jobs.isEmpty ? nil : shared.jobs.removeFirst(), shared.isStopping)
      }
      if isStopping { break }
      guard let job else { continue }
      do throws(StoredMachineFailure) { try carryOut(job) } catch {
        shared.withLock { $0.failure = error }
        isReady()
        break
      }
    }
    ended.signal()
  }

  private func carryOut(_ job: Job) throws(StoredMachineFailure) {
    var place = 0
    while place < job.items.count {
      let end = min(place + Self.commandsAtOnce, job.items.count)
      guard waitForRoom() else { return }
      let answers = try apply(job, place..<end)
      publish(answers, of: job.items[end - 1].request.upperBound - job.items[place].method.lowerBound)
      place = end
    }
  }

  private func apply(_ job: Job, _ places: Range<Int>) throws(StoredMachineFailure) -> [StoredExecutor.Answer] {
    var outcome: Result<[StoredExecutor.Answer], StoredMachineFailure> = .success([])
    job.bytes.withUnsafeBytes { bytes in
      let entries = job.items[places].map { item in
        Executor.Entry(
          id: item.id, kind: item.kind, timestamp: item.timestamp, session: item.session, sequence: item.sequence,
          call: MethodCall(
            method: UnsafeRawBufferPointer(rebasing: bytes[item.method]),
            request: UnsafeRawBufferPointer(rebasing: bytes[item.request])), sessionCall: item.sessionCall)
      }
      do throws(StoredMachineFailure) {
        outcome = .success(
          try executor.apply(
            entries[...], repliesAreWanted: job.repliesAreWanted, isRecording: job.isRecording))
      } catch { outcome = .failure(error) }
    }
    return try outcome.get()
  }

  private func publish(_ answers: [StoredExecutor.Answer], of entryBytes: Int) {
    let bytes = answers.reduce(0) { sum, answer in
      if case .success(let reply)? = answer.reply { sum + reply.count } else { sum }
    }
    let changes = executor.takeChanges()
    let done = Done(
      mark: executor.mark, digest: executor.digest, answers: answers, changes: changes,
      bytes: changes.reduce(bytes) { $0 + $1.byteCount })
    let mustTell = shared.withLock { shared in
      shared.done.append(done)
      shared.bytes += done.bytes
      shared.waitingBytes -= entryBytes
      defer { shared.isTold = true }
      return !shared.isTold
    }
    if mustTell { isReady() }
  }

  /// False: the node stops.
  private func waitForRoom() -> Bool {
    while true {
      let (bytes, isStopping) = shared.withLock { ($0.bytes, $0.isStopping) }
      if isStopping { return false }
      if bytes <= Self.maximumBytes { return true }
      collected.wait()
    }
  }
}
