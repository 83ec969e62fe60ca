import LockstepConsensus
import LockstepExecution
import LockstepWire

/// One replicated log on this node, and all that belongs to it.
final class Group {
  let id: GroupID
  var replica: Replica
  var executor: Executor
  var cache: TailCache
  /// The leader's time stamp of the last entry it made.
  var lastTimestamp: UInt64 = 0
  /// Committed up to here; what is not applied yet is on its way.
  var commitTarget: LogIndex

  // What this turn has gathered.
  var proposals = CallBuffer()
  var reads: [PendingRead] = []
  var writes: [Write] = []

  // What waits.
  var commands: [PendingCommand] = []
  var commandsHead = 0
  /// Commands that arrived while the lead was handed over.
  var held = CallBuffer()
  var confirming: [(id: ReadID, reads: [PendingRead])] = []
  /// Reads that may be answered once so much is applied.
  var waiting: [PendingRead] = []
  var nextRead: UInt64
  var isLoadingToApply = false
  /// Entries read from the disk for the step that is under way.
  var loaded: [EntryBlock] = []
  /// Entries that came with the message that is being stepped.
  var received: EntryBlock?
  /// Up to here, commands were there when the node started.
  var recoveredLast: LogIndex
  var isCaughtUp: Bool
  var probes = StageProbes()

  init(id: GroupID, replica: Replica, executor: Executor, cache: TailCache, firstRead: UInt64) {
    nextRead = firstRead
    self.id = id
    self.replica = replica
    self.executor = executor
    self.cache = cache
    commitTarget = replica.hardState.commit
    recoveredLast = replica.log.last
    isCaughtUp = replica.log.last == .zero
  }

  /// Somebody may wait for the answer of what is applied next.
  var isAwaited: Bool { commandsHead < commands.count }

  // What the replica's own computed properties say, from what it stores: those are asked of a copy of all of it.
  var term: Term { replica.hardState.term }
  var commit: LogIndex { replica.hardState.commit }
  var members: Members { replica.configurations[replica.configurations.count - 1].members }
  var leader: NodeID? {
    switch replica.role {
    case .leader: replica.configuration.id
    case .follower(let leader): leader
    case .preCandidate, .candidate: nil
    }
  }
}

/// A query that waits for an index, or for the end of the turn.
struct PendingRead {
  var header: CallHeader
  var level: ReadLevel
  var origin: Origin
  var deadline: UInt64
  var method: [UInt8]
  var payload: [UInt8]
  /// The state that it must see.
  var index: LogIndex
}
