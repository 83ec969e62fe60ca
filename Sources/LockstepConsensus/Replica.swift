/// One member of one group: the consensus protocol as a pure value. An event goes in, effects come out, and effects
/// answer as events. There is no clock (time is ticks), no thread, no randomness but the seed, and no input or output.
///
/// Sources: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (the Raft paper), and Ongaro,
/// "Consensus: Bridging Theory and Practice" (the thesis), cited beside each rule.
package struct Replica: Sendable {
  package struct Configuration: Sendable {
    package var id: NodeID
    /// Those at the base of the log: effective until an entry of the log says otherwise.
    package var members: Members
    /// The node that leads when it can; nil: any.
    package var preferredLeader: NodeID?
    package var limits: Limits
    package var seed: UInt64
    /// This node's disk, and whether it was put in place of another one that this node had. Nil: nobody asks.
    package var disk: [UInt8]?
    package var isDiskReplaced: Bool
    package init(
      id: NodeID, members: Members, preferredLeader: NodeID? = nil, limits: Limits = Limits(), seed: UInt64,
      disk: [UInt8]? = nil, isDiskReplaced: Bool = false
    ) {
      self.disk = disk
      self.isDiskReplaced = isDiskReplaced
      self.id = id
      self.members = members
      self.preferredLeader = preferredLeader
      self.limits = limits
      self.seed = seed
    }
  }

  /// What this node is; the large parts of a leader's and a candidate's state live beside it.
  package enum Role: Hashable, Sendable {
    case follower(leader: NodeID?)
    case preCandidate
    case candidate
    case leader

    package var kind: RoleKind {
      switch self {
      case .follower: .follower
      case .preCandidate: .preCandidate
      case .candidate: .candidate
      case .leader: .leader
      }
    }
  }

  package let configuration: Configuration
  package var limits: Limits { configuration.limits }
  package var id: NodeID { configuration.id }

  package internal(set) var role: Role = .follower(leader: nil)
  package internal(set) var hardState: HardState
  package internal(set) var log: Log
  /// The effective configurations, by the index of their entry; a configuration counts "as soon as it is added to the
  /// log" (thesis section 4.1) and is rolled back when its entry is truncated.
  package internal(set) var configurations: [(index: LogIndex, members: Members)]

  package var term: Term { hardState.term }
  package var commit: LogIndex { hardState.commit }
  package var members: Members { configurations[configurations.count - 1].members }
  package var leader: NodeID? {
    switch role {
    case .leader: id
    case .follower(let leader): leader
    case .preCandidate, .candidate: nil
    }
  }

  var generator: Generator
  /// Ticks since the leader was heard, a vote was granted, or a candidacy began; on a leader, since its quorum was
  /// last checked.
  var elapsed = 0
  /// When `elapsed` reaches this, campaign: chosen anew each time from one to two election time-outs.
  var timeout = 0
  var heardLeader = false
  /// Ticks since the start that this node still leaves a leader in peace that it may have heard before: see Replica+Lease.
  var peaceTicks = 0

  // Storage: what is to be written, and what waits for it.
  var nextWrite = WriteID(1)
  var unstoredFrom: LogIndex?
  var isHardStateDirty = false
  var hardStateWrite: WriteID?
  /// Messages that speak of a term or a vote that is not on the disk yet; at most `unstoredMessages`.
  var unstoredMessages: [(message: Message, to: NodeID)] = []
  var isHardStateStored: Bool { !isHardStateDirty && hardStateWrite == nil }
  package internal(set) var disk = DiskWatch()
  /// Of the disk; see Replica+Room.
  package internal(set) var room = LogRoom.ample
  /// In ticks; nil: it is ample.
  var shortSince: Int?

  /// Every member's disk has all up to here, as this node knows: no other can need from it what is before.
  package internal(set) var storedByAll: LogIndex = .zero

  // As a follower.
  /// The log equals that of this term's leader up to here.
  var verified: LogIndex = .zero
  var acknowledged: LogIndex = .zero
  var isAcknowledgementDue = false
  var readRoundHeard: UInt64 = 0
  var forwardedReads: [ReadID] = []
  var forwardedReadsElapsed = 0
  /// Answered by the leader, with an index up to which this log is not yet known to be the leader's: what is committed
  /// here beyond `verified` may be a history that the leader contradicts.
  var unverifiedReads: [(id: ReadID, index: LogIndex)] = []

  /// The leader wants to know when more is applied here, until all up to here is; and what it was told.
  package internal(set) var reportApplied: LogIndex = .zero
  package internal(set) var appliedReported: LogIndex = .zero

  // As a candidate.
  var tally = Tally()

  // As a leader.
  package internal(set) var progress: [Progress] = []
  /// The leader's first entry of its own term: until it is committed, nothing is (Raft section 5.4.2), and reads wait
  /// (section 8).
  package internal(set) var termStart: LogIndex = .zero
  var heartbeatElapsed = 0
  package internal(set) var transferee: NodeID?
  var transferElapsed = 0
  var isTimeoutNowSent = false
  var transferPause = 0
  var preferredCaughtUp = 0
  /// The lead was offered to another because this node's disk is slow: once until it no longer is.
  var isLeadOffered = false
  package internal(set) var reads = ReadRounds()
  /// Clients wait until every voter has applied all up to here; zero: nobody does.
  package internal(set) var appliedAwaited: LogIndex = .zero
  /// The learner that is to vote again, and how far it has got.
  var catchUp: CatchUpRound?

  /// Members with other disks than before, as they have shown themselves to this node. Each node once.
  var replacedDisks: [MemberDisk] = []
  /// Members to whom this node's disk has promised what is not on it any more.
  var refusing: [NodeID] = []

  /// It is about to be stopped: the lead goes to another, and is not taken again. Never unset.
  var isStopping = false
  /// Where a leader was found to lack what is committed here: this node has stopped.
  package internal(set) var divergence: LogIndex?

  /// Links that are up, so that a new leader knows where to send.
  var linksUp: [NodeID] = []
  var summary = InvariantSummary()

  /// A replica as it was when it stopped: hard state and log come from the disk, and all of the log is durable.
  package init(
    _ configuration: Configuration, hardState: HardState = HardState(), log: Log = Log(),
    configurations recovered: [(index: LogIndex, members: Members)] = []
  ) {
    precondition(configuration.limits.problem == nil, configuration.limits.problem ?? "")
    self.configuration = configuration
    self.hardState = hardState
    self.log = log
    configurations = [(log.base.index, configuration.members)] + recovered
    generator = Generator(seed: configuration.seed)
    // A commit index is a hint on the disk: never beyond the log that came with it, nor before what it is based on.
    self.hardState.commit = max(log.base.index, min(hardState.commit, log.last))
    resetTimeout()
    keepPeaceAfterStart()
    checkInvariants()
  }

  /// One step: all effects of the event are appended to `effects`, in the order in which they must be carried out.
  package mutating func step(_ event: LocalEvent, into effects: inout [Effect]) {
    guard divergence == nil else { return }
    switch event {
    case .tick: tick(&effects)
    case .proposed(let sizes): propose(sizes, &effects)
    case .readRequested(let id): requestRead(id, &effects)
    case .stored(let id): stored(id, &effects)
    case .loaded(let node, let slice, let bytes): loaded(node, slice, bytes, &effects)
    case .linkLost(let node): linkChanged(node, isUp: false)
    case .linkRestored(let node): linkChanged(node, isUp: true)
    case .diskReplaced(let disk): diskReplaced(disk)
    case .diskRefused(let node, let isRefused): diskRefused(by: node, isRefused, &effects)
    case .transferRequested(let node): beginTransfer(to: node)
    case .stopRequested: stopLeading()
    case .roomChanged(let room): roomChanged(room)
    case .compacted(let id): compact(through: id)
    case .installed(let id, let members, let term): install(id, members, term: term, &effects)
    case .appliedAwaited(let index): appliedAwaited = max(appliedAwaited, index)
    case .applied(let index): reportApplied(index)
    case .turnEnded: endTurn(&effects)
    }
    checkInvariants()
  }

  /// One message of a peer; `entries` are those of an AppendRequest.
  package mutating func step(
    _ message: Message, entries: ReceivedEntries = .none, from peer: NodeID, into effects: inout [Effect]
  ) {
    guard divergence == nil else { return }
    guard members.all.contains(peer), peer != id else {
      effects.append(.protocolViolation(peer, .notAMember))
      return
    }
    guard message.term <= term || message.term.rawValue - term.rawValue <= limits.termLead else {
      effects.append(.protocolViolation(peer, .impossibleTerms))
      return
    }
    switch message {
    case .append(let request): handle(request, entries, from: peer, &effects)
    case .appendReply(let reply): handle(reply, from: peer, &effects)
    case .vote(let request): handle(request, from: peer, &effects)
    case .voteReply(let reply): handle(reply, from: peer, &effects)
    case .timeoutNow(let term): handleTimeoutNow(term, from: peer, &effects)
    case .readIndex(let request): handle(request, from: peer, &effects)
    case .readIndexReply(let reply): handle(reply, from: peer, &effects)
    }
    checkInvariants()
  }

  private mutating func tick(_ effects: inout [Effect]) {
    tickDisk(&effects)
    elapsed += 1
    peaceTicks = max(0, peaceTicks - 1)
    switch role {
    case .leader: tickLeader(&effects)
    case .follower, .preCandidate, .candidate:
      retryForwardedReads(&effects)
      guard elapsed >= timeout, peaceTicks == 0 else { return }
      if members.isVoter(id), !isAwaitingAdmission, refusing.isEmpty, !disk.isSlow, !isStopping {
        startPreVote(&effects)
      } else {
        loseLeader(&effects)
      }
    }
  }

  // MARK: Term and role

  /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower" (figure 2).
  mutating func becomeFollower(term: Term, leader: NodeID?, _ effects: inout [Effect]) {
    let isNewTerm = term > hardState.term
    if isNewTerm {
      hardState.term = term
      hardState.vote = nil
      isHardStateDirty = true
      unstoredMessages.removeAll()
      verified = .zero
      acknowledged = .zero
      readRoundHeard = 0
      isAcknowledgementDue = false
      (reportApplied, appliedReported) = (.zero, .zero)
    }
    let wasLeader = role == .leader
    let before = role
    role = .follower(leader: leader)
    if wasLeader {
      leaveLeadership(&effects)
      elapsed = 0
      resetTimeout()
    }
    if before != role || isNewTerm {
      refuseForwardedReads(&effects)
      effects.append(.roleChanged(.follower, term: hardState.term, leader: leader))
    }
  }

  mutating func resetTimeout() {
    // "election timeouts are chosen randomly from a fixed interval" (Raft section 5.2): T to 2 T.
    timeout = limits.electionTicks + generator.below(limits.electionTicks)
    guard let preferred = configuration.preferredLeader, !heardLeader, members.isVoter(preferred) else { return }
    // At the start the named leader goes first; the others give it time, then any of them will do.
    if preferred == id {
      timeout = limits.electionTicks / 3 + generator.below(limits.electionTicks / 3)
    } else {
      timeout += limits.electionTicks
    }
  }

  // MARK: What leaves this node

  /// Votes and acknowledgements are "updated on stable storage before responding to RPCs" (figure 2). One rule for
  /// all: no message leaves in a term that is not on the disk.
  mutating func send(_ message: Message, to node: NodeID, _ effects: inout [Effect]) {
    if isHardStateStored {
      effects.append(.send(message, to: node))
      return
    }
    if case .appendReply = message {
      // The latest says all that the others did: a disk that hangs must not make them pile up.
      unstoredMessages.removeAll { other, to in
        if case .appendReply = other { to == node } else { false }
      }
    }
    if unstoredMessages.count < limits.unstoredMessages { unstoredMessages.append((message, node)) }
  }

  private mutating func stored(_ id: WriteID, _ effects: inout [Effect]) {
    guard id < nextWrite else { return }
    let isMoreDurable = log.writeFinished(id)
    diskAnswered(&effects)
    if let write = hardStateWrite, write <= id { hardStateWrite = nil }
    if isHardStateStored {
      for (message, node) in unstoredMessages { effects.append(.send(message, to: node)) }
      unstoredMessages.removeAll()
      countOwnVote(&effects)
    }
    guard isMoreDurable else { return }
    switch role {
    case .leader: advanceCommit(&effects)
    case .follower(let leader):
      if leader != nil, min(verified, log.durable) > acknowledged { isAcknowledgementDue = true }
    case .preCandidate, .candidate: break
    }
  }

  /// Whether `turnEnded` may have something to write, send or acknowledge.
  package var isTurnDue: Bool {
    // Changes nothing: whoever has a replica asks this one, and not a copy of all that it has.
    mutating get {
      switch role {
      case .leader: true
      case .follower, .preCandidate, .candidate: isHardStateDirty || unstoredFrom != nil || isAcknowledgementDue
      }
    }
  }

  private mutating func endTurn(_ effects: inout [Effect]) {
    storeWhatIsNew(&effects)
    switch role {
    case .leader:
      advanceCommit(&effects)
      beginReadRound(&effects)
      if appliedAwaited > .zero { askForApplied() }
      replicate(&effects)
      log.trim(
        maximumEntries: limits.cacheEntries, maximumBytes: limits.cacheBytes,
        keeping: min(log.durable, commit).next)
    case .follower(let leader):
      if let leader, isAcknowledgementDue { acknowledge(leader, &effects) }
      log.trim(
        maximumEntries: limits.cacheEntries, maximumBytes: limits.cacheBytes,
        keeping: min(log.durable, commit).next)
    case .preCandidate, .candidate: break
    }
  }

  private mutating func storeWhatIsNew(_ effects: inout [Effect]) {
    guard isHardStateDirty || unstoredFrom != nil else { return }
    // Of this write a power cut may leave the hard state without the entries, and then the disk still has those that
    // they replace: only what is on the disk already may be called committed there.
    var storedState = hardState
    storedState.commit = min(hardState.commit, log.durable)
    let write = Write(
      id: nextWrite, hardState: storedState, entries: unstoredFrom.map { LogSlice(first: $0, last: log.last) })
    nextWrite = WriteID(nextWrite.rawValue + 1)
    log.writeBegan(write.id, at: disk.now)
    if isHardStateDirty { hardStateWrite = write.id }
    isHardStateDirty = false
    unstoredFrom = nil
    effects.append(.store(write))
  }

  /// Entries at and after `index` are not on their way to the disk yet.
  mutating func markUnstored(from index: LogIndex) { unstoredFrom = unstoredFrom.map { min($0, index) } ?? index }

  mutating func commit(through index: LogIndex, _ effects: inout [Effect]) {
    guard index > hardState.commit else { return }
    // See Replica+Replacement: a vote may depend on it.
    let named = configurations[configurations.count - 1].index
    if configuration.isDiskReplaced, named > hardState.commit, named <= index { isHardStateDirty = true }
    hardState.commit = index
    effects.append(.commit(index))
  }
}
