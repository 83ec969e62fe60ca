import DequeModule
import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// The queries of one group that clients wait for: arrived in this turn, waiting for an index to be confirmed, for that
/// index to be applied, or for their client to have room.
final class ReadQueue {
  private struct Read {
    let target: ReplyTarget
    let consistency: Consistency
    let deadline: UInt64
    let method: [UInt8]
    let payload: [UInt8]
    /// The state that it must see.
    var index: LogIndex

    var bytes: Int { method.count + payload.count }
  }

  private let context: NodeContext
  private var nextID: UInt64
  /// Linearizable, and no index asked for yet.
  private var arrived: [Read] = []
  /// In order of their ids; none is empty.
  private var confirming: Deque<(id: ReadID, reads: [Read])> = []
  /// Confirmed, their index not applied yet.
  private var waiting: [Read] = []
  /// At most the least index in `waiting`.
  private var leastWaiting = LogIndex(.max)
  /// To be answered, in this order.
  private var ready: Deque<Read> = []
  /// Asked, and the machine will answer later: looked up by the id they were asked under, and never gone through for an
  /// answer. Their deadlines are the machine's to keep. No more than the limit: their answers are in memory, whether or not
  /// their clients have room.
  private var asked: [UInt64: Read] = [:]
  private var nextQuery: UInt64 = 1
  /// Ready, but their client has much to read already.
  private var stalled = StalledReads<Read>()

  init(context: NodeContext, firstID: UInt64) {
    self.context = context
    nextID = firstID
  }

  /// Whether an index is to be asked for. What comes while one is asked for shares the next request: a request for each turn
  /// would cost a message there and back, at the leader too, for the few reads of a turn.
  var isRequestDue: Bool { !arrived.isEmpty && confirming.isEmpty }

  func arrive(_ request: Request, for target: ReplyTarget, deadline: UInt64) {
    var index = LogIndex.zero
    if case .at(let asked) = request.options.consistency { index = asked }
    let read = Read(
      target: target, consistency: request.options.consistency, deadline: deadline,
      method: [UInt8](request.method), payload: [UInt8](request.payloads[0]), index: index)
    if read.consistency == .linearizable { arrived.append(read) } else { wait(read) }
  }

  // MARK: Which index

  /// All that have arrived share one request for an index.
  func request() -> ReadID {
    let id = ReadID(nextID)
    nextID += 1
    confirming.append((id, arrived))
    arrived = []
    arrived.reserveCapacity(confirming[0].reads.count)
    return id
  }

