// Log replication: Raft section 5.3, commitment: section 5.4.2, pipelining: thesis section 10.2.1.

extension Replica {
  // MARK: Leader

  mutating func propose(_ sizes: [Int], _ effects: inout [Effect]) {
    guard role == .leader else {
      effects.append(.proposalRefused(.notLeader(leader: leader)))
      return
    }
    // "The prior leader stops accepting new client requests" (thesis section 3.10).
    guard transferee == nil else {
      effects.append(.proposalRefused(.transferring))
      return
    }
    if let refusal = refusalForRoom {
      effects.append(.proposalRefused(refusal))
      return
    }
    // The followers may commit without this node's own disk.
    guard log.bytes(behind: commit) <= limits.uncommittedBytes, log.bytes(behind: log.durable) <= limits.unstoredBytes
    else {
      effects.append(.proposalRefused(.overloaded))
      return
    }
    appendOwn(content: .proposal, sizes: sizes, &effects)
  }

  /// "a leader never overwrites or deletes entries in its log; it only appends new entries" (Raft section 5.3).
  mutating func appendOwn(content: AppendedContent, sizes: some Collection<Int>, _ effects: inout [Effect]) {
    guard !sizes.isEmpty else { return }
    let first = log.last.next
    log.append(term: term, sizes: sizes.lazy.map { $0 + Self.entryOverheadBytes })
    markUnstored(from: first)
    effects.append(.append(first: EntryID(term: term, index: first), count: sizes.count, content: content))
    guard case .configuration(let members) = content else { return }
    configurations.append((first, members))
    endLease()
    noteReplacedDisks()
    effects.append(.configured(members))
  }

  mutating func tickLeader(_ effects: inout [Effect]) {
    heartbeatElapsed += 1
    if heartbeatElapsed >= limits.heartbeatTicks {
      heartbeatElapsed = 0
      reads.isLeaseDue = limits.leases == .served
      for follower in progress.indices {
        progress[follower].isMessageDue = true
        progress[follower].isProbeSent = false
      }
    }
    for follower in progress.indices where progress[follower].commitSent < commit {
      progress[follower].isMessageDue = true
    }
    for follower in progress.indices {
      progress[follower].ticksBehind = progress[follower].match == log.last ? 0 : progress[follower].ticksBehind + 1
    }
    noteStoredByAll()
    tickTransfer(&effects)
    tickReplacement(&effects)
    guard elapsed >= limits.electionTicks else { return }
    // "a leader steps down if an election timeout elapses without a successful round of heartbeats to a majority of
    // its cluster" (thesis section 6.2).
    elapsed = 0
    guard voteOfQuorumIsActive() else {
      becomeFollower(term: term, leader: nil, &effects)
      return
    }
    handOverIfDiskIsSlow(&effects)
    handOverIfRoomIsShort()
    for follower in progress.indices { progress[follower].isActive = false }
  }

  /// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term ==
  /// currentTerm: set commitIndex = N" (figure 2). Only durable copies count, the leader's own among them; a majority
  /// of followers may come first (thesis section 10.2.1).
  mutating func advanceCommit(_ effects: inout [Effect]) {
    guard role == .leader else { return }
    let reached = members.quorum.reached { stored(by: $0) }
    let index = min(reached, log.last)
    // "only log entries from the leader's current term are committed by counting replicas" (Raft section 5.4.2).
    guard index > commit, log.term(at: index) == term else { return }
    commit(through: index, &effects)
  }

  /// One AppendEntries for each follower that has room, with all that is new; more only when it does not fit in one.
  mutating func replicate(_ effects: inout [Effect]) {
    for follower in progress.indices where progress[follower].isLinkUp {
      switch progress[follower].state {
      case .probing:
        if !progress[follower].isProbeSent || progress[follower].isMessageDue { sendProbe(follower, &effects) }
      case .replicating where progress[follower].room.takesEntries:
        while progress[follower].next <= log.last, sendNext(follower, &effects) {}
      case .replicating, .loading, .awaitingSnapshot: break
      }
      if progress[follower].isMessageDue { sendEntries(follower, .init(first: LogIndex(1), last: .zero), &effects) }
    }
  }

