import LockstepConsensus
import LockstepRequests

/// The way to a stop in good order: the leads are handed over, what is under way is answered, what comes is refused, and
/// then it is over. Each part has its time.
final class StopInOrder {
  private enum Phase {
    case serving
    /// What comes is served as ever: a command waits for the new leader, and is passed on to it.
    case handingOver(until: UInt64)
    /// Calls are refused. `quietSince`: the last one, or the beginning.
    case answering(since: UInt64, quietSince: UInt64)
    case over
  }

  private let node: NodeID
  private let limits: DriverLimits
  private var phase = Phase.serving

  init(node: NodeID, limits: DriverLimits) {
    self.node = node
    self.limits = limits
  }

  var isUnderWay: Bool { if case .serving = phase { false } else { true } }
  var isOver: Bool { if case .over = phase { true } else { false } }

  func begin(_ now: UInt64) {
    guard case .serving = phase else { return }
    phase = .handingOver(until: now + limits.handOverTime * 1_000_000)
  }

  /// `isHandingOver`: a group's lead is about to go to another node. `isIdle`: no call is under way. Returns true once,
  /// when it is over: what is not answered by then is to be told so.
  func advance(_ now: UInt64, isHandingOver: Bool, isIdle: Bool) -> Bool {
    if case .handingOver(let until) = phase, !isHandingOver || now >= until {
      phase = .answering(since: now, quietSince: now)
    }
    guard case .answering(let since, let quietSince) = phase else { return false }
    // Whoever was refused goes elsewhere; who has not asked yet, but is about to, should be refused too, and not find a
    // closed connection, after which it could not know whether its command is carried out. Some never cease.
    let quietTime = limits.quietTime * 1_000_000
    let isQuiet = now >= quietSince + quietTime || now >= since + 10 * quietTime
    guard isIdle && isQuiet || now >= since + limits.answeringTime * 1_000_000 else { return false }
    phase = .over
    return true
  }

  /// Throws what a call is refused with that comes now.
  func check(_ now: UInt64) throws(CallStatus) {
    switch phase {
    case .serving, .handingOver: return
    case .answering(let since, _): phase = .answering(since: since, quietSince: now)
    case .over: break
    }
    throw CallStatus(.unavailable, "node \(node) is being stopped and takes no more calls; another node does")
  }
}
