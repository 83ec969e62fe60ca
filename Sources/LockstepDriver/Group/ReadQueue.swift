import DequeModule
import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// The queries of one group that clients wait for: arrived in this turn, waiting for an index to be confirmed, for that
/// index to be applied, or for their client to have room.
final class ReadQueue {
  private let context: NodeContext
  private var nextID: UInt64
  /// Linearizable, and no index asked for yet.
  private var arrived: [WaitingRead] = []
  /// To be answered on a lease, if there is one in the turn in which they are looked at.
  private var leased: [WaitingRead] = []
  private struct Round {
    let id: ReadID
    let asked: UInt64
    var reads: [WaitingRead]
    /// Only to know how old the state is: it has no reads.
    let isForAge: Bool
  }

  /// In order of their ids; none has no reads, but at most one for the age.
  private var confirming: Deque<Round> = []
  private let freshness = Freshness()
  /// Confirmed, their index not applied yet.
  private var waiting: [WaitingRead] = []
  /// At most the least index in `waiting`.
  private var leastWaiting = LogIndex(.max)
  /// To be answered, in this order.
  private var ready: Deque<WaitingRead> = []
  /// Asked, and the machine will answer later: looked up by the id they were asked under, and never gone through for an
  /// answer. Their deadlines are the machine's to keep. No more than the limit: their answers are in memory, whether or not
  /// their clients have room.
  private var asked: [UInt64: WaitingRead] = [:]
  private var nextQuery: UInt64 = 1
  /// Ready, but their client has much to read already.
  private var stalled = StalledReads<WaitingRead>()

  init(context: NodeContext, firstID: UInt64) {
    self.context = context
    nextID = firstID
  }

  /// Whether an index is to be asked for. What comes while one is asked for shares the next request: a request for each turn
  /// would cost a message there and back, at the leader too, for the few reads of a turn.
  var isRequestDue: Bool { (!arrived.isEmpty || freshness.isDue) && confirming.isEmpty }

  func arrive(_ request: Request, for target: ReplyTarget, deadline: UInt64) {
    let read = WaitingRead(request, target, deadline: deadline, arrivedAt: context.now)
    switch request.options.consistency {
    case .linearizable: return arrived.append(read)
    case .lease: return leased.append(read)
    case .bounded: return freshness.satisfies(bound(read), context.now) ? wait(read) : arrived.append(read)
    case .at(let asked): read.index = asked
    case .session:
      read.token = request.token?.entry
      read.index = request.token?.index ?? .zero
    case .any: break
    }
    wait(read)
  }