  /// An empty window has room for anything, or an entry larger than the window would never be sent.
  private func hasRoom(_ follower: Int, for bytes: Int) -> Bool {
    let window = progress[follower]
    return window.windowCount == 0
      || window.windowCount < limits.windowMessages && bytes <= limits.windowBytes - window.windowBytes
  }

  private mutating func sendProbe(_ follower: Int, _ effects: inout [Effect]) {
    let next = progress[follower].next
    progress[follower].isProbeSent = true
    // While it is sought where the logs agree, entries would be sent in vain: the probe is empty.
    sendEntries(follower, LogSlice(first: next, last: next.previous), &effects)
  }

  /// Returns whether more may be sent after it.
  private mutating func sendNext(_ follower: Int, _ effects: inout [Effect]) -> Bool {
    let next = progress[follower].next
    guard next >= log.floor else {
      // How much will be read is not known: there must be room for all that is asked for.
      guard hasRoom(follower, for: limits.appendBytes) else { return false }
      progress[follower].state = .loading
      effects.append(.load(progress[follower].node, from: next, maximumBytes: limits.appendBytes))
      return false
    }
    let slice = log.slice(from: next, maximumBytes: limits.appendBytes)
    let bytes = log.bytes(slice)
    guard hasRoom(follower, for: bytes) else { return false }
    sendEntries(follower, slice, &effects)
    progress[follower].sent(slice, bytes: bytes)
    return true
  }

  mutating func loaded(_ node: NodeID, _ slice: LogSlice?, _ bytes: Int, _ effects: inout [Effect]) {
    guard role == .leader, let follower = progress.firstIndex(where: { $0.node == node }),
      progress[follower].state == .loading
    else { return }
    guard let slice, !slice.isEmpty, slice.first == progress[follower].next, slice.last <= log.last else {
      probe(follower, from: progress[follower].next)
      return
    }
    progress[follower].state = .replicating
    sendEntries(follower, slice, &effects)
    progress[follower].sent(slice, bytes: bytes)
  }

  private mutating func sendEntries(_ follower: Int, _ slice: LogSlice, _ effects: inout [Effect]) {
    let previous = (slice.isEmpty ? progress[follower].next : slice.first).previous
    guard let term = log.term(at: previous) else { preconditionFailure("entry \(previous) is not at hand") }
    let request = AppendRequest(
      term: self.term, previous: EntryID(term: term, index: previous), entries: slice, commit: commit,
      readRound: reads.current,
      // Nobody needs it with each entry: once a heartbeat is often enough.
      storedByAll: progress[follower].isMessageDue ? storedByAll : .zero,
      needsSnapshot: progress[follower].state == .awaitingSnapshot,
      reportApplied: progress[follower].applied < appliedAwaited ? appliedAwaited : .zero)
    progress[follower].commitSent = commit
    progress[follower].reportSent = request.reportApplied
    progress[follower].isMessageDue = false
    send(.append(request), to: progress[follower].node, &effects)
  }

  mutating func handle(_ reply: AppendReply, from peer: NodeID, _ effects: inout [Effect]) {
    if reply.term > term {
      becomeFollower(term: reply.term, leader: nil, &effects)
      return
    }
    guard role == .leader, reply.term == term, let follower = progress.firstIndex(where: { $0.node == peer }) else {
      return
    }
    // What a machine has carried out is committed, and a leader has all of that (Leader Completeness, section 5.4.3).
    guard reply.readRound <= reads.current, reply.applied <= log.last else {
      effects.append(.protocolViolation(peer, .impossibleAcknowledgement))
      return
    }
    progress[follower].isActive = true
    progress[follower].isReplaying = reply.isReplaying
    progress[follower].room = reply.room
    progress[follower].applied = max(progress[follower].applied, reply.applied)
    switch reply.verdict {
    case .accepted(let match):
      guard match <= log.last else {
        effects.append(.protocolViolation(peer, .impossibleAcknowledgement))
        return
      }
      let isNews = progress[follower].acknowledged(match)
      let hasTheBase = match >= log.base.index
      switch progress[follower].state {
      case .probing: progress[follower].state = .replicating
      case .awaitingSnapshot where hasTheBase: progress[follower].state = .replicating
      case .replicating, .loading, .awaitingSnapshot: break
      }
      // What is under way to a disk without room is not taken.
      if !reply.room.takesEntries, progress[follower].state == .replicating,
        progress[follower].next > progress[follower].match.next
      {
        probe(follower, from: progress[follower].match.next)
      }
      if isNews { advanceCommit(&effects) }
      finishTransfer(follower, &effects)
    case .rejected(let previous, let hint):
      backOff(follower, previous: previous, hint: hint)
    }
    if reply.readRound > progress[follower].readRound {
      progress[follower].readRound = reply.readRound
      confirmReads(&effects)
    }
  }

