/// Why a node could not start, or had to stop.
public struct ServerFailure: Error, Sendable, CustomStringConvertible {
  /// What it is that went wrong, for programs. There may be more kinds in a later version: a `switch` needs a case for them.
  #if hasAttribute(nonexhaustive)
    @nonexhaustive
  #endif
  public enum Kind: Hashable, Sendable, CaseIterable {
    /// The configuration makes no sense.
    case configuration
    /// A port cannot be listened on.
    case listen
    /// Another process works in this directory.
    case locked
    /// The directory belongs to another node or cluster, or is a copy of one, or its state is of a later version of the machine.
    case identity
    /// Stored bytes are not what was written, or are missing.
    case damaged
    /// The disk failed a write or a sync: nothing may be promised any more.
    case disk
    /// The disk is so full that not even terms and votes can be stored, or that a start cannot be noted.
    case diskFull
    /// This node's log and the leader's tell different stories of the same entry.
    case diverged
    /// The machine's own storage failed: on its disk, or for want of memory.
    case machine
    /// Something else; the message says what.
    case other
  }

  /// What it is that went wrong, for programs.
  public let kind: Kind
  /// What happened, to what, and where it is known what to do; for people.
  public let message: String

  /// A failure of this kind; `message` is for whoever runs the node.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }
}
