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

extension Group {
  /// Nil when this node does not lead. Costs little: unlike the report, it does not ask the machine for its digest.
  var knowledge: LeaderKnowledge? {
    let replica = core
    guard replica.role.kind == .leader else { return nil }
    return LeaderKnowledge(
      group: id, term: replica.term, commit: replica.commit, matches: replica.progress.map { ($0.node, $0.match) })
  }

  var machine: (any StateMachine)? { progress.machine }
  var digest: UInt64 { progress.digest }
  var schemas: [Schema] { progress.schemas }

  /// What the calls of this group count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    let parts = [waitingCalls.commands.permits, waitingCalls.wide.permits, waitingCalls.queries.permits]
    return parts.reduce((0, 0)) { ($0.0 + $1.calls, $0.1 + $1.bytes) }
  }

  /// The lead is about to go to another node.
  var isHandingOver: Bool { core.isHandingOver }

  /// Of entries that are not in the log any more.
  func isObsolete(_ work: DiskJob.Work) -> Bool {
    if case .read(_, let first, _, _, _) = work { first <= core.log.base.index } else { false }
  }

  func status() -> GroupReport {
    let replica = core
    var status = GroupReport()
    status.group = id.rawValue
    status.role = replica.role.kind
    status.term = replica.term.rawValue
    status.leader = replica.leader?.rawValue ?? 0
    status.firstIndex = replica.log.base.index.next.rawValue
    status.lastIndex = replica.log.last.rawValue
    status.durableIndex = replica.log.durable.rawValue
    status.commitIndex = replica.commit.rawValue
    status.appliedIndex = progress.applied.rawValue
    status.lastTimestamp = timestamp(at: replica.log.last)
    status.durableTimestamp = timestamp(at: replica.log.durable)
    status.appliedTimestamp = progress.time
    status.digest = digest
    status.voters = replica.members.voters.map(\.rawValue)
    status.learners = replica.members.learners.map(\.rawValue)
    status.waiting = replica.unnamedDisks.map(\.rawValue)
    status.isAwaitingAdmission = replica.isAwaitingAdmission
    status.peers = replica.progress.map {
      PeerReport(
        node: $0.node.rawValue, matchIndex: $0.match.rawValue, state: $0.state, isConnected: $0.isLinkUp)
    }
    status.snapshot = snapshot.last.map {
      SnapshotReport(index: $0.last.index.rawValue, term: $0.last.term.rawValue, bytes: UInt64($0.fileBytes))
    }
    status.snapshotUnderWay = snapshot.underWay?.rawValue ?? 0
    status.install = install.progress.map(InstallReport.init)
    return status
  }

  private func timestamp(at index: LogIndex) -> UInt64 {
    if index == progress.applied { return progress.time }
    return log.timestamp(at: index) ?? 0
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
