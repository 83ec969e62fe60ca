import Lockstep
import LockstepExecution
import LockstepTransport
import LockstepWire
import NIOCore

/// Puts a load on nodes over TCP, from its own process, as a user's would be. Everything on one event loop, without a
/// task or an allocation per call: the load shares the machine with what it measures.
final class LoadGenerator {
  enum Phase {
    case connecting
    case warmUp
    case measured
    /// Nothing more is sent, and what was, or was due, is waited for, for a moment.
    case draining
    case over
  }

  /// One second of a load.
  struct Second: Sendable {
    let phase: Phase
    let number: Int
    let result: LoadResult
  }

  private static let connectPatience = TimeAmount.seconds(10)
  private static let drainPatience = TimeAmount.seconds(1)
  static let shortestPause = TimeAmount.milliseconds(10)
  static let longestPause = TimeAmount.milliseconds(160)

  let load: Load
  let eventLoop: any EventLoop
  let targets: LoadTargets
  private let template: CallTemplate
  let codec = Codec(maximumMessage: 8 << 20)
  private let eachSecond: (Second) -> Void
  private let finished: (Result<LoadResult, CommandFailure>) -> Void

  private(set) var phase = Phase.connecting
  private(set) var workers: [LoadWorker] = []
  var meter: LoadMeter
  var keys: KeySequence
  /// Calls without an answer, those that wait to be sent again among them.
  var underWay = 0
  /// Until what was refused is sent again; from the first refusal on it doubles, until something succeeds.
  var pause = LoadGenerator.shortestPause
  var isPausing = false
  /// In nanoseconds, as all times here. The measured time is that between the marks.
  private(set) var beginning: UInt64 = 0
  private var lastTick: UInt64 = 0
  private var marks: Range<UInt64> = 0..<0

  // Of an open loop.
  let schedule: OpenLoopSchedule?
  private var nextCall: UInt64 = 0
  private var callsInAll: UInt64 = 0
  private var turn = 0
  private var touched: [LoadWorker] = []

  /// `finished` is called on the loop, once.
  init(
    _ load: Load, _ targets: LoadTargets, on eventLoop: any EventLoop, eachSecond: @escaping (Second) -> Void,
    finished: @escaping (Result<LoadResult, CommandFailure>) -> Void
  ) {
    self.load = load
    self.targets = targets
    self.eventLoop = eventLoop
    self.eachSecond = eachSecond
    self.finished = finished
    template = CallTemplate(load)
    keys = load.keySequence
    schedule = if case .open(let rate, _) = load.pace { OpenLoopSchedule(rate: rate) } else { nil }
    meter = LoadMeter(slots: schedule == nil ? load.clients * load.window : nil)
  }

  static func now() -> UInt64 { NIODeadline.now().uptimeNanoseconds }

  // MARK: Phases

  func start() {
    workers = (0..<load.clients).map {
      LoadWorker(
        targets, number: $0, session: load.sessions.isEmpty ? 0 : load.sessions[$0], window: load.window, on: eventLoop,
        owner: self)
    }
    for worker in workers { worker.start() }
    eventLoop.assumeIsolated().scheduleTask(in: Self.connectPatience) {
      guard self.phase == .connecting else { return }
      self.end(
        .failure(
          .failed(
            "\(self.connectedCount) of \(self.load.clients) connections were made within "
              + "\(Self.connectPatience.nanoseconds / 1_000_000_000) s; \(self.meter.firstError ?? "nothing is known")")
        ))
    }
  }

  var connectedCount: Int { workers.count { $0.connection != nil } }

  /// All clients are connected.
  func begin() {
    beginning = Self.now()
    lastTick = beginning
    phase = .warmUp
    if case .time(let warmup, let seconds) = load.extent {
      let measured = beginning + UInt64(warmup) * 1_000_000_000
      marks = measured..<measured + UInt64(seconds) * 1_000_000_000
      if warmup == 0 { phase = .measured }
    } else {
      // Of keys that are to be there, every failure counts.
      phase = .measured
    }
    if phase == .measured { meter.begin(at: beginning) }
    tick(number: 1)
    if let schedule {
      callsInAll = schedule.count(before: marks.upperBound - beginning)
      wake()
    } else {
      for worker in workers {
        pump(worker, beginning)
        worker.connection?.flush()
      }
    }
  }

  private func tick(number: Int) {
    let time = NIODeadline.uptimeNanoseconds(beginning + UInt64(number) * 1_000_000_000)
    eventLoop.assumeIsolated().scheduleTask(deadline: time) {
      guard self.phase == .warmUp || self.phase == .measured else { return }
      self.secondEnds(number)
    }
  }

