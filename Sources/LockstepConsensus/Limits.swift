/// What a node does for reads on a lease.
package enum Leases: Hashable, Sendable {
  case none
  /// It leaves a leader in peace, also after a start, so that others can count on that.
  case allowed
  /// And counts on it when it leads itself: it has itself confirmed with each heartbeat.
  case served
}

/// Every size, window, count and time-out of the core, with what must hold between them.
package struct Limits: Hashable, Sendable {
  /// Without a sign of the leader for this long, up to twice as long by chance, a follower campaigns (Raft section
  /// 5.2); a leader without a quorum for this long steps down (thesis section 6.2). In ticks.
  package var electionTicks = 30
  /// The leader is heard at least this often. In ticks.
  package var heartbeatTicks = 5
  /// A node whose own disk has not answered a write for this long does not lead, campaign or vote, until the oldest that
  /// it has not answered is half as old. Far above what a busy disk takes now and then: until then the followers' disks
  /// do. In ticks.
  package var diskTicks = 200
  /// Bytes of entries in one AppendEntries, unless a single entry is larger.
  package var appendBytes = 512 * 1024
  /// AppendEntries under way to one follower at most, and their bytes, unless a single entry is larger than
  /// `appendBytes`.
  package var windowMessages = 64
  package var windowBytes = 8 * 1024 * 1024
  /// Entries that are kept in memory for followers to catch up without a read from the disk.
  package var cacheEntries = 131_072
  package var cacheBytes = 16 * 1024 * 1024
  /// Over this many bytes that are not yet committed, the leader refuses proposals: all members must have room for them. Its
  /// driver proposes no more.
  package var uncommittedBytes = 128 * 1024 * 1024
  /// So it does over this many that are not yet on its own disk, though the others may have committed them.
  package var unstoredBytes = 128 * 1024 * 1024
  /// What is done for reads on a lease: see Replica+Lease.
  package var leases = Leases.none
  /// Linearizable reads that wait for a round.
  package var waitingReads = 65_536
  /// Messages that wait until the term or the vote that they speak of is stored; more are dropped, as a link may.
  package var unstoredMessages = 4096
  /// The named leader takes the lead back after it has been caught up for this long. In ticks.
  package var preferredLeaderTicks = 60
  /// A transfer that did not come about is not tried again for this long. In ticks.
  package var transferPauseTicks = 300
  /// A message whose term is further ahead of this node's is damaged or a lie: no elections lead there. To believe it
  /// could use up all terms at once, and no leader would ever be elected again.
  package var termLead: UInt64 = 1 << 32

  package init() {}

  /// What is wrong with these limits, or nil.
  package var problem: String? {
    if heartbeatTicks < 1 { return "heartbeatTicks is \(heartbeatTicks), must be at least 1" }
    if electionTicks < 3 * heartbeatTicks {
      return "electionTicks is \(electionTicks), must be at least three times heartbeatTicks (\(heartbeatTicks))"
    }
    if electionTicks > 1_000_000 { return "electionTicks is \(electionTicks), must be at most 1000000" }
    // Or a transfer, which takes an election time-out, would be no quicker than the disk.
    if diskTicks < 2 * electionTicks {
      return "diskTicks is \(diskTicks), must be at least twice electionTicks (\(electionTicks))"
    }
    if appendBytes < 1 { return "appendBytes is \(appendBytes), must be at least 1" }
    if windowMessages < 1 { return "windowMessages is \(windowMessages), must be at least 1" }
    if windowBytes < appendBytes { return "windowBytes is less than appendBytes" }
    if cacheEntries < 1 || cacheBytes < windowBytes { return "the cache is smaller than a follower's window" }
    if uncommittedBytes < appendBytes { return "uncommittedBytes is less than appendBytes" }
    if unstoredBytes < appendBytes { return "unstoredBytes is less than appendBytes" }
    if unstoredMessages < 1 { return "unstoredMessages is \(unstoredMessages), must be at least 1" }
    if waitingReads < 1 { return "waitingReads is \(waitingReads), must be at least 1" }
    return nil
  }
}
