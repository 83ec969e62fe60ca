package import LockstepConsensus
package import LockstepExecution
package import LockstepRequests
package import LockstepStorage
package import LockstepWire

// What the driver needs of the world: the server gives it sockets and threads, a simulation gives it virtual ones. What
// it is handed by listeners and links, `NodeInput` in LockstepWire says; where answers go, `ReplyWriter` in
// LockstepRequests.

/// What became of something that was handed to a link.
package enum LinkResult: Sendable, Hashable {
  case sent
  /// Too much waits for that node: it was dropped.
  case full
  /// There is no connection to that node: it was dropped.
  case notConnected
}

/// The links to the other nodes. What is handed to one node arrives in order or not at all.
package protocol PeerLinks: AnyObject {
  /// Hands over a message of the core; with an AppendRequest the bytes of its entries, borrowed, and the chain hash of
  /// the entry before them. Nothing waits: what is dropped, the protocol sends again.
  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult
  /// Passes a call on; its answer comes with this id. What is dropped never reaches the other node.
  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult
  func isConnected(_ node: NodeID) -> Bool
  /// Sends what was handed over in this turn.
  func flush()
}

/// The one queue of work for the disk. Jobs are run in order, and each is answered by `Node.diskFinished`.
package protocol DiskQueue: AnyObject {
  /// Nil: the answer comes later. A queue that has nothing else to do may run a short job at once and return its
  /// result, which spares two crossings between threads.
  func submit(_ job: DiskJob) -> DiskResult?
}

package struct DiskJob: Sendable {
  package enum Work: Sendable {
    case append([LogWrite])
    case read(GroupID, from: LogIndex, through: LogIndex, maximumBytes: Int, runs: [Log.TermRun])
    /// Look at how much room there is.
    case measure
  }
  /// Why entries are read.
  package enum Purpose: Sendable, Hashable {
    case append
    case apply
    case follower(NodeID)
  }
  package let group: GroupID
  package let purpose: Purpose
  package let work: Work
  /// The loop has nothing better to do than to wait for it.
  package var mayRunAtOnce = false

  var isForFollower: Bool { if case .follower = purpose { true } else { false } }

  package init(group: GroupID, purpose: Purpose, work: Work) {
    self.group = group
    self.purpose = purpose
    self.work = work
  }
}

package struct DiskResult: Sendable {
  package enum Outcome: Sendable {
    case appended
    case read([EntryBlock])
    case measured
    case failed(StorageError)
  }
  package let job: DiskJob
  package let outcome: Outcome
  /// As of then, if anybody counts it.
  package var space: LogSpace?
  /// How long the disk was at it, if its queue knows.
  package var nanoseconds: UInt64?
  package init(job: DiskJob, outcome: Outcome) {
    self.job = job
    self.outcome = outcome
  }
}

/// How much room a disk has for the log.
package struct LogSpace: Sendable, Equatable {
  /// Bytes that can be appended, and of one append so far: what does not fit at the end of a segment goes to the next.
  package let log: Int
  package let longest: Int
  /// To be freed before another segment can be made; 0: it can, or is there.
  package let missing: Int
  /// More than the node may take is taken: then nothing is added, whatever the segments that are there have room for.
  package let overdrawn: Int
  package let disk: DiskSpace

  package init(log: Int, longest: Int, missing: Int, overdrawn: Int = 0, disk: DiskSpace) {
    self.log = log
    self.longest = longest
    self.missing = missing
    self.overdrawn = overdrawn
    self.disk = disk
  }
}

/// Writes snapshots, one after the other, beside everything else; each is answered by `Node.snapshotFinished`.
package protocol SnapshotQueue: AnyObject {
  func write(_ job: SnapshotJob)
}

package struct SnapshotJob: Sendable {
  package let header: SnapshotHeader
  /// Nil: nothing is to be written; those before the last go, if that is read whole.
  package let content: (any Snapshot)?
  /// Those that are counted on, the last at the end, which is to be read whole before the log begins behind it.
  package let kept: [StoredSnapshot]

  package init(header: SnapshotHeader, content: any Snapshot, kept: [StoredSnapshot] = []) {
    self.header = header
    self.content = content
    self.kept = kept
  }

  /// For want of room: `last` has to do, without `others`.
  package init(trimmingTo last: StoredSnapshot, from others: some Sequence<StoredSnapshot>) {
    header = last.header
    content = nil
    kept = others + [last]
  }
}

