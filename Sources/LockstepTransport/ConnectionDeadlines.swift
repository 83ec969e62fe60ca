import NIOCore

/// How many beats each deadline lasts.
struct DeadlineBeats {
  let interval: TimeAmount
  let handshake: Int
  let frame: Int
  let stall: Int

  /// Four beats to the shortest deadline, so that none lasts more than a quarter longer than it should.
  init(_ limits: TransportLimits) {
    let shortest = min(limits.handshakeDeadline, limits.frameDeadline, limits.stallDeadline)
    let beat = max(.milliseconds(5), min(.seconds(1), shortest / 4))
    interval = TimeAmount(beat)
    func beats(_ deadline: Duration) -> Int { max(1, Int((deadline / beat).rounded(.up))) }
    handshake = beats(limits.handshakeDeadline)
    frame = beats(limits.frameDeadline)
    stall = beats(limits.stallDeadline)
  }
}

/// For how many beats a connection has made no progress. Kept by comparing counters from beat to beat: frames cost no
/// timer and no look at a clock.
struct ConnectionDeadlines {
  enum Missed {
    case handshake
    case frame
    case stall
  }

  struct Observation {
    let isEstablished: Bool
    let frames: UInt64
    let isInFrame: Bool
    let bytesAccepted: UInt64
    let bytesWaiting: Int
  }

  private var handshake = 0
  private var frame = 0
  private var stall = 0
  private var frames: UInt64 = 0
  private var bytesAccepted: UInt64 = 0

  mutating func observe(_ now: Observation, _ allowed: DeadlineBeats) -> Missed? {
    handshake = now.isEstablished ? 0 : handshake + 1
    // Bytes that drip in are no progress: the whole frame has to come in time.
    frame = now.isInFrame && (now.frames == frames || frame == 0) ? frame + 1 : 0
    stall = now.bytesWaiting > 0 && (now.bytesAccepted == bytesAccepted || stall == 0) ? stall + 1 : 0
    frames = now.frames
    bytesAccepted = now.bytesAccepted
    // The first observation of a condition may come just after it began, so one beat more is granted.
    if handshake > allowed.handshake { return .handshake }
    if frame > allowed.frame { return .frame }
    if stall > allowed.stall { return .stall }
    return nil
  }
}

/// The beat of one listener or link.
final class Heartbeat {
  private let task: RepeatedTask

  init(on eventLoop: any EventLoop, every interval: TimeAmount, _ body: @escaping () -> Void) {
    let onLoop = NIOLoopBound(body, eventLoop: eventLoop)
    task = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in onLoop.value() }
  }

  func stop() {
    task.cancel()
  }
}
