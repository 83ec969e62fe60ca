import LockstepConsensus

/// One replica, its peers played by the test. Every step is a whole turn; writes wait until the test stores them. A base
/// is given as (index, term), and the terms of the log are those behind it.
struct Solo {
  private(set) var replica: Replica
  private var lastWrite: WriteID?

  init(
    _ id: UInt64 = 1, of count: UInt64 = 3, term: UInt64 = 0, vote: UInt64? = nil, commit: UInt64 = 0,
    base: (UInt64, UInt64) = (0, 0), log terms: [UInt64] = [], limits: Limits = TestCluster.smallLimits,
    members: Members? = nil, preferredLeader: UInt64? = nil,
    configurations: [(index: LogIndex, members: Members)] = []
  ) {
    var runs: [Log.TermRun] = []
    for (place, term) in terms.enumerated() where runs.last?.term != Term(term) {
      runs.append(.init(first: LogIndex(base.0 + UInt64(place) + 1), term: Term(term)))
    }
    replica = Replica(
      .init(
        id: NodeID(id), members: members ?? Members(voters: (1...count).map { NodeID($0) }),
        preferredLeader: preferredLeader.map { NodeID($0) }, limits: limits, seed: id),
      hardState: HardState(term: Term(term), vote: vote.map { NodeID($0) }, commit: LogIndex(commit)),
      log: Log(
        base: EntryID(term: Term(base.1), index: LogIndex(base.0)), runs: runs,
        last: LogIndex(base.0 + UInt64(terms.count))), configurations: configurations)
    for peer in replica.members.all where peer != replica.id { step(.linkRestored(peer)) }
  }

  /// A leader whose term began after this log; its no-op is on its disk and nowhere else.
  static func leader(
    of count: UInt64 = 3, term: UInt64 = 1, base: (UInt64, UInt64) = (0, 0), log terms: [UInt64] = [],
    limits: Limits = TestCluster.smallLimits, members: Members? = nil, preferredLeader: UInt64? = nil
  ) -> Solo {
    var solo = Solo(
      of: count, term: term - 1, base: base, log: terms, limits: limits, members: members,
      preferredLeader: preferredLeader)
    solo.campaign()
    solo.store()
    for peer in solo.replica.members.voters + solo.replica.members.outgoingVoters where peer != solo.replica.id {
      solo.receive(.vote(granted: true, term), from: peer.rawValue)
    }
    solo.store()
    return solo
  }

  var role: RoleKind { replica.role.kind }
  var term: UInt64 { replica.term.rawValue }
  var commit: UInt64 { replica.commit.rawValue }
  var last: UInt64 { replica.log.last.rawValue }

  private mutating func turn(_ body: (inout Replica, inout [Effect]) -> Void) -> [Effect] {
    var effects: [Effect] = []
    body(&replica, &effects)
    replica.step(.turnEnded, into: &effects)
    for case .store(let write) in effects { lastWrite = write.id }
    return effects
  }

  @discardableResult mutating func step(_ event: LocalEvent) -> [Effect] {
    turn { replica, effects in replica.step(event, into: &effects) }
  }

  @discardableResult mutating func receive(
    _ message: Message, entries: ReceivedEntries = .none, from peer: UInt64
  ) -> [Effect] {
    turn { replica, effects in replica.step(message, entries: entries, from: NodeID(peer), into: &effects) }
  }

  /// AppendEntries with entries of these terms behind `previous`, given as (index, term).
  @discardableResult mutating func append(
    from peer: UInt64 = 2, term: UInt64, after previous: (UInt64, UInt64) = (0, 0), _ terms: [UInt64] = [],
    commit: UInt64 = 0, round: UInt64 = 0, configurations: [(index: LogIndex, members: Members)] = []
  ) -> [Effect] {
    let first = LogIndex(previous.0 + 1)
    let request = AppendRequest(
      term: Term(term), previous: EntryID(term: Term(previous.1), index: LogIndex(previous.0)),
      entries: LogSlice(first: first, last: LogIndex(previous.0 + UInt64(terms.count))), commit: LogIndex(commit),
      readRound: round)
    let entries = ReceivedEntries(
      first: first, terms: terms.map { Term($0) }, ends: terms.indices.map { 50 * ($0 + 1) },
      configurations: configurations)
    return receive(.append(request), entries: entries, from: peer)
  }

