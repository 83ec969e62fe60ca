package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
package import LockstepWire

// Snapshots that come from other nodes: what a group asks for, and what becomes of it.

/// Brings snapshots from other nodes, over connections of their own. Each job is answered by `Node.installFinished`, unless
/// it is cancelled.
package protocol InstallQueue: AnyObject {
  func begin(_ job: InstallJob)
  /// Nobody needs it any more.
  func cancel(_ group: GroupID)
  /// The log begins behind what has arrived, durably, or has gone on without it.
  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool)
  /// Of the one that is under way.
  func progress(of group: GroupID) -> InstallProgress?
}

package struct InstallJob: Sendable, Equatable {
  package let group: GroupID
  /// It has to reach so far.
  package let atLeast: LogIndex
  /// Nodes that may have one, in the order in which they are to be asked.
  package let sources: [NodeID]
}

package struct InstallProgress: Sendable, Equatable {
  package let source: NodeID
  /// The last entry that is in it; nil: not known yet.
  package let index: LogIndex?
  package let bytes: Int
  /// Of the file; 0: not known yet.
  package let totalBytes: Int
  package let bytesPerSecond: Int
  /// What it waits for; nil: it goes on.
  package let waitsFor: String?
  /// There is no room for it.
  package var isWithoutRoom = false

  /// How much of it is here.
  var percent: Int { totalBytes > 0 ? Int(Double(bytes) / Double(totalBytes) * 100) : 0 }
}

/// A snapshot has arrived whole, is durable, and its state is at hand.
package struct InstallResult {
  package let snapshot: StoredSnapshot
  /// Of a node that had it.
  package let term: Term
  package let applier: any Applier
}

/// What a fetch needs of the world.
package protocol FetchPort: AnyObject {
  /// Answered by `connected` or `disconnected`.
  func connect(to node: NodeID)
  /// Not answered.
  func disconnect()
  func send(_ read: SnapshotRead)
  /// Answered by `finished`, in order.
  func run(_ work: FetchWork)
  func arrived(_ result: InstallResult)
  /// What an operator should know.
  func observe(_ event: NodeEvent)
  /// The disk cannot be trusted any more.
  func failed(_ error: StorageError)
}

package enum FetchWork: Sendable, Equatable {
  /// Look for what was begun before.
  case prepare(GroupID, atLeast: LogIndex)
  case write(GroupID, SnapshotPart.Found)
  /// All of it is there: read it, restore the state, and keep it if it holds.
  case restore(Term)
  /// Of no use.
  case drop
}

package enum FetchResult {
  /// The last entry of what was begun before, and where it goes on.
  case prepared(LogIndex?, bytes: Int)
  case written
  case restored(StoredSnapshot, any Applier)
  /// What has come is no snapshot of this group; it is gone.
  case damaged(String)
  /// It cannot be stored; `isSpace`: for want of space.
  case noRoom(String, isSpace: Bool)
  case dropped
  case failed(StorageError)
}
