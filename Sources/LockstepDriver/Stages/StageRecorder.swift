import LockstepConsensus
import LockstepRequests
import LockstepStorage
import LockstepWire

/// Where a command's time goes, on the whole node: a few readings of the clock a turn. Nothing here changes what the
/// node does.
final class StageRecorder {
  /// Says how long things take, and nothing else: no decision rests on it.
  private let clock: () -> UInt64
  private var times = StageTimes()
  /// Something was proposed or sent in some group, and has not left this node.
  private var isHandingOver = false
  /// The append that the disk is at.
  private var writing: (start: UInt64, entries: Int, bytes: Int)?

  init(clock: @escaping () -> UInt64) { self.clock = clock }

  var status: [StageFigures] { times.status }
  var counters: [CounterFigure] { times.counters }
  /// For tests, which look at single stages.
  var recorded: StageTimes { times }

  /// Forgets what was counted until now.
  func startOver() { times = StageTimes() }

  func now() -> UInt64 { clock() }
  func turnBegins() { times.turns &+= 1 }
  func isSending() { times.frames &+= 1 }
  func willHandOver() { isHandingOver = true }

  func isProposed(arrival: UInt64?, at now: UInt64, commands: Int) {
    if let arrival { times.queue.record(from: arrival, to: now, commands: commands) }
    isHandingOver = true
    times.batches &+= 1
  }

  /// The links have been flushed: when that was, if anything has left this node by it.
  @inline(__always)
  func handedOver() -> UInt64? {
    guard isHandingOver else { return nil }
    isHandingOver = false
    return clock()
  }

  func isAppended(from start: UInt64, to end: UInt64, commands: Int) {
    times.append.record(from: start, to: end, commands: commands)
  }

  func isReplicated(to peer: NodeID, since start: UInt64, commands: Int) {
    times.replicated(to: peer, from: start, to: clock(), commands: commands)
  }

  func isCommitted(since start: UInt64, commands: Int) {
    times.quorum.record(from: start, to: clock(), commands: commands)
  }

  // MARK: The disk

  /// Returns how many bytes of entries these are.
  func isWriting(_ writes: [LogWrite]) -> Int {
    var (entries, bytes) = (0, 0)
    for write in writes {
      entries += write.count
      bytes += write.byteCount
    }
    writing = (clock(), entries, bytes)
    return bytes
  }

  func isDurable(_ result: DiskResult) {
    guard let writing else { return }
    self.writing = nil
    times.sync.record(from: writing.start, to: clock(), commands: writing.entries)
    if let worked = result.nanoseconds { times.disk.record(worked, commands: writing.entries) }
    times.syncs &+= 1
    times.entries &+= UInt64(writing.entries)
    times.bytes &+= UInt64(writing.bytes)
  }

  // MARK: The machine

  /// Applies a block, or as much of it as `apply` says. Returns when that was done.
  func measuredApply(_ apply: () -> Int) -> UInt64 {
    let start = clock()
    let count = apply()
    let applied = clock()
    times.apply.record(from: start, to: applied, commands: count)
    return applied
  }

  /// Sends the answers to so many commands, applied at that time.
  func measuredReply(since applied: UInt64, commands: Int, _ answers: Answers) {
    guard answers.areDue else { return }
    answers.flush()
    times.reply.record(from: applied, to: clock(), commands: commands)
  }
}
