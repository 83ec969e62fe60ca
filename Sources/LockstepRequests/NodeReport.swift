package import LockstepConsensus

/// What a node says of itself. Numbers that it does not know are 0, and words nil; both are shown as unknown.
package struct NodeReport: Sendable, Equatable {
  package var id: UInt64 = 0
  package var node: UInt64 = 0
  package var cluster: [UInt8] = []
  package var incarnation: UInt64 = 0
  package var version = ""
  package var uptimeMilliseconds: UInt64 = 0
  package var connections: UInt64 = 0
  package var residentBytes: UInt64 = 0
  package var groups: [GroupReport] = []
  package var stages: [StageFigures] = []
  package var counters: [CounterFigure] = []
  /// Nodes that this one does not let take part, and nodes that do not let this one.
  package var refused: [RefusalReport] = []
  package var refusedBy: [RefusalReport] = []
  /// Nil: not said.
  package var disk: DiskSpaceReport?

  package init() {}
}

package struct RefusalReport: Sendable, Equatable {
  package var node: UInt64
  package var reason: String
  package init(node: UInt64, reason: String) {
    self.node = node
    self.reason = reason
  }
}

package struct GroupReport: Sendable, Equatable {
  package var group: UInt64 = 0
  package var role: RoleKind?
  package var term: UInt64 = 0
  package var leader: UInt64 = 0
  /// The first entry that is in the log; 0: not said.
  package var firstIndex: UInt64 = 0
  package var lastIndex: UInt64 = 0
  package var durableIndex: UInt64 = 0
  package var commitIndex: UInt64 = 0
  package var appliedIndex: UInt64 = 0
  /// The leader's time stamps of the last, the durable and the applied entry, in nanoseconds since 1970.
  package var lastTimestamp: UInt64 = 0
  package var durableTimestamp: UInt64 = 0
  package var appliedTimestamp: UInt64 = 0
  package var digest: UInt64 = 0
  package var voters: [UInt64] = []
  /// They receive the log and do not vote.
  package var learners: [UInt64] = []
  /// Members with a replaced disk that the configuration does not name yet: nothing that they say counts.
  package var waiting: [UInt64] = []
  /// This node's own disk was replaced, and it does not vote yet.
  package var isAwaitingAdmission = false
  package var peers: [PeerReport] = []
  /// The last one that is durable.
  package var snapshot: SnapshotReport?
  /// The last entry of the one that is being written; 0: none is.
  package var snapshotUnderWay: UInt64 = 0
  /// One is on its way to this node, which is behind its leader's log.
  package var install: InstallReport?

  package init() {}
}

/// What the files of a node take of its disk.
package struct DiskSpaceReport: Sendable, Equatable {
  package var used: UInt64
  /// `--disk-budget`, or what the file system allows.
  package var limit: UInt64
  /// What the file system has left.
  package var available: UInt64
  /// To be freed before commands are taken again; 0: they are.
  package var missing: UInt64 = 0

  package init(used: UInt64, limit: UInt64, available: UInt64) {
    self.used = used
    self.limit = limit
    self.available = available
  }
}

/// A snapshot on its way from another node.
package struct InstallReport: Sendable, Equatable {
  /// The node that it comes from, or is asked for it.
  package var source: UInt64
  /// The last entry that is in it; 0: not known yet.
  package var index: UInt64 = 0
  /// That have come.
  package var bytes: UInt64 = 0
  /// Of the file; 0: not known yet.
  package var totalBytes: UInt64 = 0
  package var bytesPerSecond: UInt64 = 0
  /// Nil: it goes on.
  package var waitsFor: String?

  package init(source: UInt64) { self.source = source }

  /// Of the file; nil: not known yet.
  package var percent: UInt64? { totalBytes == 0 ? nil : min(bytes, totalBytes) * 100 / totalBytes }

  /// At the present rate; nil: nobody knows.
  package var secondsLeft: UInt64? {
    guard totalBytes > 0, bytesPerSecond > 0 else { return nil }
    return (totalBytes - min(bytes, totalBytes) + bytesPerSecond - 1) / bytesPerSecond
  }
}

package struct SnapshotReport: Sendable, Equatable {
  /// The last entry that is in it.
  package var index: UInt64
  package var term: UInt64
  /// Of the file.
  package var bytes: UInt64
  package init(index: UInt64, term: UInt64, bytes: UInt64) {
    self.index = index
    self.term = term
    self.bytes = bytes
  }
}

package struct PeerReport: Sendable, Equatable {
  package var node: UInt64
  package var matchIndex: UInt64
  package var state: Progress.State?
  package var isConnected: Bool
  package init(node: UInt64, matchIndex: UInt64, state: Progress.State?, isConnected: Bool) {
    self.node = node
    self.matchIndex = matchIndex
    self.state = state
    self.isConnected = isConnected
  }
}
