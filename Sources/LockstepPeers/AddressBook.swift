package import LockstepConsensus
package import LockstepWire

/// Where the members are reached. Today it is made of the members that a node was started with; once members can change,
/// it follows the log.
package struct AddressBook: Sendable, Equatable {
  /// In ascending order, each node once.
  package private(set) var members: [DiskIdentity.Member]

  /// Of two addresses of one node the last counts.
  package init(_ members: [DiskIdentity.Member]) {
    self.members = []
    for member in members { update(member.node, address: member.address) }
  }

  package var nodes: [NodeID] { members.map(\.node) }

  package func contains(_ node: NodeID) -> Bool { members.contains { $0.node == node } }

  package func address(of node: NodeID) -> String? { members.first { $0.node == node }?.address }

  /// All but this one: those that it dials.
  package func others(than node: NodeID) -> [DiskIdentity.Member] { members.filter { $0.node != node } }

  package mutating func update(_ node: NodeID, address: String) {
    if let place = members.firstIndex(where: { $0.node == node }) {
      members[place].address = address
    } else {
      let place = members.firstIndex { $0.node > node } ?? members.endIndex
      members.insert(DiskIdentity.Member(node: node, address: address), at: place)
    }
  }
}
