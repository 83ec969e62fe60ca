/// Who takes part in a group: sorted arrays, because the order of a Set differs from process to process.
package struct Members: Hashable, Sendable {
  /// They vote and count towards commitment; the new half while a change is under way.
  package let voters: [NodeID]
  /// The old half of a joint configuration (Raft section 6, "C-old,new"); empty otherwise.
  package let outgoingVoters: [NodeID]
  /// They receive the log and neither vote nor count (thesis section 4.2.1).
  package let learners: [NodeID]
  /// Voters that store the log and apply nothing.
  package let witnesses: [NodeID]
  /// The disks of members that came back with another one: of such a node this one is meant, and no other. Each node once,
  /// in ascending order.
  package let disks: [MemberDisk]
  /// All who receive the log; put together once, because every message that arrives is held against it.
  package let all: [NodeID]

  package init(
    voters: [NodeID], outgoingVoters: [NodeID] = [], learners: [NodeID] = [], witnesses: [NodeID] = [],
    disks: [MemberDisk] = []
  ) {
    self.voters = Self.sortedUnique(voters)
    self.outgoingVoters = Self.sortedUnique(outgoingVoters)
    self.learners = Self.sortedUnique(learners)
    self.witnesses = Self.sortedUnique(witnesses)
    var known: [MemberDisk] = []
    for disk in disks.sorted(by: { $0.node < $1.node }) where known.last?.node != disk.node { known.append(disk) }
    self.disks = known
    all = Self.sortedUnique(voters + outgoingVoters + learners + witnesses)
  }

  package var isJoint: Bool { !outgoingVoters.isEmpty }
  package var quorum: Quorum { Quorum(incoming: voters, outgoing: outgoingVoters) }

  package func isVoter(_ node: NodeID) -> Bool { voters.contains(node) || outgoingVoters.contains(node) }

  /// The disk that is meant by this node; nil: the one that it began with.
  package func disk(of node: NodeID) -> [UInt8]? { disks.first { $0.node == node }?.disk }

  private static func sortedUnique(_ nodes: [NodeID]) -> [NodeID] {
    var result: [NodeID] = []
    for node in nodes.sorted() where result.last != node { result.append(node) }
    return result
  }
}

/// A node, and the disk by which it takes part.
package struct MemberDisk: Hashable, Sendable {
  package let node: NodeID
  /// The random bytes that its directory was given when it was made.
  package let disk: [UInt8]
  package init(node: NodeID, disk: [UInt8]) {
    self.node = node
    self.disk = disk
  }
}
