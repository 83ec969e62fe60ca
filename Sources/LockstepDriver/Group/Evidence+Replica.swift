import LockstepConsensus
import LockstepRequests

extension Evidence {
  /// What the replies to all commands of a block have in common: among it the voters that this node knows to hold all
  /// that is committed, on a leader at least a majority by the rule of commitment. One that leads anew, and answers what it
  /// appended in an earlier term of its own, knows of fewer until it has heard from them. Inlined, or the replica would be
  /// copied for each block.
  @inline(__always) init(of replica: Replica) {
    self.init(of: replica, holding: replica.hardState.commit, at: .quorum)
  }

  /// What an acknowledgement at `level` of the entry at `index` rests on.
  @inline(__always) init(of replica: Replica, holding index: LogIndex, at level: Acknowledgement) {
    self.init(node: replica.configuration.id, leader: replica.leader)
    acknowledgement = level
    let members = replica.configurations[replica.configurations.count - 1].members
    // Who does not lead any more knows for certain of itself alone: that there was a majority, its new leader says.
    holders = replica.progress.filter { $0.match >= index && members.isVoter($0.node) && !$0.isReplaced }.map(\.node)
    if replica.log.durable >= index { holders.append(replica.configuration.id) }
    holders.sort()
  }
}
