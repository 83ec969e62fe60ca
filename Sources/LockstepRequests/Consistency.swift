public import LockstepConsensus

/// How fresh the state must be that a query is answered from.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum Consistency: Sendable, Hashable {
  /// Sees every write that was answered before it was asked.
  case linearizable
  /// The same, under a stated bound on clock drift.
  case lease
  /// At or after this client's last token.
  case session
  /// At most so stale.
  case bounded(Duration)
  /// The state at or after this log index.
  case at(LogIndex)
  /// Whatever the node has.
  case any

  /// As the command line spells it, without what stands behind the colon.
  public var name: String {
    switch self {
    case .linearizable: "linearizable"
    case .lease: "lease"
    case .session: "session"
    case .bounded: "bounded"
    case .at: "at"
    case .any: "any"
    }
  }
}
