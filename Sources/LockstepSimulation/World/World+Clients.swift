import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepRequests
import LockstepWire

/// One client: one call under way at a time, or one batch of them.
final class SimulatedClient {
  struct Open {
    /// One, or the commands of a batch in their order.
    let planned: [PlannedCall]
    /// The first one's number.
    let id: UInt64
    let isBatch: Bool
    let place: Int
    let began: UInt64
    /// The largest index that anybody had been told of when the call began.
    let floor: LogIndex
    /// A batch has no more of it than the time-out.
    let header: CallHeader
    /// What this client had seen when the call began.
    let seen: EntryID?
  }

  let place: Int
  var open: Open?
  /// Calls that were given up, whose answers may still come: they count, and nobody waits.
  var abandoned: [UInt64: Open] = [:]
  var answered: Set<UInt64> = []
  var isActive = false
  /// The last entry of all that it was answered.
  var seen: EntryID?
  /// Planned for a batch that it does not fit in: comes next.
  var held: PlannedCall?
  /// Its calls are numbered from 1, in the session that it has opened last; 0: in none yet.
  var session: UInt64 = 0
  var lastSequence: UInt64 = 0
  /// Calls in that session that nobody has answered.
  var unanswered: [PlannedCall] = []

  /// Reads for it, and for others of the same process.
  let reader: SimulatedReader

  init(place: Int, reader: SimulatedReader) {
    self.place = place
    self.reader = reader
  }

  func sees(_ reply: CallReply) {
    let isCommitted = reply.code == 0 ? reply.ack != Acknowledgement.leader.number : reply.applied != .unknown
    guard isCommitted, reply.term > 0, reply.index > seen?.index.rawValue ?? 0 else { return }
    seen = EntryID(term: Term(reply.term), index: LogIndex(reply.index))
  }

  /// The call of this id that is not answered yet.
  func awaiting(_ id: UInt64) -> Open? { open?.id == id ? open : abandoned[id] }
}

extension World {
  func act(_ place: Int) {
    let client = clients[place]
    guard client.isActive, client.open == nil else { return }
    if let call = sessionCall(client) { return self.call(call, by: place, at: target(of: client)) }
    let first = nextCall(client)
    if options.batchesIn > 0, !first.isQuery, clientRandom.oneIn(options.batchesIn) {
      var batch = [first]
      let size = clientRandom.within(1...6)
      while batch.count < size {
        let planned = nextCall(client)
        guard !planned.isQuery, planned.method == first.method, planned.session == first.session else {
          client.held = planned
          break
        }
        batch.append(planned)
      }
      call(batch: batch, by: place, at: target(of: client))
    } else {
      call(first, by: place, at: target(of: client))
    }
  }

  private func target(of client: SimulatedClient) -> Int {
    if let favorite = client.reader.favorite, !clientRandom.oneIn(4) { return favorite }
    return clientRandom.below(nodes.count)
  }

  private func nextCall(_ client: SimulatedClient) -> PlannedCall {
    if let held = client.held {
      client.held = nil
      return held
    }
    callNumber += 1
    var planned = workload.next(number: callNumber, &clientRandom)
    if !planned.isQuery, client.session != 0 {
      client.lastSequence += 1
      (planned.session, planned.sequence) = (client.session, client.lastSequence)
    }
    return planned
  }

  /// What a client with a session does before it makes its next call: opens one, sends again what was not answered, asks
  /// what became of it, and once in a while begins anew.
  private func sessionCall(_ client: SimulatedClient) -> PlannedCall? {
    guard options.sessionsIn > 0, client.place.isMultiple(of: options.sessionsIn), client.held == nil else {
      return nil
    }
    if client.session == 0 {
      return clientRandom.oneIn(2) ? call(ofSessions: "Open", [[0, 0, 2_000, 20_000][clientRandom.below(4)]]) : nil
    }
    if let again = client.unanswered.first, clientRandom.oneIn(2) {
      client.unanswered.removeFirst()
      if clientRandom.oneIn(4) { return call(ofSessions: "Resolve", [again.session, again.sequence]) }
      faults.count(.clientSentAgain)
      return again
    }
    guard clientRandom.oneIn(60) else { return nil }
    if clientRandom.oneIn(2) { return call(ofSessions: "KeepAlive", [client.session]) }
    let session = client.session
    client.session = 0
    return clientRandom.oneIn(2) ? call(ofSessions: "Close", [session]) : nil
  }

  private func call(ofSessions method: String, _ numbers: [UInt64]) -> PlannedCall {
    callNumber += 1
    return PlannedCall(
      number: callNumber, method: "\(SessionCall.service)/\(method)", request: SessionCall.message(numbers),
      isQuery: false)
  }

  /// What the answer to a call means for its client's session.
  private func note(_ planned: PlannedCall, _ outcome: CallOutcome, _ reply: CallReply?, _ client: SimulatedClient) {
    if planned.method == "\(SessionCall.service)/Open" {
      guard case .answered = outcome, let reply else { return }
      (client.session, client.lastSequence, client.unanswered) = (reply.index, 0, [])
    } else if planned.session != 0, planned.session == client.session {
      if let reply, reply.code == CallStatus.Code.failedPrecondition.rawValue { client.session = 0 }
      guard outcome == .unknown, planned.sendings < 4 else { return }
      var again = planned
      again.sendings += 1
      client.unanswered.append(again)
    }
  }

