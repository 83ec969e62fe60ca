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

  let load: Load
  let eventLoop: any EventLoop
  private let endpoints: [Endpoint]
  private let template: CallTemplate
  private let codec = Codec(maximumMessage: 8 << 20)
  private let eachSecond: (Second) -> Void
  private let finished: (Result<LoadResult, CommandFailure>) -> Void

  private var links: [Link] = []
  private(set) var phase = Phase.connecting
  private(set) var workers: [LoadWorker] = []
  private var meter = LoadMeter()
  private var keys: KeySequence
  private var underWay = 0
  private var answered = 0
  /// In nanoseconds, as all times here. The measured time is that between the marks.
  private var beginning: UInt64 = 0
  private var lastTick: UInt64 = 0
  private var marks: Range<UInt64> = 0..<0

  // Of an open loop.
  private let schedule: OpenLoopSchedule?
  private var nextCall: UInt64 = 0
  private var callsInAll: UInt64 = 0
  private var turn = 0
  private var touched: [LoadWorker] = []

  /// `finished` is called on the loop, once.
  init(
    _ load: Load, endpoints: [Endpoint], on eventLoop: any EventLoop, eachSecond: @escaping (Second) -> Void,
    finished: @escaping (Result<LoadResult, CommandFailure>) -> Void
  ) {
    self.load = load
    self.endpoints = endpoints
    self.eventLoop = eventLoop
    self.eachSecond = eachSecond
    self.finished = finished
    template = CallTemplate(load)
    keys = KeySequence(count: UInt64(load.keys), isRandom: load.extent != .everyKey)
    schedule = if case .open(let rate) = load.pace { OpenLoopSchedule(rate: rate) } else { nil }
  }

  private static func now() -> UInt64 { NIODeadline.now().uptimeNanoseconds }

  // MARK: Phases

  func start() {
    for number in 0..<load.clients {
      let endpoint = endpoints[number % endpoints.count]
      let link = Link(
        host: endpoint.host, port: endpoint.port, on: eventLoop, limits: .client, seed: UInt64(number), delegate: self)
      links.append(link)
      link.start()
    }
    eventLoop.assumeIsolated().scheduleTask(in: Self.connectPatience) {
      guard self.phase == .connecting else { return }
      self.end(
        .failure(
          .failed(
            "\(self.workers.count) of \(self.load.clients) connections were made within "
              + "\(Self.connectPatience.nanoseconds / 1_000_000_000) s; \(self.meter.firstError ?? "nothing is known")")
        ))
    }
  }

  /// All clients are connected.
  private func begin() {
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
    tick(number: 1)
    if let schedule {
      callsInAll = schedule.count(before: marks.upperBound - beginning)
      wake()
    } else {
      for worker in workers {
        pump(worker, beginning)
        worker.connection.flush()
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
      worker.connection.closeNow(reason: .local("nothing was answered for more than \(load.options.timeout)"))
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
      }
      tick(number: number + 1)
    }
  }

  private func measuredTimeEnds(_ now: UInt64) {
    if schedule == nil { marks = marks.lowerBound..<now }
    phase = .draining
    finishIfDrained()
    eventLoop.assumeIsolated().scheduleTask(in: Self.drainPatience) {
      if self.phase == .draining { self.finish(lasting: self.marks.upperBound - self.marks.lowerBound) }
    }
  }

  private func finishIfDrained() {
    guard phase == .draining, underWay == 0, nextCall == callsInAll else { return }
    finish(lasting: marks.upperBound - marks.lowerBound)
  }

  private func finish(lasting nanoseconds: UInt64) {
    countUnanswered()
    end(.success(meter.result(lasting: Double(nanoseconds) / 1e9)))
  }

  private func end(_ result: Result<LoadResult, CommandFailure>) {
    phase = .over
    for link in links { link.stop() }
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
  private func pump(_ worker: LoadWorker, _ now: UInt64) {
    guard schedule == nil, phase == .warmUp || phase == .measured else { return }
    while !keys.isOver, let slot = worker.free.popLast() {
      guard send(worker, slot, start: now) else { return }
    }
  }

  /// When the connection takes no more, the slot stays free until there is room.
  private func send(_ worker: LoadWorker, _ slot: Int, start: UInt64) -> Bool {
    let result = worker.connection.send(kind: template.kind.rawValue, count: template.bytes.count) {
      template.write(id: slot, keys: &keys, to: $0)
    }
    guard case .queued = result else {
      worker.free.append(slot)
      return false
    }
    worker.starts[slot] = start
    underWay += 1
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
      worker.connection.flush()
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
      if !worker.free.isEmpty, worker.connection.isWritable { return worker }
    }
    return nil
  }

  private func take(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError) {
    let reply = try ReplyHead(payload)
    let now = Self.now()
    let (slot, start) = try ended(reply.id, worker)
    if reply.code == 0 {
      answered += 1
      // A GetReply begins with `found`, unless that is false.
      let isMissing = load.operation == .get && (reply.payload.isEmpty || payload[reply.payload.lowerBound] != 1 << 3)
      meter.succeeded(
        latency: now - start, isMissing: isMissing, isInTime: phase == .measured, isMeasured: isMeasured(start))
    } else {
      let code = Status.Code(rawValue: UInt8(truncatingIfNeeded: reply.code)) ?? .unknown
      meter.failed(code, isMeasured: isCounted(start), (try? codec.unpackReply(payload).message) ?? "")
    }
    goOn(worker, slot, now)
  }

  private func takeBatch(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError) {
    let reply = try BatchReplyHead(payload)
    let now = Self.now()
    let (slot, start) = try ended(reply.id, worker)
    if reply.succeeded > 0 {
      answered += 1
      meter.succeeded(
        latency: now - start, commands: reply.succeeded, isMissing: false, isInTime: phase == .measured,
        isMeasured: isMeasured(start))
    }
    if reply.code != 0 || reply.failed > 0 {
      let whole = try codec.unpackBatchReply(payload)
      let isCounted = isCounted(start)
      if whole.code != 0 { failed(whole.code, load.batch, isCounted, whole.message) }
      for result in whole.results where result.code != 0 { failed(result.code, 1, isCounted, result.message) }
    }
    goOn(worker, slot, now)
  }

  private func failed(_ code: UInt32, _ commands: Int, _ isCounted: Bool, _ message: String) {
    let code = Status.Code(rawValue: UInt8(truncatingIfNeeded: code)) ?? .unknown
    meter.failed(code, commands: commands, isMeasured: isCounted, message)
  }

  /// The call is answered: its slot, and when it began.
  private func ended(_ id: UInt64, _ worker: LoadWorker) throws(WireError) -> (slot: Int, start: UInt64) {
    guard id < UInt64(worker.starts.count), worker.starts[Int(id)] != 0 else {
      throw WireError("an answer to call \(id), which is not under way")
    }
    let slot = Int(id)
    let start = worker.starts[slot]
    worker.starts[slot] = 0
    worker.isHeard = true
    underWay -= 1
    return (slot, start)
  }

  private func goOn(_ worker: LoadWorker, _ slot: Int, _ now: UInt64) {
    if schedule == nil, phase == .warmUp || phase == .measured, !keys.isOver {
      _ = send(worker, slot, start: now)
    } else {
      worker.free.append(slot)
      goOnAfterAnswer()
    }
  }

  private func goOnAfterAnswer() {
    if load.extent == .everyKey, underWay == 0, keys.isOver { return finish(lasting: Self.now() - beginning) }
    finishIfDrained()
  }

  /// Is a failed answer to this call one of the measured time? As many seconds as successes are counted in.
  private func isCounted(_ start: UInt64) -> Bool { schedule == nil ? phase == .measured : marks.contains(start) }

  /// Does the latency of this call count? In a closed loop also of those that are waited for at the end.
  private func isMeasured(_ start: UInt64) -> Bool {
    isCounted(start) || schedule == nil && phase == .draining
  }
}

