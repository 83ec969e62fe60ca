/// A read, or a batch of reads that arrived together; given by the driver, unique on its node.
package struct ReadID: Hashable, Comparable, Sendable {
  package let rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  package static func < (left: ReadID, right: ReadID) -> Bool { left.rawValue < right.rawValue }
}

/// A write to the disk; counted by the core, answered in order.
package struct WriteID: Hashable, Comparable, Sendable {
  package let rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  package static func < (left: WriteID, right: WriteID) -> Bool { left.rawValue < right.rawValue }
}

/// What happens on this node. A message from a peer is another type, so that none of these can arrive from one.
package enum LocalEvent: Sendable {
  /// One unit of time has passed.
  case tick
  /// Clients ask for these commands to be appended; the size of each in bytes.
  case proposed(sizes: [Int])
  /// A client asks for an index at which it may read.
  case readRequested(ReadID)
  /// This write, and all before it, has reached the disk.
  case stored(WriteID)
  /// Answer to `Effect.load`: these entries are at hand to be sent; nil when they could not be read.
  case loaded(NodeID, LogSlice?, bytes: Int)
  /// The link to this peer was lost, and with it what was under way.
  case linkLost(NodeID)
  /// The link to this peer is up.
  case linkRestored(NodeID)
  /// This member has shown itself with a disk that was put in place of the one that it had.
  case diskReplaced(MemberDisk)
  /// This member remembers more of this node's disk than there is; or takes it for what it was.
  case diskRefused(NodeID, Bool)
  /// An operator asks this leader to hand over.
  case transferRequested(NodeID)
  /// This node is about to be stopped: it hands the lead over if it has it, and does not take it again.
  case stopRequested
  /// The disk has so much room for entries now.
  case roomChanged(LogRoom)
  /// The machine's state right after this entry is durable, and so is one before it: the log may begin here.
  case compacted(EntryID)
  /// The machine's state right after this entry, which is committed, is durable here; a node whose term was `term` had it.
  case installed(EntryID, Members, term: Term)
  /// A client waits until every voter has applied all up to here: this leader asks the others to say so.
  case appliedAwaited(LogIndex)
  /// This node's machine has carried out all up to here, and its leader wants to know (`isAppliedDue`).
  case applied(LogIndex)
  /// All that was there has been stepped: write, send and acknowledge once for all of it.
  case turnEnded
}
