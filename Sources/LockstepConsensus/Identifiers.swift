// The small truths that everything else is made of. Numbers that came off a wire or a disk are compared, never
// computed with unchecked: `next` is the only arithmetic that an identifier offers, and it saturates.

/// A number of one kind, which no number of another kind can be taken for; 64 bits, written as a literal or from one.
/// Encoded as the number alone.
public protocol LockstepIdentifier: Hashable, Comparable, Sendable, Codable, CustomStringConvertible,
  ExpressibleByIntegerLiteral
{
  /// The number.
  var rawValue: UInt64 { get }
  /// The one with this number; any number is one.
  init(_ rawValue: UInt64)
}

extension LockstepIdentifier {
  /// The one with this number.
  @inlinable public init(integerLiteral value: UInt64) { self.init(value) }
  /// Throws what the decoder does when there is no number.
  public init(from decoder: any Decoder) throws { self.init(try decoder.singleValueContainer().decode(UInt64.self)) }
  /// As a single number.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// A leader's period of office, counted from 1; 0 before the first election (Raft section 5.1).
public struct Term: LockstepIdentifier {
  /// The term's number; 0 before the first election.
  public let rawValue: UInt64
  /// The term with this number; any number is one.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Term 0: before the first election.
  @inlinable public static var zero: Term { Term(0) }
  @inlinable public static func < (left: Term, right: Term) -> Bool { left.rawValue < right.rawValue }
  @inlinable package var next: Term { Term(rawValue == .max ? .max : rawValue + 1) }
  public var description: String { String(rawValue) }
}

/// A position in the log, counted from 1; 0 is before the first entry (Raft figure 2).
public struct LogIndex: LockstepIdentifier {
  /// The position, counted from 1; 0 is before the first entry.
  public let rawValue: UInt64
  /// The position with this number; any number is one.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Index 0: before the first entry.
  @inlinable public static var zero: LogIndex { LogIndex(0) }
  @inlinable public static func < (left: LogIndex, right: LogIndex) -> Bool { left.rawValue < right.rawValue }
  @inlinable package var next: LogIndex { LogIndex(rawValue == .max ? .max : rawValue + 1) }
  @inlinable package var previous: LogIndex { LogIndex(rawValue == 0 ? 0 : rawValue - 1) }
  /// `count` entries on; saturates.
  @inlinable package func advanced(by count: Int) -> LogIndex {
    let (sum, overflow) = rawValue.addingReportingOverflow(UInt64(max(0, count)))
    return LogIndex(overflow ? .max : sum)
  }
  /// How many entries lie after `other` up to and including this one; 0 when there are none.
  @inlinable package func distance(after other: LogIndex) -> Int {
    rawValue <= other.rawValue ? 0 : Int(clamping: rawValue - other.rawValue)
  }
  public var description: String { String(rawValue) }
}

/// One member of the cluster, for as long as it keeps its disk; from 1.
public struct NodeID: LockstepIdentifier {
  /// The node's number in the cluster, from 1.
  public let rawValue: UInt64
  /// The node with this number; that it is not 0, and is a member, is not checked here.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable public static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// One replicated log among those that a node hosts; from 1.
public struct GroupID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The group's number, from 1.
  public let rawValue: UInt64
  /// The group with this number; that it is not 0, and is hosted, is not checked here.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Group 1, the lowest number that a group can have.
  @inlinable public static var first: GroupID { GroupID(1) }
  @inlinable public static func < (left: GroupID, right: GroupID) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// What identifies an entry: two entries with the same term and index are the same, and so is all before them
/// (Log Matching, Raft figure 3). Ordered as logs are compared in elections: the term first (Raft section 5.4.1).
public struct EntryID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The term in which a leader appended the entry.
  public let term: Term
  /// The entry's position in the log.
  public let index: LogIndex
  /// The entry of this term at this position.
  @inlinable public init(term: Term, index: LogIndex) {
    self.term = term
    self.index = index
  }
  /// Stands for what is before the first entry: term 0, index 0.
  @inlinable public static var zero: EntryID { EntryID(term: .zero, index: .zero) }
  public static func < (left: EntryID, right: EntryID) -> Bool {
    (left.term, left.index) < (right.term, right.index)
  }
  public var description: String { "\(term):\(index)" }
}

/// Consecutive entries, by their first and last index; empty when last < first.
package struct LogSlice: Hashable, Sendable, CustomStringConvertible {
  package let first: LogIndex
  package let last: LogIndex
  package init(first: LogIndex, last: LogIndex) {
    self.first = first
    self.last = last
  }
  package var isEmpty: Bool { last < first }
  /// Saturates: a slice may come off a wire.
  package var count: Int {
    guard !isEmpty else { return 0 }
    let distance = last.rawValue - first.rawValue
    return distance < Int.max ? Int(distance) + 1 : .max
  }
  package var description: String { "[\(first), \(last)]" }
}

/// What a node must not forget: "currentTerm" and "votedFor" (Raft figure 2, persistent state), and as a hint how far
/// it knew the log to be committed.
package struct HardState: Hashable, Sendable {
  package var term: Term
  package var vote: NodeID?
  package var commit: LogIndex
  package init(term: Term = .zero, vote: NodeID? = nil, commit: LogIndex = .zero) {
    self.term = term
    self.vote = vote
    self.commit = commit
  }
}

/// What an entry is for.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum EntryKind: UInt8, Sendable {
  /// A call for the state machine to carry out.
  case command = 0
  /// Changes nothing; a leader appends one when its term begins, to commit what is before it.
  case noOperation = 1
  /// The members of the group from this entry on.
  case configuration = 2
  /// A call of the clients' sessions: one that is opened has the entry's index as its number.
  case session = 3
}
