/// How a command is acknowledged: it is answered when this is true, and never before.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum Acknowledgement: String, Hashable, Sendable, CaseIterable {
  /// The leader's own copy is durable.
  case leader
  /// Durable on a majority of voters, and applied on the leader.
  case quorum
  /// Durable on every voter.
  case all
  /// Applied on every voter.
  case applied
}
