package import LockstepConsensus
package import LockstepStorage
package import LockstepWire

// What the driver needs of the world. The server gives it sockets and threads, a simulation gives it virtual ones.

/// The links to the other nodes. Frames to one node arrive in order or not at all.
package protocol PeerLinks: AnyObject {
  /// Hands over one frame, whose payload is `header` and then `body`. Nothing is copied later, nothing waits: a frame
  /// that does not fit is dropped, and the protocol sends again.
  func send(_ kind: FrameKind, header: [UInt8], body: UnsafeRawBufferPointer, to node: NodeID)
  func isConnected(_ node: NodeID) -> Bool
  /// False while so much waits for that node that a long frame may soon not fit.
  func hasRoom(_ node: NodeID) -> Bool
  /// Sends what was handed over in this turn.
  func flush()
}

/// Where the answers to one client go.
package protocol ReplySink: AnyObject {
  /// Set by the node when something was sent in this turn, cleared by `flush`.
  var isFlushDue: Bool { get set }
  /// False while so much waits for the client that a read had better wait here.
  var hasRoom: Bool { get }
  func send(_ kind: FrameKind, _ payload: [UInt8])
  func flush()
}

extension PeerLinks {
  package func hasRoom(_ node: NodeID) -> Bool { true }
}

extension ReplySink {
  package var hasRoom: Bool { true }
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
    case failed(StorageError)
  }
  package let job: DiskJob
  package let outcome: Outcome
  /// How long the disk was at it, if its queue knows.
  package var nanoseconds: UInt64?
  package init(job: DiskJob, outcome: Outcome) {
    self.job = job
    self.outcome = outcome
  }
}

/// What an operator may want to know, or must.
package enum NodeEvent: Sendable {
  case roleChanged(GroupID, RoleKind, term: Term, leader: NodeID?)
  case protocolViolation(GroupID, NodeID, String)
  case caughtUp(GroupID, applied: LogIndex)
}

/// Why a node must not go on.
package enum NodeFailure: Error, Sendable {
  case storage(StorageError)
  /// This node's log and the leader's have the same entry with another history.
  case diverged(GroupID, LogIndex)
  /// Bytes that were checked when they were stored do not make sense now.
  case corrupted(GroupID, LogIndex, String)
}
