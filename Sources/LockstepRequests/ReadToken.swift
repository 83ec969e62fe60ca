public import LockstepConsensus

/// How far somebody has seen the history of a group: a read at level `session` with it is answered from no earlier state,
/// by whatever node. It stands for one history of one cluster, and is refused by another.
///
/// Written as text for command lines and the like: `1.9f86d081884c7d65.2.17`.
public struct ReadToken: Hashable, Sendable, LosslessStringConvertible {
  /// The group.
  public let group: UInt64
  /// The incarnation of the cluster, which follows from its name and members: clusters that differ in neither take each
  /// other's tokens.
  public let incarnation: UInt64
  /// The last entry that was seen.
  public let term: Term
  /// Where it is in the log.
  public let index: LogIndex

  package init(group: UInt64, incarnation: UInt64, term: Term, index: LogIndex) {
    self.group = group
    self.incarnation = incarnation
    self.term = term
    self.index = index
  }

  package var entry: EntryID { EntryID(term: term, index: index) }

  public var description: String {
    let digits = String(incarnation, radix: 16)
    return "\(group).\(String(repeating: "0", count: 16 - digits.count) + digits).\(term).\(index)"
  }

  /// From its text; nil for any other.
  public init?(_ description: String) {
    let parts = description.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[1].utf8.count == 16, let group = UInt64(parts[0]),
      let incarnation = UInt64(parts[1], radix: 16), let term = UInt64(parts[2]), let index = UInt64(parts[3])
    else { return nil }
    self.init(group: group, incarnation: incarnation, term: Term(term), index: LogIndex(index))
    guard self.description == description else { return nil }
  }
}
