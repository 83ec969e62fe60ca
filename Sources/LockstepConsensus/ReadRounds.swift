/// Linearizable reads that wait for a quorum to confirm the leader (Raft section 8, thesis section 6.4). One round is
/// under way at a time, and all reads that arrive meanwhile share the next one.
package struct ReadRounds: Sendable {
  package enum Origin: Hashable, Sendable {
    case local(ReadID)
    case follower(NodeID, ReadID)
  }

  /// The latest round that was begun; counted within the leader's term.
  package var current: UInt64 = 0
  package var isUnderWay = false
  /// The latest round that a majority has answered.
  package var confirmed: UInt64 = 0
  /// No round up to this one begins a lease: see Replica+Lease.
  package var withoutLease: UInt64 = 0
  /// A heartbeat is due, which begins a round though nobody reads.
  package var isLeaseDue = false
  /// The index that the reads of the round under way may be answered from.
  package var index: LogIndex = .zero
  package var waiting: [Origin] = []
  package var confirming: [Origin] = []

  package init() {}

  package var all: [Origin] { confirming + waiting }
}
