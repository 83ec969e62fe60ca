import LockstepConsensus
import LockstepWire

// What leaves a node is on its disk.

extension Books {
  /// "Updated on stable storage before responding to RPCs" (Raft figure 2).
  func isSent(_ message: Message, by place: Int, to peer: NodeID) {
    switch message {
    case .vote(let request):
      if !request.isPreVote { cast(place, request.term, for: NodeID(UInt64(place + 1))) }
    case .voteReply(let reply):
      if !reply.isPreVote, reply.isGranted { cast(place, reply.term, for: peer) }
    case .appendReply(let reply):
      guard case .accepted(let match) = reply.verdict, match > .zero else { return }
      guard match > base.last.index else { return }
      let stored = nodes[place].stored[match]
      check(
        .storedBeforeSent, stored != nil && stored == nodes[place].log[match],
        "\(Self.name(place)) acknowledges entry \(match), which is not on its disk")
    case .append, .timeoutNow, .readIndex, .readIndexReply: break
    }
  }

  private func cast(_ place: Int, _ term: Term, for candidate: NodeID) {
    checkAdmitted(place)
    let ballot = Ballot(node: place, disk: nodes[place].formerDisks.count, term: term)
    let before = ballots[ballot] ?? candidate
    check(
      .oneVote, before == candidate || unreliable[place],
      "\(Self.name(place)) votes in term \(term) for node \(before) and for node \(candidate)")
    ballots[ballot] = candidate
    let state = nodes[place].storedState
    check(
      .storedBeforeSent, state.term > term || (state.term == term && state.vote == candidate) || unreliable[place],
      "\(Self.name(place)) votes in term \(term) for node \(candidate) before that is on its disk")
  }
}
