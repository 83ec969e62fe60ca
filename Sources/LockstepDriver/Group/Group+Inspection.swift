import LockstepConsensus
import LockstepRequests

// What others may look at of a group; nobody changes anything by it.

extension Group {
  /// Without a copy of the replica, which a computed property would be asked of after every event.
  var inspection: GroupInspection {
    GroupInspection(of: replica, leader: leader, lastChain: tail.lastChain, applied: lane.applied)
  }

  var core: Replica { replica }
  var log: LogTail { tail }
  var progress: ApplyLane { lane }
  var snapshot: SnapshotLane { snapshots }
  var install: InstallLane { installs }
  var waitingCalls: (commands: Proposals, wide: WideLevels, queries: ReadQueue) { (proposals, wide, reads) }

  /// The invariants of all parts, at the end of a turn. `isTurnDue`: another one follows at once.
  func check(isTurnDue: Bool) {
    tail.check(replica.log)
    lane.check(commit: commit, last: replica.log.last)
    snapshots.check(applied: lane.applied, durable: replica.log.durable)
    proposals.check(applied: lane.applied)
    reads.check(applied: lane.applied, isTurnDue: isTurnDue)
    wide.check(isLeading: isLeading, applied: lane.applied)
  }
}
