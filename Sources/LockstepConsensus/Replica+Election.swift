// Elections: Raft section 5.2 and 5.4.1, pre-vote and check-quorum: thesis sections 9.6 and 6.2.

extension Replica {
  /// A recent word from the leader is a reason to leave it in peace: "if a server receives a RequestVote request within
  /// the minimum election timeout of hearing from a current leader, it does not update its term or grant its vote"
  /// (Raft section 6, thesis section 4.2.3).
  private var isLeaderRecent: Bool { leader != nil && elapsed < limits.electionTicks }

  /// "the candidate first asks other servers whether its log is up-to-date enough and whether they would vote for it"
  /// before it touches its term (thesis section 9.6).
  mutating func startPreVote(_ effects: inout [Effect]) {
    role = .preCandidate
    refuseForwardedReads(&effects)
    elapsed = 0
    resetTimeout()
    tally = Tally()
    tally.record(id, isGranted: true)
    effects.append(.roleChanged(.preCandidate, term: term, leader: nil))
    let request = VoteRequest(term: term.next, last: log.lastID, isPreVote: true, isTransfer: false)
    askForVotes(request, &effects)
    countVotes(&effects)
  }

  /// "On conversion to candidate, start election: increment currentTerm, vote for self, reset election timer, send
  /// RequestVote RPCs to all other servers" (figure 2).
  mutating func startElection(isTransfer: Bool, _ effects: inout [Effect]) {
    guard term.next > term else { return }
    refuseForwardedReads(&effects)
    hardState.term = term.next
    hardState.vote = id
    isHardStateDirty = true
    unstoredMessages.removeAll()
    verified = .zero
    acknowledged = .zero
    readRoundHeard = 0
    isAcknowledgementDue = false
    role = .candidate
    elapsed = 0
    resetTimeout()
    tally = Tally()
    effects.append(.roleChanged(.candidate, term: term, leader: nil))
    let request = VoteRequest(term: term, last: log.lastID, isPreVote: false, isTransfer: isTransfer)
    askForVotes(request, &effects)
  }

  private mutating func askForVotes(_ request: VoteRequest, _ effects: inout [Effect]) {
    for node in members.all where node != id && members.isVoter(node) {
      if request.isPreVote {
        // It promises nothing, so it waits for nothing.
        effects.append(.send(.vote(request), to: node))
      } else {
        send(.vote(request), to: node, &effects)
      }
    }
  }

  /// A candidate's own vote is a vote like any other: it counts when it is on the disk.
  mutating func countOwnVote(_ effects: inout [Effect]) {
    guard role == .candidate, hardState.vote == id else { return }
    tally.record(id, isGranted: true)
    countVotes(&effects)
  }

  private mutating func countVotes(_ effects: inout [Effect]) {
    switch members.quorum.outcome(of: { tally.vote(of: $0) }) {
    case .pending: break
    case .lost: becomeFollower(term: term, leader: nil, &effects)
    case .won:
      switch role {
      case .preCandidate: startElection(isTransfer: false, &effects)
      case .candidate: becomeLeader(&effects)
      case .follower, .leader: break  // the count belongs to a candidacy that is over
      }
    }
  }

  mutating func handle(_ request: VoteRequest, from peer: NodeID, _ effects: inout [Effect]) {
    guard request.term > .zero else {
      effects.append(.protocolViolation(peer, .impossibleTerms))
      return
    }
    if isLeaderRecent || peaceTicks > 0, !request.isTransfer { return }
    // "Raft determines which of two logs is more up-to-date by comparing the index and term of the last entries in the
    // logs" (section 5.4.1).
    let isUpToDate = request.last >= log.lastID
    // A vote that cannot be stored is not given, nor held out; nor one that the disk before this one may have given.
    let canVote = !disk.isSlow && !isBoundByItsFormerDisk && refusing.isEmpty
    if request.isPreVote {
      let isGranted = request.term > term && isUpToDate && canVote
      let reply = VoteReply(term: isGranted ? request.term : term, isGranted: isGranted, isPreVote: true)
      effects.append(.send(.voteReply(reply), to: peer))
      return
    }
    if request.term > term { becomeFollower(term: request.term, leader: nil, &effects) }
    // "votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's log" (figure 2).
    let isFree = hardState.vote == nil || hardState.vote == peer
    let isGranted = request.term == term && isFree && leader == nil && isUpToDate && canVote
    if isGranted {
      if hardState.vote != peer {
        hardState.vote = peer
        isHardStateDirty = true
      }
      elapsed = 0
      resetTimeout()
    }
    send(.voteReply(VoteReply(term: term, isGranted: isGranted, isPreVote: false)), to: peer, &effects)
  }

  mutating func handle(_ reply: VoteReply, from peer: NodeID, _ effects: inout [Effect]) {
    if !reply.isGranted, reply.term > term {
      becomeFollower(term: reply.term, leader: nil, &effects)
      return
    }
    // The two kinds must not be mixed up: a late answer to the pre-vote is no vote.
    switch role {
    case .preCandidate:
      guard reply.isPreVote, reply.isGranted ? reply.term == term.next : true else { return }
    case .candidate:
      guard !reply.isPreVote, reply.term == term else { return }
    case .follower, .leader: return  // decided already
    }
    // Nobody's word counts for that of another disk.
    if reply.isGranted, unnamedDisks.contains(peer) { return }
    tally.record(peer, isGranted: reply.isGranted)
    countVotes(&effects)
  }

  /// "If votes received from majority of servers: become leader" (figure 2).
  private mutating func becomeLeader(_ effects: inout [Effect]) {
    role = .leader
    heardLeader = true
    elapsed = 0
    heartbeatElapsed = 0
    transferee = nil
    preferredCaughtUp = 0
    isLeadOffered = false
    reads = ReadRounds()
    progress = members.all.filter { $0 != id }.map {
      var entry = Progress(node: $0, next: log.last.next, isLinkUp: linksUp.contains($0))
      entry.isActive = true
      return entry
    }
    noteReplacedDisks()
    effects.append(.roleChanged(.leader, term: term, leader: id))
    // "each leader commit a blank no-op entry into the log at the start of its term" (Raft section 8).
    termStart = log.last.next
    appendOwn(content: .noOperation, sizes: CollectionOfOne(Self.noOperationBytes), &effects)
  }

  /// What the encoding of an entry takes beside its method and payload, about.
  package static let entryOverheadBytes = 40
  static let noOperationBytes = 40

  mutating func leaveLeadership(_ effects: inout [Effect]) {
    progress = []
    catchUp = nil
    appliedAwaited = .zero
    // Whether the other one will get the lead is not known: if it comes back here, it is not offered again at once.
    if transferee != nil, isTimeoutNowSent { transferPause = limits.transferPauseTicks }
    transferee = nil
    for origin in reads.all { refuse(origin, .leadershipLost, &effects) }
    reads = ReadRounds()
  }

  func voteOfQuorumIsActive() -> Bool {
    members.quorum.isSatisfied { node in
      node == id || progress.contains { $0.node == node && $0.isActive && !$0.isReplaced }
    }
  }
}
