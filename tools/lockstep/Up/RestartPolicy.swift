import Lockstep
import LockstepCommand

/// When a node that ended is started again.
struct RestartPolicy: Equatable, Sendable {
  static let firstDelay = Duration.milliseconds(100)
  static let longestDelay = Duration.seconds(5)
  /// A node that lived this long was well: its next end counts as the first one.
  static let healthyLife = Duration.seconds(10)
  /// When every node has failed so often without a leader ever serving, the cluster will not start.
  static let hopelessFailures = 5

  enum Decision: Equatable, Sendable {
    case restart(after: Duration)
    /// Its exit code says that another start would end the same way.
    case giveUp(NodeExitCode)
    /// As told by --no-restart.
    case leave
  }

  let restarts: Bool
  private(set) var failures = 0
  private(set) var isOver = false

  init(restarts: Bool) { self.restarts = restarts }

  var isHopeless: Bool { isOver || failures >= Self.hopelessFailures }

  mutating func ended(_ termination: Termination, after life: Duration) -> Decision {
    if case .code(let code) = termination, let code = NodeExitCode(rawValue: code), !code.isWorthRestarting {
      isOver = true
      return .giveUp(code)
    }
    guard restarts else {
      isOver = true
      return .leave
    }
    if life >= Self.healthyLife { failures = 0 }
    failures += 1
    // Beyond six doublings it is the longest delay anyway.
    return .restart(after: min(Self.firstDelay * (1 << min(failures - 1, 6)), Self.longestDelay))
  }
}
