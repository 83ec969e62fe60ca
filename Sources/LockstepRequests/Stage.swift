/// Where a command's time goes, in the order in which it goes there.
package enum Stage: String, Sendable, CaseIterable {
  /// At the leader: from the first arrival among the commands of a turn until they are proposed. Those that came later
  /// have waited for less, so this is the most that it can be.
  case queue
  /// At the leader: encoded as entries, handed to the links.
  case append
  /// On each node: from handed to its disk until the loop knows that it is durable.
  case sync
  /// The part of `sync` in which the disk wrote and synced; the rest is the way there and back.
  case disk
  /// At the leader, of each follower: from handed to the link until the acknowledgement is there.
  case replicate
  /// At the leader: from handed to disk and links until it is committed.
  case quorum
  /// On each node: carried out by the machine, a block at a time; with who waits, the answer is encoded.
  case apply
  /// At the leader: from applied until the answers are with the sockets.
  case reply
}

/// What a node has counted since it started, beside the times.
package enum StageCounter: String, Sendable, CaseIterable {
  case turns
  /// Turns in which commands were proposed.
  case batches
  case syncs
  /// Entries in these syncs, and their bytes.
  case entries
  case bytes
  /// Messages to other nodes.
  case frames
}

/// One stage of a node, since it started. Weighted by commands: `total / count` is the mean time of a command in it.
package struct StageFigures: Sendable, Equatable {
  package var name: String
  /// Whom it is about, if not this node itself; else 0.
  package var peer: UInt64
  package var count: UInt64
  /// Wraps around: of two of these, the difference is meant.
  package var totalNanoseconds: UInt64
  package var maximumNanoseconds: UInt64

  package init(name: String, peer: UInt64 = 0, count: UInt64, totalNanoseconds: UInt64, maximumNanoseconds: UInt64) {
    self.name = name
    self.peer = peer
    self.count = count
    self.totalNanoseconds = totalNanoseconds
    self.maximumNanoseconds = maximumNanoseconds
  }
}

package struct CounterFigure: Sendable, Equatable {
  package var name: String
  package var value: UInt64

  package init(name: String, value: UInt64) {
    self.name = name
    self.value = value
  }
}