  /// Of a read that is to see no older state: how old it may be.
  private func bound(_ read: WaitingRead) -> UInt64? {
    guard case .bounded(let duration) = read.consistency else { return nil }
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, seconds < 1 << 33 else { return seconds < 0 ? 0 : .max }
    return UInt64(seconds) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000))
  }

  // MARK: Which index

  var areLeased: Bool { !leased.isEmpty }

  /// `commit`: up to which this node has all that is committed, at this moment, as it holds a lease. Nil: it has to ask.
  func settleLeased(at commit: LogIndex?, applied: LogIndex) {
    if let commit {
      freshness.confirmed(at: commit, asked: context.now)
      freshness.applied(applied)
      answer(leased, at: commit, applied: applied)
    } else {
      for read in leased { read.consistency = .linearizable }
      arrived.append(contentsOf: leased)
    }
    leased.removeAll(keepingCapacity: true)
  }

  /// All that have arrived share one request for an index.
  func request() -> ReadID {
    let id = ReadID(nextID)
    nextID += 1
    confirming.append(Round(id: id, asked: context.now, reads: arrived, isForAge: arrived.isEmpty))
    freshness.isSought(context.now)
    arrived = []
    arrived.reserveCapacity(confirming[0].reads.count)
    return id
  }

  func confirmed(_ id: ReadID, at index: LogIndex, applied: LogIndex) {
    guard let round = take(id) else { return }
    freshness.confirmed(at: index, asked: round.asked)
    freshness.applied(applied)
    answer(round.reads, at: index, applied: applied)
  }

  private func answer(_ reads: [WaitingRead], at index: LogIndex, applied: LogIndex) {
    guard index > applied else { return ready.append(contentsOf: reads) }
    for read in reads {
      read.index = index
      wait(read)
    }
  }

  func refused(_ id: ReadID, _ refusal: ReadRefusal, leader: NodeID?) {
    let status =
      switch refusal {
      case .noLeader:
        CallStatus(
          .unavailable,
          "no leader is known to node \(context.id), so nobody can say what is committed; "
            + "'--read any' answers from what this node has")
      case .leadershipLost:
        CallStatus(.unavailable, "the leader changed while the read was confirmed; ask again")
      case .overloaded: CallStatus(.resourceExhausted, "too many reads wait to be confirmed")
      }
    for read in take(id)?.reads ?? [] { refuse(read, aged(status, read), leader) }
  }

  private func take(_ id: ReadID) -> Round? {
    // Answers come in order, mostly.
    confirming.firstIndex { $0.id == id }.map { confirming.remove(at: $0) }
  }

  /// Whoever asked for a state that is not too old is told how old this one is.
  private func aged(_ status: CallStatus, _ read: WaitingRead) -> CallStatus {
    guard let bound = bound(read) else { return status }
    let milliseconds = freshness.age(context.now).map { Double($0 / 1000) / 1000 }
    let age = milliseconds.map { "\($0) ms old, or less" } ?? "of an age that nobody knows"
    return CallStatus(
      status.code,
      "the state of node \(context.id) is \(age), and \(bound / 1_000_000) ms were asked for: \(status.message)")
  }

  private func wait(_ read: WaitingRead) {
    waiting.append(read)
    leastWaiting = min(leastWaiting, read.index)
  }

  // MARK: Answers

  /// A client may have read what it had to: of those that wait for that, each is asked once.
  /// Returns whether there is something to answer.
  func retryStalled() -> Bool { stalled.lookForRoom() }

  /// Answers the reads whose index has been applied, up to the limit of a turn. Returns true when there are more.
  func answer(from lane: ApplyLane, leader: NodeID?, isInHistory: (EntryID) -> Bool) -> Bool {
    freshness.applied(lane.applied)
    if leastWaiting <= lane.applied { moveApplied(lane.applied) }
    if !asked.isEmpty { collect(from: lane, leader) }
    guard !ready.isEmpty || stalled.haveRoom else { return false }
    var budget = context.limits.answerBytes
    while budget > 0, mayAsk, let read = stalled.next() { budget -= answer(read, from: lane, leader, isInHistory) }
    while budget > 0, mayAsk, let read = ready.popFirst() {
      let writer = read.target.writer
      if !stalled.isWaiting(writer), writer.hasRoom {
        budget -= answer(read, from: lane, leader, isInHistory)
      } else {
        stalled.append(read, of: writer)
      }
    }
    // Where it may not ask, the next answer of the machine makes a turn.
    return mayAsk && (!ready.isEmpty || stalled.haveRoom)
  }

  private var mayAsk: Bool { asked.count < context.limits.queriesAtOnce }

  /// Another state has taken the place of the machine's, which reaches further: what the former one was asked it will never
  /// answer.
  func askAgain() {
    for read in asked.values { context.deadlines.note(read.deadline) }
    ready.append(contentsOf: asked.sorted { $0.key < $1.key }.map(\.value))
    asked = [:]
  }

  private func moveApplied(_ applied: LogIndex) {
    leastWaiting = LogIndex(.max)
    waiting.removeAll { read in
      guard read.index <= applied else {
        leastWaiting = min(leastWaiting, read.index)
        return false
      }
      ready.append(read)
      return true
    }
  }

  /// Returns the bytes of the answer.
  private func answer(
    _ read: WaitingRead, from lane: ApplyLane, _ leader: NodeID?, _ isInHistory: (EntryID) -> Bool
  ) -> Int {
    if let token = read.token, !isInHistory(token) {
      refuse(
        read,
        CallStatus(
          .failedPrecondition,
          "the token has seen entry \(token.index) of term \(token.term), which was lost with its leader: another one is in its place"
        ), leader)
      return 0
    }
    guard freshness.satisfies(bound(read), context.now) else {
      askOnce(read, leader)
      return 0
    }
    let outcome = read.withCall { call -> Outcome? in
      do throws(CallStatus) {
        guard let reply = try lane.query(call, id: nextQuery, deadline: read.deadline) else { return nil }
        return Outcome(.reply(reply), applied: .unknown, index: lane.applied, term: lane.appliedTerm)
      } catch {
        return Outcome(.failure(error), applied: .no, index: lane.applied, term: lane.appliedTerm)
      }
    }
    guard let outcome else {
      read.freshAt = freshness.time
      asked[nextQuery] = read
      nextQuery += 1
      return 0
    }
    answer(read, outcome, freshAt: freshness.time, leader)
    return outcome.bytes
  }

  /// The state is too old for it: a newer one is asked for, or there was one already, and it came too late.
  private func askOnce(_ read: WaitingRead, _ leader: NodeID?) {
    guard let asked = freshness.time, asked > read.arrivedAt else {
      context.deadlines.note(read.deadline)
      return arrived.append(read)
    }
    // Not to be tried again at once, here or elsewhere: it is the bound.
    refuse(read, aged(CallStatus(.failedPrecondition, "it takes longer to make sure of it"), read), leader)
  }

  private func answer(_ read: WaitingRead, _ outcome: Outcome, freshAt: UInt64?, _ leader: NodeID?) {
    context.ledger.giveBack(bytes: read.byteCount)
    var evidence = Evidence(node: context.id, leader: leader)
    evidence.consistency = read.consistency
    evidence.age = freshAt.map { context.now - min($0, context.now) }
    freshness.told(evidence.age, context.now)
    context.answers.write(outcome, to: read.target, evidence)
  }

  /// What the machine has found out on threads of its own.
  private func collect(from lane: ApplyLane, _ leader: NodeID?) {
    lane.collectAnswers { id, found in
      guard let read = asked.removeValue(forKey: id) else { return }
      if let bound = bound(read), context.now - min(read.freshAt ?? 0, context.now) > bound {
        // The machine took too long over it.
        return askOnce(read, leader)
      }
      let (answer, applied): (Outcome.Answer, Applied) =
        switch found.result {
        case .success(let reply): (.reply(reply), .unknown)
        case .failure(let status): (.failure(status), .no)
        }
      let outcome = Outcome(answer, applied: applied, index: found.mark.last.index, term: found.mark.last.term)
      // Its client had room when it was asked, and others of its answers have taken that: it is asked again, as what waits
      // for room must not be in memory.
      if case .success = found.result, outcome.bytes > context.limits.longReplyBytes, !read.target.writer.hasRoom {
        context.deadlines.note(read.deadline)
        return stalled.append(read, of: read.target.writer)
      }
      self.answer(read, outcome, freshAt: read.freshAt, leader)
    }
  }

  private func refuse(_ read: WaitingRead, _ status: CallStatus, _ leader: NodeID?) {
    context.ledger.giveBack(bytes: read.byteCount)
    context.answers.refuse(read.target, status, leader: leader)
  }

  // MARK: Deadlines

  /// Reads whose time is over are told so; the deadlines of the others are noted.
  /// `install`: a snapshot is on its way to this node.
  func expire(_ now: UInt64, applied: LogIndex, leader: NodeID?, _ install: InstallProgress? = nil) {
    let fetching = install.map { "a snapshot is on its way to node \(context.id), \($0.percent) % of it is here" }
    let notConfirmed = { (_: WaitingRead) in
      fetching ?? "no majority of the voters confirmed the leader in time"
    }
    expire(&arrived, now, leader, notConfirmed)
    expire(&leased, now, leader, notConfirmed)
    for position in confirming.indices { expire(&confirming[position].reads, now, leader, notConfirmed) }
    confirming.removeAll { $0.reads.isEmpty && !$0.isForAge }
    let notApplied = { (read: WaitingRead) in
      "node \(self.context.id) has applied entry \(applied), and \(read.index) was asked for"
    }
    expire(&waiting, now, leader, notApplied)
    var others = Array(ready)
    expire(&others, now, leader) { _ in "the node has more to answer than it could in time" }
    ready = Deque(others)
    stalled.change { reads in
      var some = Array(reads)
      expire(&some, now, leader) { _ in "the client's connection had no room for the answer in time" }
      reads = Deque(some)
    }
  }

  private func expire(
    _ reads: inout [WaitingRead], _ now: UInt64, _ leader: NodeID?, _ reason: (WaitingRead) -> String
  ) {
    var late: [WaitingRead] = []
    reads.removeAll { read in
      guard read.deadline <= now else {
        context.deadlines.note(read.deadline)
        return false
      }
      late.append(read)
      return true
    }
    for read in late { refuse(read, aged(CallStatus(context.lateness, reason(read)), read), leader) }
  }

  // MARK: Invariants

  /// What these reads count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    var (calls, bytes) = (0, 0)
    func count(_ reads: some Collection<WaitingRead>) {
      calls += reads.count
      for read in reads { bytes += read.byteCount }
    }
    count(arrived)
    count(leased)
    for round in confirming { count(round.reads) }
    count(waiting)
    count(ready)
    count(asked.values)
    stalled.change { count($0) }
    return (calls, bytes)
  }

  func check(applied: LogIndex, isTurnDue: Bool) {
    precondition(!isRequestDue && !areLeased || isTurnDue, "reads wait for an index, and nobody asks for one")
    precondition(confirming.allSatisfy { $0.reads.isEmpty == $0.isForAge }, "a read round for nobody")
    precondition(waiting.allSatisfy { $0.index >= leastWaiting && $0.index > applied }, "a read that could be answered")
  }
}
