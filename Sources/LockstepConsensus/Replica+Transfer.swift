// Leadership transfer: thesis section 3.10; the named leader takes the lead back by it.

extension Replica {
  mutating func beginTransfer(to node: NodeID) {
    guard role == .leader, node != id, members.isVoter(node), transferee == nil,
      progress.contains(where: { $0.node == node })
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
    guard let preferred = configuration.preferredLeader, preferred != id, transferPause == 0,
      members.voters.contains(preferred), let follower = progress.firstIndex(where: { $0.node == preferred })
    else { return }
    let isCaughtUp =
      canLead(progress[follower]) && commit >= termStart && progress[follower].match >= termStart
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
    send(.timeoutNow(term: term), to: progress[follower].node, &effects)
  }

  /// "This request has the same effect as the target server's election timer firing": but it asks for votes at once,
  /// for the leader's own consent stands in for the pre-vote.
  mutating func handleTimeoutNow(_ term: Term, from peer: NodeID, _ effects: inout [Effect]) {
    guard term == self.term, leader == peer, role != .leader, members.isVoter(id), !disk.isSlow else { return }
    startElection(isTransfer: true, &effects)
  }
}