  func confirmed(_ id: ReadID, at index: LogIndex, applied: LogIndex) {
    let reads = take(id)
    guard index > applied else { return ready.append(contentsOf: reads) }
    for var read in reads {
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
    for read in take(id) { refuse(read, status, leader) }
  }

  private func take(_ id: ReadID) -> [Read] {
    // Answers come in order, mostly.
    guard let position = confirming.firstIndex(where: { $0.id == id }) else { return [] }
    return confirming.remove(at: position).reads
  }

  private func wait(_ read: Read) {
    waiting.append(read)
    leastWaiting = min(leastWaiting, read.index)
  }

  // MARK: Answers

  /// A client may have read what it had to: of those that wait for that, each is asked once.
  /// Returns whether there is something to answer.
  func retryStalled() -> Bool { stalled.lookForRoom() }

  /// Answers the reads whose index has been applied, up to the limit of a turn. Returns true when there are more.
  func answer(from lane: ApplyLane, leader: NodeID?) -> Bool {
    if leastWaiting <= lane.applied { moveApplied(lane.applied) }
    if !asked.isEmpty { collect(from: lane, leader) }
    guard !ready.isEmpty || stalled.haveRoom else { return false }
    var budget = context.limits.answerBytes
    while budget > 0, mayAsk, let read = stalled.next() { budget -= answer(read, from: lane, leader) }
    while budget > 0, mayAsk, let read = ready.popFirst() {
      let writer = read.target.writer
      if !stalled.isWaiting(writer), writer.hasRoom {
        budget -= answer(read, from: lane, leader)
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
  private func answer(_ read: Read, from lane: ApplyLane, _ leader: NodeID?) -> Int {
    let outcome = read.method.withUnsafeBytes { method in
      read.payload.withUnsafeBytes { payload -> Outcome? in
        do throws(CallStatus) {
          let call = MethodCall(method: method, request: payload)
          guard let reply = try lane.query(call, id: nextQuery, deadline: read.deadline) else { return nil }
          return Outcome(.reply(reply), applied: .unknown, index: lane.applied, term: lane.appliedTerm)
        } catch {
          return Outcome(
            .failure(error), applied: .no, index: lane.applied, term: lane.appliedTerm)
        }
      }
    }
    guard let outcome else {
      asked[nextQuery] = read
      nextQuery += 1
      return 0
    }
    answer(read, outcome, leader)
    return outcome.bytes
  }

  private func answer(_ read: Read, _ outcome: Outcome, _ leader: NodeID?) {
    context.ledger.giveBack(bytes: read.bytes)
    var evidence = Evidence(node: context.id, leader: leader)
    evidence.consistency = read.consistency
    context.answers.write(outcome, to: read.target, evidence)
  }

  /// What the machine has found out on threads of its own.
  private func collect(from lane: ApplyLane, _ leader: NodeID?) {
    lane.collectAnswers { id, found in
      guard let read = asked.removeValue(forKey: id) else { return }
      let (answer, applied): (Outcome.Answer, Applied) =
        switch found.result {
        case .success(let reply): (.reply(reply), .unknown)
        case .failure(let status): (.failure(status), .no)
        }
      let outcome = Outcome(answer, applied: applied, index: found.mark.last.index, term: found.mark.last.term)
      // Its client had room when it was asked, and others of its answers have taken that: it is asked again, as what waits
      // for room must not be in memory.
      if case .success = found.result, outcome.bytes > context.limits.longReplyBytes, !read.target.writer.hasRoom {
        return stalled.append(read, of: read.target.writer)
      }
      self.answer(read, outcome, leader)
    }
  }

  private func refuse(_ read: Read, _ status: CallStatus, _ leader: NodeID?) {
    context.ledger.giveBack(bytes: read.bytes)
    context.answers.refuse(read.target, status, leader: leader)
  }

  // MARK: Deadlines

  /// Reads whose time is over are told so; the deadlines of the others are noted.
  func expire(_ now: UInt64, applied: LogIndex, leader: NodeID?) {
    let notConfirmed = { (_: Read) in "no majority of the voters confirmed the leader in time" }
    expire(&arrived, now, leader, notConfirmed)
    for position in confirming.indices { expire(&confirming[position].reads, now, leader, notConfirmed) }
    confirming.removeAll { $0.reads.isEmpty }
    let notApplied = { (read: Read) in
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
    _ reads: inout [Read], _ now: UInt64, _ leader: NodeID?, _ reason: (Read) -> String
  ) {
    var late: [Read] = []
    reads.removeAll { read in
      guard read.deadline <= now else {
        context.deadlines.note(read.deadline)
        return false
      }
      late.append(read)
      return true
    }
    for read in late { refuse(read, CallStatus(context.lateness, reason(read)), leader) }
  }

  // MARK: Invariants

  /// What these reads count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    var (calls, bytes) = (0, 0)
    func count(_ reads: some Collection<Read>) {
      calls += reads.count
      for read in reads { bytes += read.bytes }
    }
    count(arrived)
    for round in confirming { count(round.reads) }
    count(waiting)
    count(ready)
    count(asked.values)
    stalled.change { count($0) }
    return (calls, bytes)
  }

  func check(applied: LogIndex, isTurnDue: Bool) {
    precondition(!isRequestDue || isTurnDue, "reads wait for an index, and nobody asks for one")
    precondition(confirming.allSatisfy { !$0.reads.isEmpty }, "a read round for nobody")
    precondition(waiting.allSatisfy { $0.index >= leastWaiting && $0.index > applied }, "a read that could be answered")
  }
}