extension LoadGenerator: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    codec.pack(clientHello: WireVersion.oldest...WireVersion.current)
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.clientHello.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard phase != .over else { return }
    do throws(WireError) {
      if kind == FrameKind.callReply.rawValue, let worker = connection.context as? LoadWorker {
        try take(payload, worker)
      } else if kind == FrameKind.batchReply.rawValue, let worker = connection.context as? LoadWorker {
        try takeBatch(payload, worker)
      } else if kind == FrameKind.clientWelcome.rawValue, connection.context == nil {
        welcome(connection)
      } else if kind == FrameKind.refusal.rawValue {
        connection.closeNow(reason: .local("the node refused: \(try codec.unpackRefusal(payload))"))
      } else {
        throw WireError("a frame of kind \(kind)")
      }
    } catch {
      connection.closeNow(reason: .local("not understood: \(error)"))
    }
  }

  private func welcome(_ connection: Connection) {
    connection.established()
    let worker = LoadWorker(connection, window: load.window)
    connection.context = worker
    workers.append(worker)
    if phase == .connecting {
      if workers.count == load.clients { begin() }
    } else {
      pump(worker, Self.now())
      connection.flush()
    }
  }

  func connectionReadCompleted(_ connection: Connection) { connection.flush() }

  func connectionWritabilityChanged(_ connection: Connection) {
    guard let worker = connection.context as? LoadWorker else { return }
    pump(worker, Self.now())
    connection.flush()
  }

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    guard phase != .over else { return }
    let message = "the connection to \(connection.remoteAddress) was lost: \(reason)"
    guard let worker = connection.context as? LoadWorker else {
      return meter.connectionFailed(isMeasured: phase == .measured, message)
    }
    workers.removeAll { $0 === worker }
    for start in worker.starts where start != 0 {
      underWay -= 1
      meter.failed(.unavailable, commands: load.batch, isMeasured: isMeasured(start), message)
    }
    goOnAfterAnswer()
  }

  func link(_ link: Link, dialFailed reason: String) {
    guard phase != .over else { return }
    meter.connectionFailed(
      isMeasured: phase == .measured, "\(link.host):\(link.port) cannot be reached: \(reason)")
  }
}