  /// Sends a call to a node. The answer, if one comes, is judged when it does.
  func call(
    _ planned: PlannedCall, by place: Int, at target: Int, read: Consistency? = nil, timeout: UInt64? = nil
  ) {
    var planned = planned
    operations += 1
    var header = CallHeader(id: planned.number)
    if planned.sendings > 0 {
      callNumber += 1
      header.id = callNumber
    }
    (header.session, header.sequence) = (planned.session, planned.sequence)
    header.timeoutMilliseconds = timeout ?? drawnTimeout()
    if planned.isQuery {
      let bound = Duration.milliseconds(clientRandom.below(2) * clientRandom.below(3_000))
      let usual: [Consistency] = [
        .linearizable, .linearizable, .linearizable, .any, .at(0), .session, .bounded(bound),
      ]
      let levels = options.driver.leaseTime > 0 ? usual + [.lease, .lease, .lease] : usual
      let level = read ?? levels[clientRandom.below(levels.count)]
      header.read = level.number
      planned.isLinearizable = level == .linearizable || level == .lease
      if case .at = level {
        let known = Int(clamping: acknowledgedIndex.rawValue)
        header.readIndex = UInt64(max(0, known - 2 + clientRandom.below(4)))
      }
      if case .session = level, let seen = clients[place].seen {
        let incarnation = Codec.incarnation(cluster: cluster)
        header.token = Codec.bytes(
          ReadToken(group: group.rawValue, incarnation: incarnation, term: seen.term, index: seen.index))
      }
      if case .bounded(let bound) = level { header.readBoundMilliseconds = UInt64(bound / .milliseconds(1)) }
    } else {
      books.isIssued(planned.number)
      let level = drawnLevel()
      (header.ack, header.voters) = (level.number, level.voters)
    }
    Array(planned.method.utf8).withUnsafeBytes { method in
      planned.request.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    send([planned], isBatch: false, header, by: place, at: target)
  }

  /// Sends commands of one method to a node in one frame.
  func call(batch planned: [PlannedCall], by place: Int, at target: Int) {
    operations += planned.count
    batches += 1
    var header = CallHeader(id: planned[0].number)
    header.timeoutMilliseconds = drawnTimeout()
    let level = drawnLevel()
    (header.ack, header.voters) = (level.number, level.voters)
    for call in planned { books.isIssued(call.number) }
    Array(planned[0].method.utf8).withUnsafeBytes { method in
      var batch = BatchHeader(
        id: header.id, timeoutMilliseconds: header.timeoutMilliseconds, ack: header.ack, voters: header.voters)
      (batch.session, batch.firstSequence) = (planned[0].session, planned[0].sequence)
      codec.pack(batch, method: method, payloads: planned.map(\.request))
    }
    send(planned, isBatch: true, header, by: place, at: target)
  }

  private func drawnLevel() -> Acknowledgement {
    guard options.levelsIn > 0, clientRandom.oneIn(options.levelsIn) else { return .quorum }
    let levels: [Acknowledgement] = [.leader, .leader, .all, .applied, .voters(clientRandom.within(1...nodes.count))]
    return levels[clientRandom.below(levels.count)]
  }

  private func drawnTimeout() -> UInt64 { [200, 1000, 3000][clientRandom.below(3)] }

  /// Sends what was packed last.
  private func send(
    _ planned: [PlannedCall], isBatch: Bool, _ header: CallHeader, by place: Int, at target: Int
  ) {
    clients[place].open = SimulatedClient.Open(
      planned: planned, id: header.id, isBatch: isBatch, place: target, began: now, floor: acknowledgedIndex,
      header: header, seen: clients[place].seen)
    note(header.id)
    tell(
      "client \(place + 1) asks node \(target + 1): call \(header.id), \(planned.map { $0.isQuery ? "a query" : "a command" }.joined(separator: ", "))"
    )
    for call in planned where call.sendings == 0 { workload.began(call, client: place, at: now) }
    let bytes = codec.packed
    guard nodes[target].isUp else {
      // Refused connections are not to become a storm.
      plan(.reply(client: place, call: header.id, bytes: nil), in: 20_000_000 + latency())
      return
    }
    plan(
      .arrive(
        CallUnderWay(client: place, id: header.id, isBatch: isBatch, bytes: bytes), node: target,
        life: nodes[target].life),
      in: latency())
    plan(.giveUp(client: place, call: header.id), in: patience(of: clients[place], header))
  }

  /// Some give up before the node does. Of those that read nothing, some do not wait for anything either, and go on
  /// asking.
  private func patience(of client: SimulatedClient, _ header: CallHeader) -> UInt64 {
    if floods(client) {
      return 5_000_000 + UInt64(clientRandom.below(30_000_000))
    }
    return header.timeoutMilliseconds * (clientRandom.oneIn(4) ? 500_000 : 2_000_000)
  }

  private func floods(_ client: SimulatedClient) -> Bool {
    client.reader.stoppedUntil > now && client.reader.goesOnCalling
  }

  func arrive(_ call: CallUnderWay, _ place: Int, _ life: Int, _ event: Event) {
    guard isRunning(place, life, event), let node = nodes[place].node, nodes[place].doom == nil else { return }
    let sink = sink(of: clients[call.client], to: place, life: life)
    sink.expect(call.id, from: call.client)
    let isTaken = call.bytes.withUnsafeBytes { bytes -> Bool in
      do throws(WireError) {
        return try codec.deliver(call.isBatch ? .batch : .call, bytes, replies: sink.replies, to: node)
      } catch { return false }
    }
    books.check(.honestAnswer, isTaken, "node \(place + 1) does not understand an honest call")
    planTurn(place)
    look(at: place)
  }

  func giveUp(_ place: Int, _ id: UInt64) {
    let client = clients[place]
    guard let open = client.open, open.id == id else { return }
    tell("client \(place + 1) waits no longer for call \(id)")
    faults.count(clientRandom.oneIn(8) ? .clientDisappeared : .clientTimedOut)
    client.abandoned[id] = open
    finish(place, open, nil)
  }

  func receive(_ bytes: [UInt8]?, _ id: UInt64, _ place: Int) {
    let client = clients[place]
    let isOpen = client.open?.id == id
    guard let open = client.awaiting(id) else {
      if bytes != nil {
        books.check(.answeredOnce, !client.answered.contains(id), "call \(id) is answered twice")
      }
      return
    }
    guard let bytes, let replies = replies(bytes, to: open) else {
      // The connection is lost: nobody knows. What never reached a node has had no effect.
      if isOpen {
        client.abandoned[id] = open
        finish(place, open, nil)
      }
      return
    }
    tell(
      "client \(place + 1) is answered call \(id): \(replies.map { "code \($0.code), index \($0.index), \($0.applied)" }.joined(separator: "; "))"
    )
    for reply in replies { note(id ^ reply.index << 20 ^ UInt64(reply.code) << 56) }
    client.abandoned[id] = nil
    client.answered.insert(id)
    let outcomes = zip(replies, open.planned).map { judge($0, $1, open) }
    for reply in replies { client.sees(reply) }
    if isOpen { finish(place, open, outcomes, replies) }
  }

  /// The answer to each call; nil when these bytes are none.
  private func replies(_ bytes: [UInt8], to open: SimulatedClient.Open) -> [CallReply]? {
    guard open.isBatch else { return bytes.withUnsafeBytes { try? codec.unpackReply($0) }.map { [$0] } }
    guard let batch = bytes.withUnsafeBytes({ try? codec.unpackBatchReply($0) }) else { return nil }
    return open.planned.indices.map { place in
      var reply = CallReply(id: open.planned[place].number)
      (reply.node, reply.leader, reply.ack) = (batch.node, batch.leader, batch.ack)
      guard batch.code == 0 else {
        (reply.code, reply.message, reply.applied) = (batch.code, batch.message, batch.applied)
        return reply
      }
      guard place < batch.results.count, batch.results.count == open.planned.count else {
        books.fail(
          .honestAnswer, "batch \(open.id) of \(open.planned.count) is answered with \(batch.results.count) results")
        return reply
      }
      let result = batch.results[place]
      (reply.code, reply.message, reply.payload) = (result.code, result.message, result.payload)
      (reply.index, reply.term, reply.applied) = (result.index, result.term, result.applied)
      // Who holds the last of them holds those before.
      if let evidence = batch.evidence, result.index <= evidence.index { reply.evidence = evidence }
      // Some of them may have been answered when they were carried out.
      if batch.ack == Acknowledgement.leader.number, reply.code == 0, reply.payload.isEmpty { reply.applied = .unknown }
      return reply
    }
  }

  /// Without outcomes nobody knows.
  private func finish(
    _ place: Int, _ open: SimulatedClient.Open, _ outcomes: [CallOutcome]?, _ replies: [CallReply]? = nil
  ) {
    let client = clients[place]
    client.open = nil
    for (place, planned) in open.planned.enumerated() {
      let outcome = outcomes?[place] ?? .unknown
      if outcome == .unknown { faults.count(.clientRetried) }
      note(planned, outcome, replies?[place], client)
      watchers[planned.number]?.outcome = outcome
      if planned.sendings == 0 { workload.ended(planned, at: now, outcome) }
    }
    guard client.isActive else { return }
    plan(.act(client: place), in: pause(of: client))
  }

  /// Calls come in bursts: what a seed can show lies in calls that overlap, with each other and with faults, and not in
  /// how many of them there are.
  private func pause(of client: SimulatedClient) -> UInt64 {
    let think = options.thinkTime == 0 ? 0 : UInt64(clientRandom.below(Int(2 * options.thinkTime)))
    guard options.restTime > 0, !areHurried, !floods(client), clientRandom.oneIn(options.callsInBurst) else {
      return think
    }
    return think + UInt64(clientRandom.below(Int(2 * options.restTime)))
  }
}
