package import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire

/// What a check from outside may look at: one group's state, without a copy of it.
package struct GroupInspection: Sendable {
  package let hardState: HardState
  package let isLeader: Bool
  package let leader: NodeID?
  package let last: EntryID
  package let lastChain: UInt64
  package let durable: LogIndex
  package let applied: LogIndex
}

extension Group {
  func status() -> GroupReport {
    let replica = core
    var status = GroupReport()
    status.group = id.rawValue
    status.role = replica.role.kind
    status.term = replica.term.rawValue
    status.leader = replica.leader?.rawValue ?? 0
    status.lastIndex = replica.log.last.rawValue
    status.durableIndex = replica.log.durable.rawValue
    status.commitIndex = replica.commit.rawValue
    status.appliedIndex = progress.applied.rawValue
    status.lastTimestamp = timestamp(at: replica.log.last)
    status.durableTimestamp = timestamp(at: replica.log.durable)
    status.appliedTimestamp = progress.time
    status.digest = machine.digest
    status.voters = replica.members.voters.map(\.rawValue)
    status.peers = replica.progress.map {
      PeerReport(
        node: $0.node.rawValue, matchIndex: $0.match.rawValue, state: $0.state, isConnected: $0.isLinkUp)
    }
    return status
  }

  private func timestamp(at index: LogIndex) -> UInt64 {
    if index == progress.applied { return progress.time }
    return log.timestamp(at: index) ?? 0
  }
}
