/// What a simulation can do to a cluster. Each kind is drawn per seed, counted when it was injected, and a run that
/// promises a kind and never injected it fails.
public enum FaultKind: String, CaseIterable, Sendable {
  // Network: messages
  case messageLost
  case messageDuplicated
  case messageReplayed
  case messageReordered
  case messageDelayed
  case messageDelayedLong
  case byteFlippedInFlight
  case bytesInPieces
  case bytesCoalesced
  case garbageOnPeerPort
  // Network: links
  case linkClogged
  case linkSlow
  case linkOneWay
  /// A link lets so few bytes through that they pile up before it.
  case linkNarrow
  /// A frame was dropped because too much waited already.
  case linkFull
  /// A node was told that a link has no room for what is long.
  case linkWithoutRoom
  case connectionReset
  case connectionResetInFrame
  case halfOpenConnection
  case partitionOfNode
  case partitionOfMajority
  case partitionBridge
  case partitionRing
  case partitionFlapping
  // Processes
  case crash
  case crashAtWrite
  case crashAtSync
  case crashAtSend
  case crashAtCommit
  case crashAtReply
  case crashDuringRecovery
  case powerLossOfAll
  case restartLoop
  case pauseOfLeader
  case pauseOfFollower
  case pauseOfMajority
  case processStarved
  case secondProcessOnDirectory
  /// A process begins with other limits than other nodes, and than it had before.
  case limitsDiffered
  case wipedDisk
  /// A node has lost its disk for good, and starts with an empty one and the word of its operator.
  case diskReplaced
  /// Nothing that goes wrong: such a node votes again.
  case replacementAdmitted
  case machineFailed
  /// A machine that keeps itself starts with what it was a while ago.
  case keptStateBehind
  /// And so far behind that it is made of a snapshot.
  case keptStateMadeAnew
  // Disks
  case unsyncedWriteLost
  case unsyncedWriteKept
  case unsyncedWriteTorn
  case unsyncedSectorsReordered
  case unsyncedNameLost
  case readFailed
  case writeFailed
  case shortWrite
  case syncFailed
  case syncLied
  case diskFull
  /// A node has found that its disk has no room for commands, and that it has again; a follower has taken no entries.
  case roomIsShort
  case roomIsBack
  /// For want of room a node goes on with one snapshot.
  case snapshotsTrimmed
  case entriesNotTaken
  case diskSlow
  case diskStalled
  case bitRot
  case endOfStoppedLogLost
  case misdirectedWrite
  case staleSector
  case directoryRolledBack
  /// The newest snapshot of a node that has two rots.
  case snapshotRotted
  /// Nothing that goes wrong, but what must be right after all that does: a snapshot was made durable, a process began
  /// with one, one was given up for lack of space, one was found damaged; a log begins further on.
  case snapshotTaken
  case snapshotRestored
  case snapshotGivenUp
  case snapshotDamaged
  case logCompacted
  /// A node that its leader can no longer send entries fetches a snapshot: begun, its connection broke, begun before and
  /// gone on with, overtaken by entries that came all the same, not what it should have been, whole, in its place, and put
  /// in its place by the start after.
  case installBegun
  case installBroken
  case installResumed
  case installSuperseded
  case installDamaged
  case installArrived
  case snapshotInstalled
  case installCompleted
  /// A node is started on a copy of its directory, as old as may be.
  case directoryCopiedBack
  /// A node that was killed is started with an older copy of its log beside all else that it has.
  case logPutBack
  /// A copy of a directory is started elsewhere, while the node runs.
  case directoryCloned
  // Clocks
  case wallClockJumpForward
  case wallClockJumpBack
  case clockDrift
  case clockFrozen
  case clockJumpForward
  // Clients
  case clientRetried
  case clientTimedOut
  case clientDisappeared
  case clientStoppedReading
  case clientReadsSlowly
  /// A node was told that a client's connection has no room for what is long.
  case clientWithoutRoom
  /// A node has closed the connection of a client that did not read.
  case clientConnectionOverrun
  // Operators
  case leadershipTransferRequested
  case nodeStoppedInOrder
}

/// How often each fault was injected.
public struct FaultCounts: Sendable, Equatable {
  private var counts = [Int](repeating: 0, count: FaultKind.allCases.count)

  public init() {}

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
