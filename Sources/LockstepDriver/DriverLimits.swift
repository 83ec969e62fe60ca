import LockstepConsensus
package import LockstepRequests
import LockstepWire

/// Bounds of what a node takes in at once.
package struct DriverLimits: Sendable {
  /// Bytes of a request.
  package var requestBytes = 1024 * 1024
  /// Calls under way on this node, and the bytes of their requests; beyond, calls are refused.
  package var calls = 65_536
  package var callBytes = 128 * 1024 * 1024
  /// Requests of a batch. All together may have as many bytes as one may.
  package var batchRequests = 4096
  /// Bytes of a reply, which must fit in a frame to its client, and in one to the node that has passed the call on.
  package var replyBytes: Int {
    min(Node.clientFrameBytes(requestBytes: requestBytes), PeerFrame.maximumLength) - 32 * 1024
  }
  /// Commands that ask for less are acknowledged at this level all the same, by this node where it leads.
  package var minimumAcknowledgement = Acknowledgement.leader
  /// A node that does not lead refuses commands, and says who does, instead of passing them on.
  package var refusesToForward = false
  /// Without a time-out of its own, a call gets this; and no call gets more. In milliseconds.
  package var defaultTimeout: UInt64 = 5_000
  package var maximumTimeout: UInt64 = 600_000
  /// A node that leads no longer, by what this node hears, is waited for so long with what was passed on to it before. In
  /// milliseconds.
  package var formerLeaderTimeout: UInt64 = 500
  /// A node that is stopped in good order takes at most so long until another leads, and until all calls are answered;
  /// and it refuses calls for at least so long. In milliseconds.
  package var handOverTime: UInt64 = 3_000
  package var answeringTime: UInt64 = 3_000
  package var quietTime: UInt64 = 50
  /// What is applied in one turn, so that heartbeats are not kept waiting. In bytes.
  package var applyBytes = 4 * 1024 * 1024
  /// The answers in one turn, of queries and of commands each, for the same reason. In bytes.
  package var answerBytes = 1024 * 1024

  /// Commands of which the replies may be in memory before the first of them is handed over: as many as services are
  /// given at once.
  package var commandsAtOnce = 7
  /// Longer replies to commands, which cannot wait as those to queries do, need room on their connection. In bytes.
  package var longReplyBytes = 4 * 1024

  /// Log behind the last snapshot that leads to the next, unless that snapshot itself is larger: so the work stays in
  /// proportion to what is written. In bytes.
  package var snapshotLogBytes = 512 * 1024 * 1024
  /// Log and snapshots have so much of the disk together; nil: as much as they take. In bytes.
  package var diskBytes: Int?
  /// A snapshot that is older is followed by another, if anything was applied since. In nanoseconds.
  package var snapshotAge: UInt64 = 6 * 3600 * 1_000_000_000

  /// Log that may gather while a member that is behind holds up its beginning. In bytes.
  package var retainedBytes = 64 * 1024 * 1024

  /// Room in the log that is kept for what follows from elections, and what is kept beyond that for commands that were
  /// proposed before it was known that the room is short. In bytes.
  package var reservedLogBytes = 1024 * 1024
  package var roomForProposed = 8 * 1024 * 1024
  /// How often the disk is asked for what it has left; 0: never. In nanoseconds.
  package var measureEvery: UInt64 = 0

  /// A leader that a majority has heard may answer reads for so long without asking; 0: never. In nanoseconds, of a clock that
  /// runs more slowly than the others' by the drift that is allowed for: see Lease.
  package var leaseTime: UInt64 = 0

  /// Changes that are kept for those who follow them; 0: none are. In bytes.
  package var changeBytes = 32 * 1024 * 1024
  /// They are kept whether or not somebody follows them.
  package var keepsChanges = false
  /// Streams that may be open, and changes that one of them is told at once.
  package var streams = 20_000
  package var changesAtOnce = 4096
  /// That are looked at in a turn, by all streams together; and bytes of the request of one, which is kept.
  package var changesInATurn = 16_384
  package var streamRequestBytes = 16 * 1024

  /// So many queries may be under way at a machine that answers later.
  package var queriesAtOnce = 16

  /// What one append to the log should not exceed, if it can be divided. In bytes.
  package var appendBytes = 1024 * 1024

  /// Appends up to this size may be run on the loop when the disk is at rest and quick. In bytes.
  package var leaderAtOnceBytes = 1024
  package var followerAtOnceBytes = 32 * 1024

  package init() {}

  /// Log that may gather behind the last snapshot, which has so many bytes; nil: there is none yet.
  ///
  /// On a small disk as much as fits: the two snapshots that are kept and a third that is being written, somewhat larger
  /// than these, the log between the two and behind the second, and what comes while that is written. The first snapshot
  /// is no larger than the log that it is made of.
  func snapshotAllowance(last: Int?) -> Int {
    let usual = max(snapshotLogBytes, last ?? 0)
    guard let diskBytes else { return usual }
    let fitting = last.map { (diskBytes - 13 * $0 / 4) / 5 * 2 } ?? diskBytes / 6
    return min(usual, max(fitting, diskBytes / 16))
  }

  /// `waiting` is in the log and not on the disk, `arriving` is about to be. Room counts as back when there is somewhat more
  /// than where it counted as short.
  func room(in space: LogSpace, waiting: Int, arriving: Int, before: LogRoom) -> LogRoom {
    let longest = max(space.longest, arriving, min(waiting + arriving, appendBytes))
    // At the end of this segment, and of the next.
    let left = space.log - waiting - arriving - 2 * longest
    let enough = reservedLogBytes + roomForProposed + (before.isAmple ? 0 : roomForProposed / 4)
    guard left < enough || space.overdrawn > 0 else { return .ample }
    let missing = UInt64(max(space.missing, enough - left, space.overdrawn))
    let least = reservedLogBytes + (before.takesEntries ? 0 : roomForProposed / 8)
    return left < least ? .none(missing: missing) : .short(missing: missing)
  }
}
