/// What the core wants done. An effect that takes time is answered by an event.
package enum Effect: Hashable, Sendable {
  /// The leader made entries; the driver encodes them. They follow the last entry of the log.
  case append(first: EntryID, count: Int, content: AppendedContent)
  /// The follower takes these of the entries that it received, in place of all it has from the first of them on.
  case accept(LogSlice)
  /// Write and sync; answered by `stored`.
  case store(Write)
  /// Hand to the link of this peer. May be lost.
  case send(Message, to: NodeID)
  /// Read entries from the disk for this peer, which is too far behind for memory; answered by `loaded`.
  case load(NodeID, from: LogIndex, maximumBytes: Int)
  /// All up to here is committed: apply it.
  case commit(LogIndex)
  /// Nothing was appended for the proposal.
  case proposalRefused(ProposalRefusal)
  /// What this node needs from its leader is no longer in the leader's log: a snapshot has to bring what is up to this
  /// entry, or further. Said again with every message of the leader that finds it so.
  case snapshotNeeded(atLeast: EntryID, leader: NodeID)
  /// The log is empty, and begins behind this entry: what it had is of no use. All up to there is committed.
  case reset(EntryID)
  /// The read may be answered from any state at or after this index.
  case readReady(ReadID, LogIndex)
  case readRefused(ReadID, ReadRefusal)
  case roleChanged(RoleKind, term: Term, leader: NodeID?)
  /// From now on this is the configuration of the group here, committed or not.
  case configured(Members)
  /// This node's own disk has not answered a write for so many ticks; said once until it is no longer behind.
  case diskIsSlow(ticks: Int)
  /// It was called slow, and is not any more; it was behind for so many ticks.
  case diskAnswersAgain(ticks: Int)
  /// The leader's log lacks what is committed here from this index on. This node has stopped: it must neither answer
  /// nor promise anything more, and nothing that is stepped from now on has an effect.
  case diverged(LogIndex)
  /// A peer broke the protocol: the message was dropped and nothing changed.
  case protocolViolation(NodeID, ProtocolViolation)
}

package enum AppendedContent: Hashable, Sendable {
  case proposal
  case noOperation
  case configuration(Members)
}

/// One write: term, vote and commit index, and entries, which replace what the log has from their first index on.
package struct Write: Hashable, Sendable {
  package let id: WriteID
  package let hardState: HardState
  package let entries: LogSlice?

  package init(id: WriteID, hardState: HardState, entries: LogSlice?) {
    self.id = id
    self.hardState = hardState
    self.entries = entries
  }
}

package enum ProposalRefusal: Hashable, Sendable {
  case notLeader(leader: NodeID?)
  /// The lead is being handed over: hold the proposal until it is decided.
  case transferring
  /// Too much is waiting to be committed, or for this node's own disk.
  case overloaded
  /// The disks of these members have no room for it, this node's or too many of the others'.
  case noRoom([NodeID], missing: UInt64)
}

package enum ReadRefusal: Hashable, Sendable {
  case noLeader
  case leadershipLost
  case overloaded
}

package enum RoleKind: String, Hashable, Sendable {
  case follower
  case preCandidate = "pre-candidate"
  case candidate
  case leader
}

package enum ProtocolViolation: Hashable, Sendable {
  /// It is no member of the group.
  case notAMember
  /// Two leaders in one term: election safety (Raft figure 3) would be broken.
  case secondLeader(Term)
  /// Its entries would replace one that it has sent itself in this term: leader append-only (Raft figure 3) would be
  /// broken.
  case takesBackItsOwnEntry(LogIndex)
  /// An entry of a later term than the message's own, terms that go back, term 0 where there must be a leader or a
  /// candidate, or a term that is further ahead than elections lead.
  case impossibleTerms
  /// Entries that do not follow from `previous`.
  case gap
  /// An acknowledgement of an entry that does not exist, or of a read round that was never begun.
  case impossibleAcknowledgement
}