package struct SnapshotResult: Sendable {
  package enum Outcome: Sendable {
    /// It is durable.
    case written(StoredSnapshot)
    /// It is durable, was read whole, and is the only one.
    case trimmed
    /// There is nothing of it: no space, or the machine's own snapshot has failed.
    case failed(CallStatus)
  }
  /// One that was counted on, and does not hold any more.
  package struct Unsound: Sendable {
    package let index: LogIndex
    package let reason: String

    package init(index: LogIndex, reason: String) {
      self.index = index
      self.reason = reason
    }
  }

  package let group: GroupID
  package let last: EntryID
  package let outcome: Outcome
  package var nanoseconds: UInt64
  package var unsound: [Unsound] = []
  /// Why files that are not needed are still there.
  package var left: [String] = []

  package init(_ header: SnapshotHeader, _ outcome: Outcome, nanoseconds: UInt64 = 0) {
    group = header.group
    last = header.last.id
    self.outcome = outcome
    self.nanoseconds = nanoseconds
  }
}

/// A snapshot that was asked for.
package struct SnapshotDone: Sendable {
  package let last: EntryID
  /// Of the file.
  package let bytes: Int
  /// 0: it was there already.
  package let nanoseconds: UInt64

  init(_ snapshot: StoredSnapshot, nanoseconds: UInt64) {
    last = snapshot.last
    bytes = snapshot.fileBytes
    self.nanoseconds = nanoseconds
  }
}

package typealias SnapshotAnswer = (Result<SnapshotDone, CallStatus>) -> Void

/// What an operator may want to know, or must.
package enum NodeEvent: Sendable {
  case roleChanged(GroupID, RoleKind, term: Term, leader: NodeID?)
  /// From now on this is the configuration of the group here, committed or not.
  case configured(GroupID, Members)
  case protocolViolation(GroupID, NodeID, String)
  case caughtUp(GroupID, applied: LogIndex)
  /// The disk has had a write before it for so many ticks, and has not answered; said once until it does.
  case diskIsSlow(GroupID, ticks: Int)
  case diskAnswersAgain(GroupID, ticks: Int)
  /// No more commands are taken, as so many bytes are missing; and they are taken again.
  case roomIsShort(DiskSpace, missing: Int)
  case roomIsBack(DiskSpace)
  case snapshotTaken(GroupID, EntryID, bytes: Int, nanoseconds: UInt64)
  /// One that was written earlier, up to this entry, is not what was written: the log does not begin behind it.
  case snapshotUnsound(GroupID, LogIndex, String)
  /// For want of room the one up to this entry has to do, which was read whole: there is none before it any more.
  case snapshotsTrimmed(GroupID, EntryID)
  /// A file that is not needed cannot be removed.
  case snapshotLeft(GroupID, String)
  /// The log goes on without it, and the next one is tried when its time comes, or there is more room.
  case snapshotFailed(GroupID, LogIndex, String)
  /// The leader has no longer what this node needs: a snapshot that reaches so far is fetched.
  case installBegins(GroupID, atLeast: LogIndex, leader: NodeID)
  /// It does not come now, and why. It is tried again.
  case installWaits(GroupID, String)
  /// It has come, and the log begins behind it.
  case installed(GroupID, EntryID, bytes: Int, nanoseconds: UInt64)
}

/// Why a node must not go on.
package enum NodeFailure: Error, Sendable {
  case storage(StorageError)
  /// This node's log and the leader's have the same entry with another history.
  case diverged(GroupID, LogIndex)
  /// Bytes that were checked when they were stored do not make sense now.
  case corrupted(GroupID, LogIndex, String)
  /// The machine of this group cannot go on, because of its own disk for one.
  case machine(GroupID, ApplierFailure)
}

extension ProtocolViolation {
  var explanation: String {
    switch self {
    case .notAMember: "a message from a node that is no member"
    case .secondLeader(let term): "a second leader in term \(term)"
    case .takesBackItsOwnEntry(let index): "entries that would replace entry \(index), which it has sent in this term"
    case .impossibleTerms: "entries whose terms cannot be"
    case .gap: "entries that do not follow each other"
    case .impossibleAcknowledgement: "an acknowledgement of what was never sent"
    }
  }
}
