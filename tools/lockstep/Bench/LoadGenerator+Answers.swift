import Lockstep
import LockstepExecution
import LockstepTransport
import LockstepWire
import NIOCore

// What becomes of a load's calls: answered, lost, or refused and sent again.

extension LoadGenerator: LoadWorkerOwner {
  func take(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError) {
    guard phase != .over else { return }
    let reply = try ReplyHead(payload)
    let now = Self.now()
    let (slot, start) = try worker.ended(reply.id)
    if reply.code == 0 {
      // A GetReply begins with `found`, unless that is false.
      let isMissing = load.operation == .get && (reply.payload.isEmpty || payload[reply.payload.lowerBound] != 1 << 3)
      succeeded(start, now, isMissing: isMissing)
    } else {
      if waitsForAnother(worker, slot, code: reply.code, applied: reply.applied, leader: reply.leader, now) { return }
      failed(reply.code, 1, isCounted(start), (try? codec.unpackReply(payload).message) ?? "")
    }
    goOn(worker, slot, leader: reply.leader, now)
  }

  func takeBatch(_ payload: UnsafeRawBufferPointer, _ worker: LoadWorker) throws(WireError) {
    guard phase != .over else { return }
    let reply = try BatchReplyHead(payload)
    let now = Self.now()
    let (slot, start) = try worker.ended(reply.id)
    if reply.succeeded > 0 { succeeded(start, now, commands: reply.succeeded) }
    if reply.code != 0 || reply.failed > 0 {
      if waitsForAnother(worker, slot, code: reply.code, applied: reply.applied, leader: reply.leader, now) { return }
      let whole = try codec.unpackBatchReply(payload)
      let isCounted = isCounted(start)
      if whole.code != 0 { failed(UInt64(whole.code), load.batch, isCounted, whole.message) }
      for result in whole.results where result.code != 0 { failed(UInt64(result.code), 1, isCounted, result.message) }
    }
    goOn(worker, slot, leader: reply.leader, now)
  }

  func connected(_ worker: LoadWorker) {
    if phase == .connecting {
      if connectedCount == load.clients { begin() }
    } else {
      hasRoom(worker)
    }
  }

  func hasRoom(_ worker: LoadWorker) {
    pump(worker, Self.now())
    worker.connection?.flush()
  }

  func lost(_ worker: LoadWorker, _ message: String) {
    guard phase != .over else { return }
    let refused = Set(worker.refused)
    for slot in worker.starts.indices where worker.starts[slot] != 0 && !refused.contains(slot) {
      meter.failed(.unavailable, commands: load.batch, isMeasured: isMeasured(worker.starts[slot]), message)
      worker.starts[slot] = 0
      worker.free.append(slot)
      underWay -= 1
    }
    goOnAfterAnswer()
  }

  func connectFailed(_ message: String) {
    if phase != .over { meter.connectionFailed(isMeasured: phase == .measured, message) }
  }
}

extension LoadGenerator {
  private func failed(_ code: UInt64, _ commands: Int, _ isCounted: Bool, _ message: String) {
    let code = CallStatus.Code(rawValue: UInt8(truncatingIfNeeded: code)) ?? .unknown
    meter.failed(code, commands: commands, isMeasured: isCounted, message)
  }

  private func succeeded(_ start: UInt64, _ now: UInt64, commands: Int = 1, isMissing: Bool = false) {
    pause = Self.shortestPause
    if phase == .measured { meter.served(at: now) }
    meter.succeeded(
      latency: now - start, commands: commands, isMissing: isMissing, isInTime: phase == .measured,
      isMeasured: isMeasured(start))
  }

  /// The call has its answer.
  private func goOn(_ worker: LoadWorker, _ slot: Int, leader: UInt64, _ now: UInt64) {
    worker.starts[slot] = 0
    underWay -= 1
    if leader != worker.leader {
      worker.leader = leader
      if let place = targets.place(ofLeader: leader), place != worker.place { worker.move(to: place) }
    }
    if schedule == nil, phase == .warmUp || phase == .measured, !keys.isOver, worker.takesCalls {
      _ = send(worker, slot, start: now)
    } else {
      worker.free.append(slot)
      worker.moveWhenIdle()
      goOnAfterAnswer()
    }
  }

  private func goOnAfterAnswer() {
    if load.extent == .everyKey, underWay == 0, keys.isOver { return finish(lasting: Self.now() - beginning) }
    finishIfDrained()
  }

  // MARK: Calls that are sent again

  /// A call that was certainly not carried out is the same call when it is sent again, with the time that has passed.
  private func waitsForAnother(
    _ worker: LoadWorker, _ slot: Int, code: UInt64, applied: UInt64, leader: UInt64, _ now: UInt64
  ) -> Bool {
    // Of keys that are to be written once each this one would be lost.
    guard load.extent != .everyKey, maySendAgain(code: code, applied: applied), isInTime(slot, worker, now) else {
      return false
    }
    worker.refused.append(slot)
    if let place = targets.place(ofLeader: leader), place != worker.place {
      worker.move(to: place)
    } else if worker.destination == nil {
      worker.moveOn()
    }
    worker.moveWhenIdle()
    guard !isPausing else { return true }
    isPausing = true
    eventLoop.assumeIsolated().scheduleTask(in: pause) {
      self.isPausing = false
      self.sendAgain()
    }
    pause = min(Self.longestPause, pause + pause)
    return true
  }

  private func isInTime(_ slot: Int, _ worker: LoadWorker, _ now: UInt64) -> Bool {
    let timeout = TimeAmount(load.options.timeout).nanoseconds
    return now - min(now, worker.starts[slot]) < UInt64(clamping: timeout)
  }

  private func sendAgain() {
    guard phase != .over else { return }
    let now = Self.now()
    for worker in workers {
      let refused = worker.refused
      worker.refused.removeAll(keepingCapacity: true)
      for slot in refused {
        if !isInTime(slot, worker, now) {
          let message = "refused until its time-out, and certainly not carried out"
          meter.failed(.unavailable, commands: load.batch, isMeasured: isMeasured(worker.starts[slot]), message)
          goOn(worker, slot, leader: 0, now)
        } else if !worker.takesCalls || !write(worker, slot) {
          worker.refused.append(slot)
        }
      }
      worker.moveWhenIdle()
      worker.connection?.flush()
    }
    guard phase != .over, !isPausing, workers.contains(where: { !$0.refused.isEmpty }) else { return }
    isPausing = true
    eventLoop.assumeIsolated().scheduleTask(in: pause) {
      self.isPausing = false
      self.sendAgain()
    }
  }
}
