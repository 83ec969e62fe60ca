/// What a simulation can do to a cluster. Each kind is drawn per seed, counted when it was injected, and a run that
/// promises a kind and never injected it fails.
#if hasAttribute(nonexhaustive)
  @nonexhaustive
#endif
public enum FaultKind: String, CaseIterable, Sendable {
  // Network: messages
  /// A frame from one node to another is dropped when it is sent.
  case messageLost
  /// A frame from one node to another goes out twice; never one that passes a call on.
  case messageDuplicated
  /// One of the recent frames from one node to another goes out again, over this connection or a later one.
  case messageReplayed
  /// A frame goes out before those that were to go out before it.
  case messageReordered
  /// Something takes up to 30 ms longer on its way.
  case messageDelayed
  /// Something takes up to 2 seconds longer on its way.
  case messageDelayedLong
  /// One bit of what a node sends another is flipped on the way.
  case byteFlippedInFlight
  /// What a node sends another arrives in pieces of 1 to 40 bytes, one after the other.
  case bytesInPieces
  /// Bytes arrive at the same moment as those that were sent before them.
  case bytesCoalesced
  /// Random bytes, in a frame or not, reach a node from a stranger; some as what a peer says.
  case garbageOnPeerPort
  // Network: links
  /// What one node sends another is held up for 50 ms to about 5 seconds, or until the connection is given up.
  case linkClogged
  /// The least time that anything is on its way is drawn anew, from 20 microseconds to 20 ms, for all links.
  case linkSlow
  /// One node cannot reach another, which can reach it: carried out as `linkClogged` is.
  case linkOneWay
  /// A link lets so few bytes through that they pile up before it.
  case linkNarrow
  /// A frame was dropped because too much waited already.
  case linkFull
  /// A node was told that a link has no room for what is long.
  case linkWithoutRoom
  /// The connections between two nodes are closed.
  case connectionReset
  /// A connection breaks when only a part of what was sent has arrived.
  case connectionResetInFrame
  /// A node is gone, and the one that is connected to it is not told for 0.5 to 4.5 seconds, or until it is back.
  case halfOpenConnection
  /// One node is cut off from all others, both ways.
  case partitionOfNode
  /// A majority, as small as may be, and all others are cut off from each other.
  case partitionOfMajority
  /// The cluster falls into two halves, which only one node can reach.
  case partitionBridge
  /// Each node can reach only the two beside it, as in a ring.
  case partitionRing
  /// Two nodes are cut off from each other for half an election time-out.
  case partitionFlapping
  // Processes
  /// A process is killed; its machine goes on, and with it what was written.
  case crash
  /// A process dies before, in or after an operation that writes to a file, or makes, renames or removes one.
  case crashAtWrite
  /// A process dies before, in or after a sync of a file or directory.
  case crashAtSync
  /// A process dies as it sends a frame to another node, and the frame is lost.
  case crashAtSend
  /// A process dies right after its commit index has grown.
  case crashAtCommit
  /// A process dies as an answer is to leave for a client, and the answer is lost.
  case crashAtReply
  /// A process dies at an operation with its disk while it starts.
  case crashDuringRecovery
  /// All machines lose power at once; of what was not synced all is lost, all is kept, or any part.
  case powerLossOfAll
  /// A process is killed and started 1 ms later; from then on starts may die at an operation with the disk.
  case restartLoop
  /// The process of the leader stands still for up to 6 seconds.
  case pauseOfLeader
  /// The process of a node other than the leader stands still for up to 6 seconds.
  case pauseOfFollower
  /// The processes of a majority stand still for up to 4 seconds.
  case pauseOfMajority
  /// A process gets to its turns up to 50 ms late from then on, or is no longer late.
  case processStarved
  /// A second process tries to lock the directory of a node that is up.
  case secondProcessOnDirectory
  /// A process begins with other limits than other nodes, and than it had before.
  case limitsDiffered
  /// The disk of the node that may lose what was synced is emptied, and the node starts with it.
  case wipedDisk
  /// A node has lost its disk for good, and starts with an empty one and the word of its operator.
  case diskReplaced
  /// Nothing that goes wrong: such a node votes again.
  case replacementAdmitted
  /// One who follows the changes goes to another node, and loses what is on its way; nothing that goes wrong.
  case followerMoved
  /// What comes next for one who follows the changes is not kept any more where it asks.
  case followerTooLate
  /// A state machine says that it cannot go on, and its node ends.
  case machineFailed
  /// A machine that keeps itself starts with what it was a while ago.
  case keptStateBehind
  /// And so far behind that it is made of a snapshot.
  case keptStateMadeAnew
  // Disks
  /// A power cut takes sectors that were written and not synced; counted once for each cut.
  case unsyncedWriteLost
  /// A power cut leaves sectors that were written and not synced; counted once for each cut.
  case unsyncedWriteKept
  /// A power cut leaves some of a file's unsynced sectors, and takes others.
  case unsyncedWriteTorn
  /// A power cut leaves an unsynced sector of a file, and takes one before it.
  case unsyncedSectorsReordered
  /// A power cut undoes that a file or directory was made, renamed or removed; counted for each.
  case unsyncedNameLost
  /// A read from a disk fails.
  case readFailed
  /// A write to a disk fails, and nothing of it is written.
  case writeFailed
  /// A write to a disk fails, and a part of it is written.
  case shortWrite
  /// A sync fails; of a file, any of the unsynced sectors may have got to the device, and later syncs succeed.
  case syncFailed
  /// A sync of a file says that it succeeded, and has made nothing durable.
  case syncLied
  /// A write finds too little room on its disk: what fits is written, and the write fails.
  case diskFull
  /// A node has found that its disk has no room for commands, and that it has again; a follower has taken no entries.
  case roomIsShort
  /// A node has found that its disk has room for commands again.
  case roomIsBack
  /// For want of room a node goes on with one snapshot.
  case snapshotsTrimmed
  /// A follower answers its leader that it takes no entries, for want of room on its disk.
  case entriesNotTaken
  /// A disk becomes 2 to 100 times as slow, or as quick again as it was.
  case diskSlow
  /// A disk finishes nothing for up to 10 seconds.
  case diskStalled
  /// A bit of a file is flipped on the disk of the node that may lose what was synced.
  case bitRot
  /// The end of the log of a node that has stopped in order is overwritten with zeros; its start must refuse that.
  case endOfStoppedLogLost
  /// A write goes to another place in its file, and says that it succeeded.
  case misdirectedWrite
  /// A sync leaves out one sector, whose older contents are read again after the process has ended.
  case staleSector
  /// A node starts with what its disk had some time ago.
  case directoryRolledBack
  /// The newest snapshot of a node that has two rots.
  case snapshotRotted
  /// Nothing that goes wrong, but what must be right after all that does: a snapshot was made durable, a process began
  /// with one, one was given up for lack of space, one was found damaged; a log begins further on.
  case snapshotTaken
  /// A process has begun with a machine in memory that was made of a snapshot.
  case snapshotRestored
  /// A snapshot was given up before it was durable, as for want of room.
  case snapshotGivenUp
  /// A stored snapshot was found damaged: at a start, beside a new one, or when another node asked for it.
  case snapshotDamaged
  /// A log begins further on, as snapshots have what was before that.
  case logCompacted
  /// A node that its leader can no longer send entries fetches a snapshot: begun, its connection broke, begun before and
  /// gone on with, overtaken by entries that came all the same, not what it should have been, whole, in its place, and put
  /// in its place by the start after.
  case installBegun
  /// The connection breaks over which a snapshot is fetched.
  case installBroken
  /// A fetch goes on from the part of a snapshot that is on the disk already.
  case installResumed
  /// A fetch is ended, as the entries that were missing have come.
  case installSuperseded
  /// What was fetched is no snapshot that can be used, and is dropped.
  case installDamaged
  /// A snapshot was fetched whole, and a state is made of it.
  case installArrived
  /// A log begins anew behind a snapshot that was fetched.
  case snapshotInstalled
  /// A start puts a snapshot in its place that had arrived before the last process ended.
  case installCompleted
  /// A node is started on a copy of its directory, as old as may be.
  case directoryCopiedBack
  /// A node that was killed is started with an older copy of its log beside all else that it has.
  case logPutBack
  /// A copy of a directory is started elsewhere, while the node runs.
  case directoryCloned
  // Clocks
  /// A node's wall clock goes ahead by up to 100,000 seconds.
  case wallClockJumpForward
  /// A node's wall clock goes back by up to 100,000 seconds.
  case wallClockJumpBack
  /// A node's monotonic clock and its ticks are up to a tenth too quick or too slow from then on.
  case clockDrift
  /// A node's monotonic clock stands still, and its ticks with it, or goes on again.
  case clockFrozen
  /// A node's monotonic clock goes ahead by up to 20 seconds.
  case clockJumpForward
  /// A node's monotonic clock goes back by up to 2 seconds.
  case clockJumpBack
  // Clients
  /// A client does not learn what became of an operation, and goes on with another one.
  case clientRetried
  /// A client sends a command of its session again, as it does not know what became of it.
  case clientSentAgain
  /// A client waits no longer for an answer, which may still come.
  case clientTimedOut
  /// As `clientTimedOut`; one in eight of these moments counts as this instead.
  case clientDisappeared
  /// A process of clients reads no answers for up to 6 seconds; its clients may go on calling.
  case clientStoppedReading
  /// A process of clients reads so slowly that what may wait on one connection takes it 0.2 to 4 seconds.
  case clientReadsSlowly
  /// A node was told that a client's connection has no room for what is long.
  case clientWithoutRoom
  /// A node has closed the connection of a client that did not read.
  case clientConnectionOverrun
  // Operators
  /// The leader is asked to hand over to some node.
  case leadershipTransferRequested
  /// A node is told to stop in order, as by SIGTERM, and is started again later.
  case nodeStoppedInOrder
}

