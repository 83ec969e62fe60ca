package import LockstepConsensus
import LockstepWire

/// Why a node must not take part with another. The text goes to both: it says what is wrong, and what to do about it.
package enum PeerRefusal: Error, Sendable, Equatable {
  case versions(ClosedRange<UInt32>)
  case unexpected(String)
  case otherTarget(NodeID, here: NodeID)
  case otherNode(NodeID, expected: NodeID)
  case otherCluster(NodeID, theirs: [UInt8], ours: [UInt8])
  case ownNumber(NodeID)
  case otherMembers(NodeID, theirs: [NodeID], here: NodeID, ours: [NodeID])
  case noMember(NodeID, members: [NodeID])
  case malformed(NodeID, String)
  /// One of the two counts on being left in peace for longer than the other one does that.
  case shortPeace(NodeID, milliseconds: UInt64, counting: NodeID, lease: UInt64)
  /// Another disk under the old number: what the old one has promised is lost.
  case otherDisk(NodeID)
  /// The disk that it had before another one was put in its place.
  case formerDisk(NodeID)
  /// A disk in place of one that is at work.
  case stillConnected(NodeID)
  /// A start before one that was seen: an old copy of the directory.
  case olderIncarnation(NodeID, UInt64, seen: UInt64)
  /// The start that was seen, by somebody else: there are two copies of the directory.
  case otherStart(NodeID, UInt64)
  /// Its log ends before what it has acknowledged.
  case lostEntries(NodeID, last: LogIndex, acknowledged: LogIndex)
  /// Its term is before one that it has acknowledged: it may have forgotten a vote.
  case lostTerm(NodeID, Term, acknowledged: Term)
}

extension PeerRefusal: CustomStringConvertible {
  package var description: String {
    switch self {
    case .versions(let theirs):
      "protocol versions \(theirs.lowerBound) to \(theirs.upperBound) are not spoken here, \(PeerVersion.oldest) to \(PeerVersion.current) are: run one release on all nodes"
    case .unexpected(let what): "not what a node says in a handshake: \(what)"
    case .otherTarget(let wanted, let here):
      "this is node \(here), not node \(wanted): the address of node \(wanted) among the members leads to node \(here)"
    case .otherNode(let node, let expected):
      "node \(node) answers where node \(expected) should be: check the address of node \(expected) among the members"
    case .otherCluster(let node, let theirs, let ours):
      "node \(node) is of cluster \(hex(theirs)), this is cluster \(hex(ours)): give all nodes the same name of the cluster, and each a directory of this cluster"
    case .ownNumber(let node):
      "node \(node) is this node's own number: two nodes were started under one number, or an address among the members leads back here"
    case .otherMembers(let node, let theirs, let here, let ours):
      "node \(node) was started with the members \(list(theirs)), node \(here) with the members \(list(ours)): start all nodes with the same members"
    case .noMember(let node, let members): "node \(node) is no member, these are: \(list(members))"
    case .malformed(let node, let what): "node \(node) says nonsense: \(what)"
    case .shortPeace(let node, let milliseconds, let other, let lease):
      "node \(node) leaves a leader in peace for \(milliseconds) ms, and node \(other) answers reads on leases that count on \(lease) ms: start all nodes with the same tick, or without --lease-drift"
    case .otherDisk(let node):
      "node \(node) comes with another disk than it had: what its old disk has promised is lost, so it must not take part under its old number; start it with the directory it had, or, if that is lost for good, with --replace-disk on an empty directory"
    case .formerDisk(let node):
      "node \(node) comes with a disk that was replaced: another one is known under its number since, or a configuration names it; start it with the directory of that one, or with --replace-disk on an empty directory"
    case .stillConnected(let node):
      "node \(node) comes with a disk in place of one that is still connected: two nodes run under number \(node), or the end of the former one is not known here yet; stop the other one, and this one is let in"
    case .olderIncarnation(let node, let incarnation, let seen):
      "node \(node) comes with an older copy of its disk (start \(incarnation), start \(seen) was seen already), or two processes run under the number of node \(node): what the later one has promised may be missing here; stop the other one, and start the node with its latest directory"
    case .otherStart(let node, let incarnation):
      "two processes run under the number of node \(node), or did: start \(incarnation) of its disk was seen already, and it was another one. Its directory was copied; stop the copy, and start it with its latest directory"
    case .lostEntries(let node, let last, let acknowledged):
      "node \(node) comes back with a log up to entry \(last), and has acknowledged entry \(acknowledged): its directory is an older copy, or its disk has lost what it had synced; start it with its latest directory"
    case .lostTerm(let node, let term, let acknowledged):
      "node \(node) comes back in term \(term), and has taken part in term \(acknowledged): its directory is an older copy, or its disk has lost what it had synced; start it with its latest directory"
    }
  }

  private func list(_ nodes: [NodeID]) -> String { nodes.map(\.description).joined(separator: ", ") }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.prefix(16).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}

extension PeerRefusal {
  /// The node that is refused for its disk, if it is that.
  package var disk: NodeID? {
    switch self {
    case .otherDisk(let node), .formerDisk(let node), .stillConnected(let node), .olderIncarnation(let node, _, _),
      .otherStart(let node, _), .lostEntries(let node, _, _), .lostTerm(let node, _, _):
      node
    case .versions, .unexpected, .otherTarget, .otherNode, .otherCluster, .ownNumber, .otherMembers, .noMember,
      .malformed, .shortPeace:
      nil
    }
  }

  /// What its disk has promised to the one that refuses it is not there, by all that one knows; and not only for now.
  package var isForLostPromises: Bool {
    if case .stillConnected = self { false } else { disk != nil }
  }
}
