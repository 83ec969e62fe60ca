/// The answers of one batch, in the order of its commands.
public struct Replies {
  /// False where nobody waits for these: on followers, mostly. Each command is to be answered all the same, but the bytes
  /// of a success are not looked at, and need not be made. Nothing else may depend on it: replicas differ here.
  public let areWanted: Bool

  package enum Reply: Sendable, Hashable {
    case success([UInt8])
    case failure(CallStatus)
  }

  package private(set) var all: [Reply] = []

  package init(areWanted: Bool = true, count: Int = 0) {
    self.areWanted = areWanted
    all.reserveCapacity(count)
  }

  /// Answers the next command.
  public mutating func succeed(_ reply: [UInt8]) { all.append(.success(reply)) }

  /// Answers the next command with a failure, which is recorded: the same on every replica.
  public mutating func fail(_ status: CallStatus) {
    // A failure with the code of a success would be taken for one further on.
    all.append(
      .failure(status.code == .ok ? CallStatus(.internal, "the machine failed with OK: \(status.message)") : status))
  }
}
