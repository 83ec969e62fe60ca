package import LockstepConsensus
import LockstepExecution
package import LockstepWire

extension Node {
  /// What this node knows of itself, for `lockstep status`.
  package func status() -> NodeStatus {
    var status = NodeStatus()
    status.node = configuration.id.rawValue
    status.cluster = configuration.cluster
    status.groups = groups.map { self.status(of: $0) }
    status.stages = stages.status
    status.counters = stages.counters
    return status
  }

  package var leader: NodeID? { groups.first?.leader }

  /// The descriptor sets of what is served here.
  package var schemas: [(name: String, descriptorSet: [UInt8])] {
    groups.flatMap { $0.executor.machine.schemas.map { ($0.name, $0.descriptorSet) } }
  }

  private func status(of group: Group) -> GroupStatus {
    let replica = group.replica
    var status = GroupStatus()
    status.group = group.id.rawValue
    status.role = replica.role.kind.rawValue
    status.term = replica.term.rawValue
    status.leader = replica.leader?.rawValue ?? 0
    status.lastIndex = replica.log.last.rawValue
    status.durableIndex = replica.log.durable.rawValue
    status.commitIndex = replica.commit.rawValue
    status.appliedIndex = group.executor.applied.rawValue
    status.lastTimestamp = timestamp(group, at: replica.log.last)
    status.durableTimestamp = timestamp(group, at: replica.log.durable)
    status.appliedTimestamp = group.executor.time
    status.digest = group.executor.machine.digest
    status.voters = replica.members.voters.map(\.rawValue)
    status.peers = replica.progress.map {
      PeerStatus(
        node: $0.node.rawValue, matchIndex: $0.match.rawValue, state: $0.state.rawValue, isConnected: $0.isLinkUp)
    }
    return status
  }

  private func timestamp(_ group: Group, at index: LogIndex) -> UInt64 {
    if index == group.executor.applied { return group.executor.time }
    return group.cache.block(containing: index)?.header(at: index)?.timestamp ?? 0
  }
}