  /// "the follower can include the term of the conflicting entry and the first index it stores for that term. With this
  /// information, the leader can decrement nextIndex to bypass all of the conflicting entries in that term" (section
  /// 5.3).
  private mutating func backOff(_ follower: Int, previous: LogIndex, hint: EntryID) {
    // What was acknowledged once in this term stays: a rejection at or before it is an old one, late or repeated.
    guard previous > progress[follower].match, previous < progress[follower].next else { return }
    if progress[follower].state == .probing, previous != progress[follower].next.previous { return }
    let agreed = log.lastEntry(atOrBefore: min(hint.index, previous.previous), withTermAtMost: hint.term)
    if let agreed { probe(follower, from: agreed.index.next) } else { probe(follower, from: log.base.index) }
  }

  /// Where the logs agree is not later than `index`. If it may be before the base, there is nothing to send from there.
  mutating func probe(_ follower: Int, from index: LogIndex) {
    progress[follower].probe(from: index)
    if progress[follower].next <= log.base.index { progress[follower].awaitSnapshot(base: log.base.index) }
  }

  // MARK: Follower

  /// AppendEntries RPC, receiver implementation (figure 2).
  mutating func handle(
    _ request: AppendRequest, _ entries: ReceivedEntries, from peer: NodeID, _ effects: inout [Effect]
  ) {
    // "1. Reply false if term < currentTerm"
    if request.term < term {
      let verdict = AppendReply.Verdict.rejected(previous: request.previous.index, hint: .zero)
      send(.appendReply(reply(verdict, readRound: 0)), to: peer, &effects)
      return
    }
    if request.term == term {
      // "at most one leader can be elected in a given term" (Election Safety, figure 3).
      if role == .leader || (leader != nil && leader != peer) {
        effects.append(.protocolViolation(peer, .secondLeader(term)))
        return
      }
    }
    if let violation = problem(in: request, entries) {
      effects.append(.protocolViolation(peer, violation))
      return
    }
    if let index = contradiction(in: request, entries) {
      diverge(at: index, &effects)
      return
    }
    if request.term > term || leader != peer {
      becomeFollower(term: request.term, leader: peer, &effects)
      // It has got the lead, so it can be given it again.
      if peer == configuration.preferredLeader { transferPause = 0 }
    }
    elapsed = 0
    if !heardLeader {
      heardLeader = true
      // The time given to the named leader at the start is over.
      resetTimeout()
    }
    storedByAll = max(storedByAll, min(request.storedByAll, request.commit))
    let isNewRound = request.readRound > readRoundHeard
    readRoundHeard = max(readRoundHeard, request.readRound)
    reportApplied = max(reportApplied, request.reportApplied)

    // "2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm"
    // What is compacted here is committed, so the leader has it (Leader Completeness, section 5.4.3).
    guard log.contains(request.previous) || log.lookup(request.previous.index) == .compacted else {
      let hint = log.lastEntry(
        atOrBefore: min(request.previous.index.previous, log.last), withTermAtMost: request.previous.term)
      let verdict = AppendReply.Verdict.rejected(previous: request.previous.index, hint: hint ?? log.base)
      send(.appendReply(reply(verdict, readRound: readRoundHeard)), to: peer, &effects)
      needSnapshot(request, from: peer, &effects)
      return
    }
    guard let taken = take(entries, from: peer, &effects) else { return }
    let matched = max(request.previous.index.advanced(by: taken), log.base.index)
    verified = max(verified, matched)
    answerVerifiedReads(&effects)
    // "5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)": what the leader
    // says is committed counts only as far as this log is known to be the leader's.
    commit(through: min(request.commit, matched), &effects)
    // Entries that are on their way to the disk are acknowledged once, when they are there; everything else at once.
    if taken < entries.terms.count || entries.terms.isEmpty || isNewRound || matched <= log.durable {
      isAcknowledgementDue = true
    }
  }

