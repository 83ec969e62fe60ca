/// How a command is acknowledged: it is answered when this is true, and never before.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum Acknowledgement: Hashable, Sendable {
  /// The leader's own copy is durable. There is no reply yet, as the command is not carried out before it is committed,
  /// and it may be lost with the leader: whether it was applied is not known.
  case leader
  /// Durable on a majority of voters, and applied on the leader.
  case quorum
  /// As `quorum`, and durable on at least so many voters.
  case voters(Int)
  /// As `quorum`, and durable on every voter.
  case all
  /// As `all`, and applied on every voter.
  case applied

  /// As the command line spells it: `leader`, `quorum`, a number of voters, `all`, `applied`.
  public var name: String {
    switch self {
    case .leader: "leader"
    case .quorum: "quorum"
    case .voters(let count): String(count)
    case .all: "all"
    case .applied: "applied"
    }
  }

  /// From the command line's spelling; nil when it is none.
  public init?(_ text: String) {
    switch text {
    case "leader": self = .leader
    case "quorum": self = .quorum
    case "all": self = .all
    case "applied": self = .applied
    default:
      guard let count = Int(text), 1...Int(UInt32.max) ~= count, String(count) == text else { return nil }
      self = .voters(count)
    }
  }

  /// What is promised by both together: never less than by either.
  package func raised(to floor: Acknowledgement) -> Acknowledgement {
    if case .voters(let count) = self, case .voters(let least) = floor { return .voters(max(count, least)) }
    return strength < floor.strength ? floor : self
  }

  /// What is promised by each of the two: never more than by either.
  package func lowered(to other: Acknowledgement) -> Acknowledgement {
    if case .voters(let count) = self, case .voters(let least) = other { return .voters(min(count, least)) }
    return other.strength < strength ? other : self
  }

  /// At least so many voters have to have it, beside what else is asked for; 0: no number is named.
  package var leastVoters: Int { if case .voters(let count) = self { count } else { 0 } }

  private var strength: Int {
    switch self {
    case .leader: 0
    case .quorum: 1
    case .voters: 2
    case .all: 3
    case .applied: 4
    }
  }

  /// More than a majority has to say something, which is waited for after the command is carried out.
  package var isWide: Bool { strength > 1 }
}
