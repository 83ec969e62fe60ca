// Leadership transfer: thesis section 3.10; the named leader takes the lead back by it.

extension Replica {
  mutating func beginTransfer(to node: NodeID) {
    guard role == .leader, node != id, members.isVoter(node), transferee == nil,
      progress.contains(where: { $0.node == node && !$0.isReplaced })
    else { return }
    transferee = node
    transferElapsed = 0
    isTimeoutNowSent = false
  }

  mutating func tickTransfer(_ effects: inout [Effect]) {
    if let transferee {
      transferElapsed += 1
      if let follower = progress.firstIndex(where: { $0.node == transferee }) { finishTransfer(follower, &effects) }
      // "If leadership transfer does not complete after about an election timeout, the prior leader aborts the transfer
      // and resumes accepting client requests."
      if transferElapsed >= limits.electionTicks {
        self.transferee = nil
        transferPause = limits.transferPauseTicks
      }
      return
    }
    transferPause = max(0, transferPause - 1)
    if isStopping { return handOverBeforeStop() }
    guard let preferred = configuration.preferredLeader, preferred != id, transferPause == 0,
      members.voters.contains(preferred), let follower = progress.firstIndex(where: { $0.node == preferred })
    else { return }
    let isCaughtUp =
      canLead(progress[follower]) && (progress[follower].room.isAmple || !room.isAmple) && commit >= termStart
      && progress[follower].match >= termStart
      && log.last.distance(after: progress[follower].match) < 4096
    preferredCaughtUp = isCaughtUp ? preferredCaughtUp + 1 : 0
    guard preferredCaughtUp >= limits.preferredLeaderTicks else { return }
    preferredCaughtUp = 0
    beginTransfer(to: preferred)
  }

  /// "The prior leader fully updates the target server's log to match its own log ... then sends a TimeoutNow request."
  mutating func finishTransfer(_ follower: Int, _ effects: inout [Effect]) {
    guard progress[follower].node == transferee, progress[follower].match == log.last, !isTimeoutNowSent else { return }
    isTimeoutNowSent = true
    renounceLease()
    send(.timeoutNow(term: term), to: progress[follower].node, &effects)
  }

  /// "This request has the same effect as the target server's election timer firing": but it asks for votes at once,
  /// for the leader's own consent stands in for the pre-vote.
  mutating func handleTimeoutNow(_ term: Term, from peer: NodeID, _ effects: inout [Effect]) {
    guard term == self.term, leader == peer, role != .leader, members.isVoter(id), !isAwaitingAdmission,
      refusing.isEmpty, !disk.isSlow, !isStopping
    else { return }
    startElection(isTransfer: true, &effects)
  }
}

// Who can take the lead.
extension Replica {
  /// The follower that is ahead of all others among those that could take the lead up at once; one without room for
  /// commands only when all are.
  var heir: NodeID? {
    var best: Progress?
    for peer in progress where peer.isActive && canLead(peer) {
      guard let other = best else {
        best = peer
        continue
      }
      if peer.room.isAmple == other.room.isAmple ? peer.match > other.match : peer.room.isAmple { best = peer }
    }
    return best?.node
  }

  /// It votes, is reached, keeps up with what it is sent, and would answer as a leader. One that has acknowledged nothing
  /// for an election time-out, though there is something, may have a disk that hangs: it would not even store its term.
  func canLead(_ peer: Progress) -> Bool {
    members.isVoter(peer.node) && !members.witnesses.contains(peer.node) && peer.isLinkUp && !peer.isReplaced
      && peer.state == .replicating && !peer.isReplaying && peer.ticksBehind < limits.electionTicks
  }

  /// A majority has been heard of late without this node's own vote.
  var canOthersElect: Bool {
    members.quorum.isSatisfied { node in
      node != id && progress.contains { $0.node == node && $0.isActive && $0.isLinkUp && !$0.isReplaced }
    }
  }
}

// "Sometimes the leader must step down. For example, it may need to reboot for maintenance" (thesis section 3.10). The
// others need not wait for an election time-out then.
extension Replica {
  mutating func stopLeading() {
    isStopping = true
    handOverBeforeStop()
  }

  /// Again with each tick, until another leads.
  mutating func handOverBeforeStop() {
    guard isStopping, role == .leader, transferee == nil, canOthersElect, let heir else { return }
    beginTransfer(to: heir)
  }

  /// There is a lead that this node could lose in good order.
  package var isHandingOver: Bool { isStopping && role == .leader && canOthersElect }
}
