package import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire

/// What a check from outside may look at: one group's state, without a copy of it.
package struct GroupInspection: Sendable {
  package let hardState: HardState
  /// Of the entry that says who the members are.
  package let configuration: LogIndex
  package let isLeader: Bool
  /// It leads, and the lead is about to go to another node.
  package let isTransferring: Bool
  package let leader: NodeID?
  package let last: EntryID
  package let lastChain: UInt64
  /// The log begins behind this entry.
  package let base: LogIndex
  package let durable: LogIndex
  package let applied: LogIndex

  init(of replica: Replica, leader: NodeID?, lastChain: UInt64, applied: LogIndex) {
    hardState = replica.hardState
    configuration = replica.configurations[replica.configurations.count - 1].index
    isLeader = replica.role == .leader
    isTransferring = replica.transferee != nil
    self.leader = leader
    last = EntryID(term: replica.log.runs.last?.term ?? replica.log.base.term, index: replica.log.last)
    self.lastChain = lastChain
    base = replica.log.base.index
    durable = replica.log.durable
    self.applied = applied
  }
}

/// How far the others have acknowledged to a leader, in its term.
package struct LeaderKnowledge: Sendable {
  package let group: GroupID
  package let term: Term
  package let commit: LogIndex
  package let matches: [(node: NodeID, index: LogIndex)]
}

// What others may look at of a group; nobody changes anything by it.
extension Group {
  /// Without a copy of the replica, which a computed property would be asked of after every event.
  var inspection: GroupInspection {
    GroupInspection(of: replica, leader: leader, lastChain: tail.lastChain, applied: lane.applied)
  }

  /// The invariants of all parts, at the end of a turn. `isTurnDue`: another one follows at once.
  func check(isTurnDue: Bool) {
    tail.check(replica.log)
    lane.check(commit: commit, last: replica.log.last)
    snapshots.check(applied: lane.applied, durable: replica.log.durable)
    proposals.check(applied: lane.applied)
    reads.check(applied: lane.applied, isTurnDue: isTurnDue)
    wide.check(isLeading: isLeading, applied: lane.applied)
    streams.check(submitted: lane.submitted)
  }

  /// Nil when this node does not lead. Costs little: unlike the report, it does not ask the machine for its digest.
  var knowledge: LeaderKnowledge? {
    let replica = replica
    guard replica.role.kind == .leader else { return nil }
    return LeaderKnowledge(
      group: id, term: replica.term, commit: replica.commit, matches: replica.progress.map { ($0.node, $0.match) })
  }

  var machine: (any StateMachine)? { lane.machine }
  var digest: UInt64 { lane.digest }
  var schemas: [Schema] { lane.schemas }

  /// What the calls of this group count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    let parts = [proposals.permits, wide.permits, reads.permits]
    return parts.reduce((0, 0)) { ($0.0 + $1.calls, $0.1 + $1.bytes) }
  }

  /// The lead is about to go to another node.
  var isHandingOver: Bool { replica.isHandingOver }

  /// Of entries that are not in the log any more.
  func isObsolete(_ work: DiskJob.Work) -> Bool {
    if case .read(_, let first, _, _, _) = work { first <= replica.log.base.index } else { false }
  }

  func status() -> GroupReport {
    let replica = replica
    var status = GroupReport()
    status.group = id.rawValue
    status.role = replica.role.kind
    status.term = replica.term.rawValue
    status.leader = replica.leader?.rawValue ?? 0
    status.firstIndex = replica.log.base.index.next.rawValue
    status.lastIndex = replica.log.last.rawValue
    status.durableIndex = replica.log.durable.rawValue
    status.commitIndex = replica.commit.rawValue
    status.appliedIndex = lane.applied.rawValue
    status.lastTimestamp = timestamp(at: replica.log.last)
    status.durableTimestamp = timestamp(at: replica.log.durable)
    status.appliedTimestamp = lane.time
    status.digest = digest
    status.voters = replica.members.voters.map(\.rawValue)
    status.learners = replica.members.learners.map(\.rawValue)
    status.waiting = replica.unnamedDisks.map(\.rawValue)
    status.isAwaitingAdmission = replica.isAwaitingAdmission
    status.peers = replica.progress.map {
      PeerReport(
        node: $0.node.rawValue, matchIndex: $0.match.rawValue, state: $0.state, isConnected: $0.isLinkUp)
    }
    status.snapshot = snapshots.last.map {
      SnapshotReport(index: $0.last.index.rawValue, term: $0.last.term.rawValue, bytes: UInt64($0.fileBytes))
    }
    status.snapshotUnderWay = snapshots.underWay?.rawValue ?? 0
    status.install = installs.progress.map(InstallReport.init)
    return status
  }

  private func timestamp(at index: LogIndex) -> UInt64 {
    if index == lane.applied { return lane.time }
    return tail.timestamp(at: index) ?? 0
  }
}

extension InstallReport {
  fileprivate init(_ progress: InstallProgress) {
    self.init(source: progress.source.rawValue)
    index = progress.index?.rawValue ?? 0
    bytes = UInt64(progress.bytes)
    totalBytes = UInt64(progress.totalBytes)
    bytesPerSecond = UInt64(progress.bytesPerSecond)
    waitsFor = progress.waitsFor
  }
}
