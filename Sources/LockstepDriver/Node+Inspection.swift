package import LockstepConsensus
import LockstepExecution
package import LockstepWire

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

extension Node {
  package func inspect(_ id: GroupID) -> GroupInspection? {
    guard let group = group(id) else { return nil }
    // Stored properties alone: a computed one would be asked of a copy of the whole replica, after every event.
    let role = group.replica.role
    let leader: NodeID? =
      switch role {
      case .leader: configuration.id
      case .follower(let leader): leader
      case .preCandidate, .candidate: nil
      }
    let last = group.replica.log.last
    return GroupInspection(
      hardState: group.replica.hardState, isLeader: role == .leader, leader: leader,
      last: EntryID(term: group.replica.log.runs.last?.term ?? .zero, index: last), lastChain: group.cache.lastChain,
      durable: group.replica.log.durable, applied: group.executor.applied)
  }

  /// The chain hash of an entry, if it is in memory.
  package func chain(of id: GroupID, at index: LogIndex) -> UInt64? { group(id)?.cache.chain(at: index) }

  /// The block with this entry, if it is in memory.
  package func block(of id: GroupID, containing index: LogIndex) -> EntryBlock? {
    group(id)?.cache.block(containing: index)
  }

  package func digest(of id: GroupID) -> UInt64? { group(id)?.executor.machine.digest }

  /// Calls that wait for an answer here, and all that the driver has queued for one group.
  package var queueLengths: (calls: Int, forwards: Int) { (callsUnderWay, forwards.count) }
}