  @discardableResult mutating func tick(_ count: Int = 1) -> [Effect] {
    var effects: [Effect] = []
    for _ in 0..<count { effects += step(.tick) }
    return effects
  }

  /// All writes reach the disk.
  @discardableResult mutating func store() -> [Effect] {
    guard let id = lastWrite else { return [] }
    lastWrite = nil
    return step(.stored(id))
  }

  /// This write, and all before it, reaches the disk.
  @discardableResult mutating func store(_ id: WriteID) -> [Effect] { step(.stored(id)) }

  /// Ticks until it asks for pre-votes; if a majority of itself is not enough, gets them.
  @discardableResult mutating func campaign() -> [Effect] {
    var effects: [Effect] = []
    while role == .follower { effects = tick() }
    for peer in replica.members.all where role == .preCandidate && peer != replica.id {
      effects += receive(.vote(granted: true, term + 1, isPreVote: true), from: peer.rawValue)
    }
    return effects
  }
}

extension Message {
  static func vote(granted: Bool, _ term: UInt64, isPreVote: Bool = false) -> Message {
    .voteReply(.init(term: Term(term), isGranted: granted, isPreVote: isPreVote))
  }

  /// A candidate's request; its log ends at (index, term).
  static func ask(
    _ term: UInt64, last: (UInt64, UInt64) = (0, 0), isPreVote: Bool = false, isTransfer: Bool = false
  ) -> Message {
    .vote(
      .init(
        term: Term(term), last: EntryID(term: Term(last.1), index: LogIndex(last.0)), isPreVote: isPreVote,
        isTransfer: isTransfer))
  }

  static func accepted(
    _ term: UInt64, _ match: UInt64, round: UInt64 = 0, isReplaying: Bool = false, room: LogRoom = .ample
  ) -> Message {
    var reply = AppendReply(term: Term(term), verdict: .accepted(match: LogIndex(match)), readRound: round)
    reply.isReplaying = isReplaying
    reply.room = room
    return .appendReply(reply)
  }

  static func rejected(
    _ term: UInt64, previous: UInt64, hint: (UInt64, UInt64) = (0, 0), round: UInt64 = 0
  ) -> Message {
    let hint = EntryID(term: Term(hint.1), index: LogIndex(hint.0))
    return .appendReply(
      .init(term: Term(term), verdict: .rejected(previous: LogIndex(previous), hint: hint), readRound: round))
  }
}

extension [Effect] {
  func sent(to peer: UInt64) -> [Message] {
    compactMap { if case .send(let message, NodeID(peer)) = $0 { message } else { nil } }
  }
  var messages: [Message] { compactMap { if case .send(let message, _) = $0 { message } else { nil } } }
  var writes: [Write] { compactMap { if case .store(let write) = $0 { write } else { nil } } }
  var commits: [UInt64] { compactMap { if case .commit(let index) = $0 { index.rawValue } else { nil } } }
  var accepted: [LogSlice] { compactMap { if case .accept(let slice) = $0 { slice } else { nil } } }
  var violations: [ProtocolViolation] {
    compactMap { if case .protocolViolation(_, let violation) = $0 { violation } else { nil } }
  }
  var divergences: [UInt64] { compactMap { if case .diverged(let index) = $0 { index.rawValue } else { nil } } }
  var loads: [LogIndex] { compactMap { if case .load(_, let from, _) = $0 { from } else { nil } } }

  /// The votes that were granted to this peer.
  func grants(to peer: UInt64) -> [UInt64] {
    sent(to: peer).compactMap {
      if case .voteReply(let reply) = $0, reply.isGranted { reply.term.rawValue } else { nil }
    }
  }
  func appends(to peer: UInt64) -> [AppendRequest] {
    sent(to: peer).compactMap { if case .append(let request) = $0 { request } else { nil } }
  }
  func replies(to peer: UInt64) -> [AppendReply] {
    sent(to: peer).compactMap { if case .appendReply(let reply) = $0 { reply } else { nil } }
  }
  /// What was acknowledged to this peer, by match index.
  func matches(to peer: UInt64) -> [UInt64] {
    replies(to: peer).compactMap { if case .accepted(let match) = $0.verdict { match.rawValue } else { nil } }
  }
}