/// How often each fault was injected.
public struct FaultCounts: Sendable, Equatable {
  private var counts = [Int](repeating: 0, count: FaultKind.allCases.count)

  /// No fault was injected.
  public init() {}

  /// How often this kind was injected.
  public subscript(kind: FaultKind) -> Int { counts[kind.place] }

  package mutating func count(_ kind: FaultKind, times: Int = 1) { counts[kind.place] += times }

  package mutating func add(_ other: FaultCounts) {
    for place in counts.indices { counts[place] += other.counts[place] }
  }

  /// In the order of `FaultKind`, those that never were injected among them.
  public var all: [(kind: FaultKind, count: Int)] { Array(zip(FaultKind.allCases, counts)) }
}

extension FaultKind {
  /// Nothing has gone wrong where this is counted: it is what must be right whatever does.
  var isOrderly: Bool {
    [
      .snapshotTaken, .snapshotRestored, .logCompacted, .installBegun, .installResumed, .installSuperseded,
      .installArrived, .snapshotInstalled, .installCompleted, .replacementAdmitted,
      .roomIsBack, .snapshotsTrimmed,
    ].contains(self)
  }

  /// Its place in `allCases`.
  fileprivate var place: Int { FaultKind.places[self] ?? 0 }
  private static let places = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($0.element, $0.offset) })
}
