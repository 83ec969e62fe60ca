// Links that come and go, and the leader that is lost with them.

extension Replica {
  mutating func linkChanged(_ node: NodeID, isUp: Bool) {
    linksUp.removeAll { $0 == node }
    if isUp { linksUp.append(node) }
    guard let follower = progress.firstIndex(where: { $0.node == node }) else { return }
    progress[follower].isLinkUp = isUp
    // TCP loses only with the connection: whatever was under way has to be found out again. Before the first
    // acknowledgement of the term the guess stands: to begin at match + 1 then would be to send the whole log.
    let peer = progress[follower]
    probe(follower, from: peer.match > .zero ? peer.match.next : peer.next)
    progress[follower].isMessageDue = true
    // It may come back having carried out less: it says so with its first word.
    progress[follower].applied = .zero
  }

  /// A node that may not campaign waits for another to, and meanwhile does not send anybody to a leader that is silent.
  mutating func loseLeader(_ effects: inout [Effect]) {
    elapsed = 0
    resetTimeout()
    becomeFollower(term: term, leader: nil, &effects)
    // Of a candidacy that is given up.
    unstoredMessages.removeAll { if case .vote = $0.message { true } else { false } }
  }
}
