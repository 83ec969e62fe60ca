package import LockstepConsensus
package import LockstepWire

/// What a node remembers of the others, and holds against them when they come again. A value: whoever owns it stores
/// `peers` before it lets a peer take part, and `acknowledged` when it gets to it.
///
/// What it can find out: a disk that is another one, a start that is not the last, two starts under one number, a log or
/// a term that is less than was acknowledged to this very node. What it cannot: a node whose directory was taken back
/// while none of those that it meets now has seen anything of what is missing. To them it is what it was.
package struct PeerMemory: Sendable, Equatable {
  /// Who they were, in ascending order of their numbers.
  package private(set) var peers: [DiskIdentity.Peer]
  /// By node, then by group, each once. Only what is committed: what is not may rightly have been replaced since.
  package private(set) var acknowledged: [Acknowledged]
  /// What is acknowledged in the term in which this node leads, committed or not: it counts on that. Not stored: a
  /// leader that ends leads no more.
  private var leading: [Acknowledged] = []
  /// What holds at this moment and is not stored: to be set before anybody is judged.
  package var present = Present()

  package struct Present: Sendable, Equatable {
    /// With which disks nodes are connected.
    package var connected: [MemberDisk] = []
    /// The disks that the configurations in this node's log name.
    package var named: [MemberDisk] = []

    package init(connected: [MemberDisk] = [], named: [MemberDisk] = []) {
      self.connected = connected
      self.named = named
    }
  }

  package init(peers: [DiskIdentity.Peer] = [], acknowledged: [Acknowledged] = []) {
    self.peers = peers
    self.acknowledged = []
    for one in acknowledged { raise(one) }
  }

  /// Nil when this node may be who it says, by all that is known here.
  package func refusal(of other: PeerIdentity) -> PeerRefusal? {
    let known = peers.first { $0.node == other.node }
    if let refusal = refusal(ofDiskOf: other) { return refusal }
    if let known, known.disk == other.disk {
      guard other.incarnation >= known.incarnation else {
        return .olderIncarnation(other.node, other.incarnation, seen: known.incarnation)
      }
      if other.incarnation == known.incarnation, known.start != 0 {
        // The process that was seen already: what it found when it started says nothing of what it has now.
        return known.start == other.start ? nil : .otherStart(other.node, other.incarnation)
      }
    }
    for promise in acknowledged where promise.node == other.node && isOf(other, promise.disk) {
      let standing = standing(of: promise.group, other)
      if standing.last.index < promise.index {
        return .lostEntries(other.node, last: standing.last.index, acknowledged: promise.index)
      }
      if standing.term < promise.term {
        return .lostTerm(other.node, standing.term, acknowledged: promise.term)
      }
    }
    for promise in leading where promise.node == other.node && isOf(other, promise.disk) {
      let standing = standing(of: promise.group, other)
      // In a later term another leader may have replaced entries there, and this one does not know of it yet.
      if standing.term <= promise.term, standing.last.index < promise.index {
        return .lostEntries(other.node, last: standing.last.index, acknowledged: promise.index)
      }
    }
    return nil
  }

  /// A disk is another one only with the word of its operator that it comes in place of one that is lost; and the one that
  /// is lost does not come back.
  package func refusal(ofDiskOf other: PeerIdentity) -> PeerRefusal? {
    let known = peers.first { $0.node == other.node }
    let named = present.named.filter { $0.node == other.node }
    if !named.contains(where: { $0.disk == other.disk }) {
      if let known, known.disk != other.disk, known.formerDisks.contains(other.disk) { return .formerDisk(other.node) }
      if !named.isEmpty, !other.isDiskReplaced { return .formerDisk(other.node) }
      if let known, known.disk != other.disk, !other.isDiskReplaced { return .otherDisk(other.node) }
    }
    let isAnotherThere = present.connected.contains { $0.node == other.node && $0.disk != other.disk }
    return isAnotherThere ? .stillConnected(other.node) : nil
  }

  /// Whether this was promised by that disk. A version that named none knew nodes by the disk alone that they began with.
  private func isOf(_ other: PeerIdentity, _ disk: [UInt8]) -> Bool {
    disk.isEmpty ? !other.isDiskReplaced : disk == other.disk
  }

  private func standing(of group: GroupID, _ other: PeerIdentity) -> Standing {
    other.standings.first { $0.group == group } ?? Standing(group: group, term: .zero, last: .zero)
  }

  /// It takes part from now on, as who it is now.
  package mutating func remember(_ other: PeerIdentity) {
    var peer = DiskIdentity.Peer(
      node: other.node, disk: other.disk, incarnation: other.incarnation, start: other.start)
    if let place = peers.firstIndex(where: { $0.node == other.node }) {
      let known = peers[place]
      peer.formerDisks = known.formerDisks
      if known.disk != other.disk {
        let former = [known.disk] + known.formerDisks.filter { $0 != known.disk && $0 != other.disk }
        peer.formerDisks = Array(former.prefix(DiskIdentity.Peer.formerDisksKept))
        acknowledged.removeAll { $0.node == other.node }
        leading.removeAll { $0.node == other.node }
      }
      peers[place] = peer
    } else {
      peers.insert(peer, at: peers.firstIndex { $0.node > other.node } ?? peers.endIndex)
    }
  }

  /// This node leads the group in `term`, has committed up to `commit`, and this peer has acknowledged, in this term, all
  /// up to `match`. Returns whether that makes a difference to what is to be stored.
  package mutating func noteAcknowledged(
    _ peer: NodeID, group: GroupID, term: Term, match: LogIndex, commit: LogIndex
  ) -> Bool {
    guard match > .zero else { return false }
    let disk = peers.first { $0.node == peer }?.disk ?? []
    leading.removeAll { $0.node == peer && $0.group == group }
    leading.append(Acknowledged(node: peer, group: group, term: term, index: match, disk: disk))
    return raise(Acknowledged(node: peer, group: group, term: term, index: min(match, commit), disk: disk))
  }

  /// This node does not lead the group, or not in the term in which it did.
  package mutating func noteNotLeading(_ group: GroupID) { leading.removeAll { $0.group == group } }

  /// What is known only grows.
  @discardableResult
  private mutating func raise(_ one: Acknowledged) -> Bool {
    guard let place = acknowledged.firstIndex(where: { ($0.node, $0.group) >= (one.node, one.group) }) else {
      acknowledged.append(one)
      return true
    }
    guard acknowledged[place].node == one.node, acknowledged[place].group == one.group else {
      acknowledged.insert(one, at: place)
      return true
    }
    let before = acknowledged[place]
    // Of a version that named no disks, or of one that is known no more.
    if before.disk != one.disk, before.disk.isEmpty { acknowledged[place].disk = one.disk }
    if before.disk != one.disk, !before.disk.isEmpty {
      acknowledged[place] = one
      return true
    }
    acknowledged[place].term = max(before.term, one.term)
    acknowledged[place].index = max(before.index, one.index)
    return acknowledged[place] != before
  }
}
