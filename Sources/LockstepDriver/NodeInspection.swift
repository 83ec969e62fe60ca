package import LockstepConsensus
import LockstepExecution
package import LockstepRequests
import LockstepStorage
package import LockstepWire

// What others may look at of a node.

extension Node {
  /// The node that leads the first group, which calls go to that name none.
  package var leader: NodeID? { all.first?.leader }
  /// The group that a call means which names none.
  package var firstGroup: GroupID? { all.first?.id }

  /// The disks that the groups' configurations name, of members that came back with another one.
  package var namedDisks: [MemberDisk] { all.flatMap { $0.members.disks } }

  /// The descriptor sets of what is served here.
  package var schemas: [(name: String, descriptorSet: [UInt8])] {
    all.flatMap { $0.schemas.map { ($0.name, $0.descriptorSet) } }
  }

  /// What this node knows of itself, for `lockstep status`.
  package func status() -> NodeReport {
    var status = NodeReport()
    status.node = configuration.id.rawValue
    status.cluster = configuration.cluster
    status.groups = all.map { $0.status() }
    status.stages = stages.status
    status.counters = stages.counters + [CounterFigure(name: "streams", value: UInt64(streamCount))]
    status.disk = space.map { space in
      var report = DiskSpaceReport(
        used: UInt64(space.disk.used), limit: UInt64(space.disk.limit), available: UInt64(space.disk.available))
      report.missing = all.map(\.replica.room.missing).max() ?? 0
      return report
    }
    return status
  }

  /// Of each group, nil where this node does not lead.
  package var leaderKnowledge: [(group: GroupID, knowledge: LeaderKnowledge?)] { all.map { ($0.id, $0.knowledge) } }

  package func inspect(_ id: GroupID) -> GroupInspection? { group(id)?.inspection }

  /// The latest in its log.
  package func members(of id: GroupID) -> Members? { group(id)?.members }

  /// The chain hash of an entry, if it is in memory.
  package func chain(of id: GroupID, at index: LogIndex) -> UInt64? { group(id)?.tail.chain(at: index) }

  /// The block with this entry, if it is in memory.
  package func block(of id: GroupID, containing index: LogIndex) -> EntryBlock? {
    group(id)?.tail.block(containing: index)
  }

  package func digest(of id: GroupID) -> UInt64? { group(id)?.digest }

  /// Calls that wait for an answer here, those that were passed on among them, and the bytes of their requests.
  package var underWay: (calls: Int, bytes: Int, forwards: Int) {
    (ledger.calls, ledger.bytes, forwarder.count)
  }
}
