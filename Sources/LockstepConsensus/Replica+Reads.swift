// Linearizable reads without a log write: thesis section 6.4.

extension Replica {
  mutating func requestRead(_ id: ReadID, _ effects: inout [Effect]) {
    switch role {
    case .leader: addRead(.local(id), &effects)
    // It has no way to ask: its term is not on its disk, which hangs.
    case .follower(leader: _?) where disk.isSlow && !isHardStateStored: effects.append(.readRefused(id, .noLeader))
    case .follower(let leader?):
      guard forwardedReads.count + unverifiedReads.count < limits.waitingReads else {
        effects.append(.readRefused(id, .overloaded))
        return
      }
      // "the follower would issue a request to the leader that just asked for a current readIndex" (section 6.4).
      forwardedReads.append(id)
      send(.readIndex(ReadIndexRequest(term: term, id: id)), to: leader, &effects)
    case .follower(leader: nil), .preCandidate, .candidate: effects.append(.readRefused(id, .noLeader))
    }
  }

  private mutating func addRead(_ origin: ReadRounds.Origin, _ effects: inout [Effect]) {
    guard reads.waiting.count + reads.confirming.count < limits.waitingReads else {
      refuse(origin, .overloaded, &effects)
      return
    }
    reads.waiting.append(origin)
  }

  mutating func handle(_ request: ReadIndexRequest, from peer: NodeID, _ effects: inout [Effect]) {
    guard role == .leader, request.term == term else {
      send(.readIndexReply(ReadIndexReply(term: term, id: request.id, index: nil)), to: peer, &effects)
      return
    }
    let origin = ReadRounds.Origin.follower(peer, request.id)
    // A request that was repeated because its answer is late is under way already. The last one is looked at alone:
    // a follower repeats rarely, and to answer twice is harmless.
    if reads.waiting.last == origin { return }
    addRead(origin, &effects)
  }

  mutating func handle(_ reply: ReadIndexReply, from peer: NodeID, _ effects: inout [Effect]) {
    guard leader == peer, role != .leader, let position = forwardedReads.firstIndex(of: reply.id) else { return }
    forwardedReads.remove(at: position)
    guard reply.term == term, let index = reply.index else {
      effects.append(.readRefused(reply.id, .leadershipLost))
      return
    }
    // The leader has it committed: so has this node, as far as its log is known to be the leader's.
    commit(through: min(index, verified), &effects)
    if index <= verified {
      effects.append(.readReady(reply.id, index))
    } else {
      unverifiedReads.append((reply.id, index))
    }
  }

  /// This log is known to be the leader's further than before.
  mutating func answerVerifiedReads(_ effects: inout [Effect]) {
    guard !unverifiedReads.isEmpty else { return }
    for read in unverifiedReads where read.index <= verified {
      commit(through: read.index, &effects)
      effects.append(.readReady(read.id, read.index))
    }
    unverifiedReads.removeAll { $0.index <= verified }
  }

  mutating func retryForwardedReads(_ effects: inout [Effect]) {
    guard !forwardedReads.isEmpty, case .follower(let leader?) = role else { return }
    forwardedReadsElapsed += 1
    guard forwardedReadsElapsed >= limits.electionTicks else { return }
    forwardedReadsElapsed = 0
    for id in forwardedReads { send(.readIndex(ReadIndexRequest(term: term, id: id)), to: leader, &effects) }
  }

  mutating func refuseForwardedReads(_ effects: inout [Effect]) {
    for id in forwardedReads { effects.append(.readRefused(id, .leadershipLost)) }
    for read in unverifiedReads { effects.append(.readRefused(read.id, .leadershipLost)) }
    forwardedReads.removeAll()
    unverifiedReads.removeAll()
    forwardedReadsElapsed = 0
  }

  mutating func refuse(_ origin: ReadRounds.Origin, _ refusal: ReadRefusal, _ effects: inout [Effect]) {
    switch origin {
    case .local(let id): effects.append(.readRefused(id, refusal))
    case .follower(let node, let id):
      send(.readIndexReply(ReadIndexReply(term: term, id: id, index: nil)), to: node, &effects)
    }
  }

  /// "1. If the leader has not yet marked an entry from its current term committed, it waits until it has done so. 2.
  /// The leader saves its current commit index in a local variable readIndex. 3. ... it issues a new round of
  /// heartbeats and waits for their acknowledgments from a majority of the cluster" (section 6.4).
  mutating func beginReadRound(_ effects: inout [Effect]) {
    guard !reads.isUnderWay, !reads.waiting.isEmpty || reads.isLeaseDue else { return }
    guard commit >= termStart else { return }
    reads.isUnderWay = true
    reads.isLeaseDue = false
    reads.current += 1
    reads.index = commit
    swap(&reads.confirming, &reads.waiting)
    for follower in progress.indices { progress[follower].isMessageDue = true }
    confirmReads(&effects)
  }

  mutating func confirmReads(_ effects: inout [Effect]) {
    guard reads.isUnderWay else { return }
    let isConfirmed = members.quorum.isSatisfied { node in
      node == id || progress.contains { $0.node == node && $0.readRound >= reads.current && !$0.isReplaced }
    }
    guard isConfirmed else { return }
    reads.isUnderWay = false
    reads.confirmed = reads.current
    for origin in reads.confirming {
      switch origin {
      case .local(let id): effects.append(.readReady(id, reads.index))
      case .follower(let node, let id):
        send(.readIndexReply(ReadIndexReply(term: term, id: id, index: reads.index)), to: node, &effects)
      }
    }
    reads.confirming.removeAll(keepingCapacity: true)
  }
}
