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
  /// All who receive the log; put together once, because every message that arrives is held against it.
  package let all: [NodeID]

  package init(
    voters: [NodeID], outgoingVoters: [NodeID] = [], learners: [NodeID] = [], witnesses: [NodeID] = []
  ) {
    self.voters = Self.sortedUnique(voters)
    self.outgoingVoters = Self.sortedUnique(outgoingVoters)
    self.learners = Self.sortedUnique(learners)
    self.witnesses = Self.sortedUnique(witnesses)
    all = Self.sortedUnique(voters + outgoingVoters + learners + witnesses)
  }

  package var isJoint: Bool { !outgoingVoters.isEmpty }
  package var quorum: Quorum { Quorum(incoming: voters, outgoing: outgoingVoters) }

  package func isVoter(_ node: NodeID) -> Bool { voters.contains(node) || outgoingVoters.contains(node) }

  private static func sortedUnique(_ nodes: [NodeID]) -> [NodeID] {
    var result: [NodeID] = []
    for node in nodes.sorted() where result.last != node { result.append(node) }
    return result
  }
}
