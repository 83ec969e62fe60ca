/// How much room a node's disk has for entries, as its driver finds. Terms and votes have room of their own.
package struct LogRoom: Hashable, Sendable {
  /// So many bytes are to be freed before clients' commands are taken again; 0: they are taken.
  package let missing: UInt64
  /// Whether there is still room for what was proposed before that was known.
  package let takesEntries: Bool

  package static let ample = LogRoom(missing: 0, takesEntries: true)
  package static func short(missing: UInt64) -> LogRoom { LogRoom(missing: max(1, missing), takesEntries: true) }
  package static func none(missing: UInt64) -> LogRoom { LogRoom(missing: max(1, missing), takesEntries: false) }

  package init(missing: UInt64, takesEntries: Bool) {
    self.missing = takesEntries ? missing : max(1, missing)
    self.takesEntries = takesEntries
  }

  package var isAmple: Bool { missing == 0 }
}

// Disks without room. "A leader never overwrites or deletes entries in its log" (Raft section 5.3), and followers store
// what it sends them: so what they have no room for must not be proposed. A follower says with each of its replies how
// much room it has; the leader takes commands while its own disk and those of a quorum have room for them. One of the
// others that falls short goes on taking what comes, until nothing is left but what its term and vote need; from then on it
// takes no entries, and says so by acknowledging what it has: to the leader that is a slow follower.

extension Replica {
  mutating func roomChanged(_ room: LogRoom) {
    let before = self.room
    self.room = room
    if room.isAmple { shortSince = nil } else { shortSince = shortSince ?? disk.now }
    guard room != before else { return }
    // The leader waits for the word, and need not until its next heartbeat. Before it is known where the logs agree there
    // is nothing to acknowledge.
    if case .follower(_?) = role, verified > .zero { isAcknowledgementDue = true }
  }

  /// Why nothing can be proposed, if it is for want of room.
  var refusalForRoom: ProposalRefusal? {
    guard room.isAmple else { return .noRoom([id], missing: room.missing) }
    guard progress.contains(where: { !$0.room.isAmple }) else { return nil }
    let isQuorum = members.quorum.isSatisfied { node in
      node == id || progress.contains { $0.node == node && $0.isLinkUp && $0.room.isAmple }
    }
    guard !isQuorum else { return nil }
    let short = progress.filter { $0.isLinkUp && !$0.room.isAmple }
    guard !short.isEmpty else { return nil }
    return .noRoom(short.map(\.node), missing: short.map(\.room.missing).min() ?? 1)
  }

  /// Once in each election time-out, when it is known who was heard in it: a node with room takes commands where this one
  /// has refused them for a while, and not just until a snapshot is written.
  mutating func handOverIfRoomIsShort() {
    guard let shortSince, disk.now - shortSince >= limits.diskTicks, transferee == nil, transferPause == 0,
      canOthersElect, let heir,
      members.quorum.isSatisfied(by: { node in
        progress.contains { $0.node == node && $0.isActive && $0.isLinkUp && !$0.isReplaced && $0.room.isAmple }
      }), progress.contains(where: { $0.node == heir && $0.room.isAmple })
    else { return }
    beginTransfer(to: heir)
  }
}