  private func secondEnds(_ number: Int) {
    let now = Self.now()
    let result = meter.takeSecond(lasting: Double(now - lastTick) / 1e9)
    lastTick = now
    eachSecond(Second(phase: phase, number: number, result: result))
    for worker in workers where worker.isSilent(longerThan: load.options.timeout) {
      worker.connection?.closeNow(reason: .local("nothing was answered for more than \(load.options.timeout)"))
    }
    guard case .time(let warmup, let seconds) = load.extent else {
      // It has failed, and may never end.
      return meter.isSound ? tick(number: number + 1) : finish(lasting: now - beginning)
    }
    if number == warmup + seconds {
      measuredTimeEnds(now)
    } else {
      if number == warmup {
        phase = .measured
        // A closed loop is measured by what this clock says; an open one by its schedule.
        if schedule == nil { marks = now..<max(now, marks.upperBound) }
        meter.begin(at: now)
      }
      tick(number: number + 1)
    }
  }

  private func measuredTimeEnds(_ now: UInt64) {
    if schedule == nil { marks = marks.lowerBound..<now }
    meter.end(at: now)
    phase = .draining
    finishIfDrained()
    eventLoop.assumeIsolated().scheduleTask(in: Self.drainPatience) {
      if self.phase == .draining { self.finish(lasting: self.marks.upperBound - self.marks.lowerBound) }
    }
  }

  func finishIfDrained() {
    guard phase == .draining, underWay == 0, nextCall == callsInAll else { return }
    finish(lasting: marks.upperBound - marks.lowerBound)
  }

  func finish(lasting nanoseconds: UInt64) {
    countUnanswered()
    end(.success(meter.result(lasting: Double(nanoseconds) / 1e9)))
  }

  private func end(_ result: Result<LoadResult, CommandFailure>) {
    phase = .over
    for worker in workers { worker.stop() }
    workers.removeAll()
    finished(result)
  }

  /// To leave out the calls that the cluster could not answer would be to measure only what went well.
  private func countUnanswered() {
    let now = Self.now()
    for worker in workers {
      // A closed loop may have waited for them since its warm-up.
      for start in worker.starts where start != 0 && (schedule == nil || marks.contains(start)) {
        meter.unanswered(1, waited: now - start)
      }
    }
    guard let schedule else { return }
    while nextCall < callsInAll {
      let due = beginning + schedule.due(nextCall)
      let count = min(schedule.batch - nextCall % schedule.batch, callsInAll - nextCall)
      if marks.contains(due) { meter.unanswered(count, waited: now - due) }
      nextCall += count
    }
  }

  // MARK: Calls

  /// Sends what the closed loop allows.
  func pump(_ worker: LoadWorker, _ now: UInt64) {
    guard schedule == nil, phase == .warmUp || phase == .measured, worker.takesCalls else { return }
    while !keys.isOver, let slot = worker.free.popLast() {
      guard send(worker, slot, start: now) else { return }
    }
  }

  /// When the connection takes no more, the slot stays free until there is room.
  func send(_ worker: LoadWorker, _ slot: Int, start: UInt64) -> Bool {
    guard write(worker, slot) else {
      worker.free.append(slot)
      return false
    }
    worker.starts[slot] = start
    underWay += 1
    return true
  }

  func write(_ worker: LoadWorker, _ slot: Int) -> Bool {
    let result = worker.connection?.send(kind: template.kind.rawValue, count: template.bytes.count) {
      template.write(id: slot, keys: &keys, session: worker.session, sequence: worker.sequence, to: $0)
    }
    guard case .queued? = result else { return false }
    worker.sequence += UInt64(load.batch)
    return true
  }

  /// Sends what is due in an open loop, and comes back when more is. A call that no connection has room for goes out
  /// later; when it was due stays what the schedule says.
  private func wake() {
    guard let schedule, phase != .over else { return }
    let now = Self.now()
    let due = min(schedule.count(dueBy: now - beginning), callsInAll)
    while nextCall < due, let worker = workerWithRoom(), let slot = worker.free.popLast() {
      guard send(worker, slot, start: beginning + schedule.due(nextCall)) else { continue }
      nextCall += 1
      if !worker.isTouched {
        worker.isTouched = true
        touched.append(worker)
      }
    }
    for worker in touched {
      worker.isTouched = false
      worker.connection?.flush()
    }
    touched.removeAll(keepingCapacity: true)
    guard nextCall < callsInAll else { return }
    let next = max(beginning + schedule.due(nextCall), now + 100_000)
    eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(next)) { self.wake() }
  }

  private func workerWithRoom() -> LoadWorker? {
    for _ in 0..<workers.count {
      turn = turn + 1 < workers.count ? turn + 1 : 0
      let worker = workers[turn]
      if worker.takesCalls, !worker.free.isEmpty, worker.connection?.isWritable == true { return worker }
    }
    return nil
  }

  /// Is a failed answer to this call one of the measured time? As many seconds as successes are counted in.
  func isCounted(_ start: UInt64) -> Bool { schedule == nil ? phase == .measured : marks.contains(start) }

  /// Does the latency of this call count? In a closed loop also of those that are waited for at the end.
  func isMeasured(_ start: UInt64) -> Bool {
    isCounted(start) || schedule == nil && phase == .draining
  }
}