  private func problem(in request: AppendRequest, _ entries: ReceivedEntries) -> ProtocolViolation? {
    guard request.term > .zero else { return .impossibleTerms }
    guard request.entries.count == entries.terms.count, entries.terms.count == entries.ends.count else { return .gap }
    if entries.terms.isEmpty { return request.previous.term > request.term ? .impossibleTerms : nil }
    guard entries.first == request.previous.index.next, request.entries.first == entries.first,
      request.previous.index.rawValue < .max - UInt64(entries.terms.count) - 1
    else { return .gap }
    var term = max(request.previous.term, Term(1))
    for next in entries.terms {
      guard next >= term, next <= request.term else { return .impossibleTerms }
      term = next
    }
    return nil
  }

  /// "3. If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and
  /// all that follow it. 4. Append any new entries not already in the log". Without a conflict nothing is deleted: the
  /// message may be an old one, and what follows it may be acknowledged. Returns how many of these entries are in the log
  /// now: not all, if there is no room for them. Nil: this is no message of a leader.
  private mutating func take(_ entries: ReceivedEntries, from peer: NodeID, _ effects: inout [Effect]) -> Int? {
    var known = 0
    while known < entries.terms.count {
      let index = entries.first.advanced(by: known)
      guard index > log.base.index else {
        known += 1
        continue
      }
      guard index <= log.last, log.term(at: index) == entries.terms[known] else { break }
      known += 1
    }
    guard known < entries.terms.count, room.takesEntries else { return known }
    let first = entries.first.advanced(by: known)
    let before = configurations.count
    var isConfigured = entries.configurations.contains { $0.index >= first }
    if first <= log.last {
      // What is committed is no more in question here, see `contradiction`. Nor can a leader take back what it has sent
      // in its own term: it "never overwrites or deletes entries".
      guard first > verified else {
        effects.append(.protocolViolation(peer, .takesBackItsOwnEntry(first)))
        return nil
      }
      log.truncate(from: first)
      while configurations.count > 1, configurations[configurations.count - 1].index >= first {
        configurations.removeLast()
      }
      isConfigured = isConfigured || configurations.count < before
    }
    var start = known
    while start < entries.terms.count {
      let term = entries.terms[start]
      var end = start
      while end < entries.terms.count, entries.terms[end] == term { end += 1 }
      log.append(
        term: term, sizes: (start..<end).lazy.map { entries.ends[$0] - ($0 == 0 ? 0 : entries.ends[$0 - 1]) })
      start = end
    }
    for configuration in entries.configurations where configuration.index >= first {
      configurations.append(configuration)
    }
    markUnstored(from: first)
    effects.append(.accept(LogSlice(first: first, last: log.last)))
    if isConfigured { effects.append(.configured(members)) }
    return entries.terms.count
  }

  mutating func acknowledge(_ leader: NodeID, _ effects: inout [Effect]) {
    isAcknowledgementDue = false
    acknowledged = min(verified, log.durable)
    send(.appendReply(reply(.accepted(match: acknowledged), readRound: readRoundHeard)), to: leader, &effects)
  }

  private func reply(_ verdict: AppendReply.Verdict, readRound: UInt64) -> AppendReply {
    var reply = AppendReply(term: term, verdict: verdict, readRound: readRound)
    reply.room = room
    return reply
  }
}
