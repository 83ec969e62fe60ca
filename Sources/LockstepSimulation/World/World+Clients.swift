import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepWire

/// One client: one call under way at a time.
final class SimulatedClient {
  struct Open {
    let planned: PlannedCall
    let id: UInt64
    let place: Int
    let began: UInt64
    /// The largest index that anybody had been told of when the call began.
    let floor: LogIndex
    let header: CallHeader
  }

  let place: Int
  var open: Open?
  /// Calls that were given up, whose answers may still come: they count, and nobody waits.
  var abandoned: [UInt64: Open] = [:]
  var answered: Set<UInt64> = []
  var sinks: [(place: Int, life: Int, sink: SimulatedSink)] = []
  var isActive = false

  init(place: Int) { self.place = place }
}

extension World {
  func act(_ place: Int) {
    let client = clients[place]
    guard client.isActive, client.open == nil else { return }
    callNumber += 1
    let planned = workload.next(number: callNumber, &clientRandom)
    call(planned, by: place, at: clientRandom.below(nodes.count))
  }

  /// Sends a call to a node. The answer, if one comes, is judged when it does.
  func call(
    _ planned: PlannedCall, by place: Int, at target: Int, read: ReadLevel? = nil, timeout: UInt64? = nil
  ) {
    let client = clients[place]
    var planned = planned
    operations += 1
    var header = CallHeader(id: planned.number)
    header.timeoutMilliseconds = timeout ?? [200, 1000, 3000][clientRandom.below(3)]
    if planned.isQuery {
      let levels: [ReadLevel] = [.linearizable, .linearizable, .any, .atIndex]
      let level = read ?? levels[clientRandom.below(levels.count)]
      header.read = level.rawValue
      planned.isLinearizable = level == .linearizable
      if level == .atIndex {
        let known = Int(clamping: acknowledgedIndex.rawValue)
        header.readIndex = UInt64(max(0, known - 2 + clientRandom.below(4)))
      }
    } else {
      books.isIssued(planned.number)
    }
    Array(planned.method.utf8).withUnsafeBytes { method in
      planned.request.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    client.open = SimulatedClient.Open(
      planned: planned, id: header.id, place: target, began: now, floor: acknowledgedIndex, header: header)
    note(header.id)
    workload.began(planned, client: place, at: now)
    let bytes = codec.packed
    guard nodes[target].isUp else {
      // Refused connections are not to become a storm.
      plan(.reply(client: place, call: header.id, bytes: nil), in: 20_000_000 + latency())
      return
    }
    plan(
      .arrive(
        CallUnderWay(client: place, id: header.id, bytes: bytes), node: target, life: nodes[target].life),
      in: latency())
    // Some give up before the node does.
    let patience = header.timeoutMilliseconds * (clientRandom.oneIn(4) ? 500_000 : 2_000_000)
    plan(.giveUp(client: place, call: header.id), in: patience)
  }

  func arrive(_ call: CallUnderWay, _ place: Int, _ life: Int, _ event: Event) {
    guard isRunning(place, life, event), let node = nodes[place].node, nodes[place].doom == nil else { return }
    let client = clients[call.client]
    let sink: SimulatedSink
    if let known = client.sinks.first(where: { $0.place == place && $0.life == life }) {
      sink = known.sink
    } else {
      sink = SimulatedSink(world: self, client: call.client, place: place, life: life)
      client.sinks.append((place, life, sink))
    }
    let isTaken = call.bytes.withUnsafeBytes { bytes -> Bool in
      do throws(WireError) {
        try node.receiveCall(bytes, sink: sink)
        return true
      } catch { return false }
    }
    books.check(.honestAnswer, isTaken, "node \(place + 1) does not understand an honest call")
    planTurn(place)
    look(at: place)
  }

  /// An answer leaves a node.
  func reply(_ bytes: [UInt8], to client: Int, from place: Int) {
    let node = nodes[place]
    guard node.doom == nil, !node.disk.isProcessDead else { return }
    if crashOdds.reply > 0, processRandom.oneIn(crashOdds.reply) {
      node.doom = .crashAtReply
      return
    }
    let reply = bytes.withUnsafeBytes { try? codec.unpackReply($0) }
    guard let reply else {
      books.fail(.honestAnswer, "node \(place + 1) answers with bytes that are no answer")
      return
    }
    plan(.reply(client: client, call: reply.id, bytes: bytes), in: latency())
  }

  /// The node is gone, and with it the connection.
  func loseCalls(to place: Int) {
    for client in clients {
      if let open = client.open, open.place == place {
        plan(.reply(client: client.place, call: open.id, bytes: nil), in: latency())
      }
    }
  }

  func giveUp(_ place: Int, _ id: UInt64) {
    let client = clients[place]
    guard let open = client.open, open.id == id else { return }
    faults.count(clientRandom.oneIn(8) ? .clientDisappeared : .clientTimedOut)
    client.abandoned[id] = open
    finish(place, open, .unknown)
  }

  func receive(_ bytes: [UInt8]?, _ id: UInt64, _ place: Int) {
    let client = clients[place]
    let isOpen = client.open?.id == id
    guard let open = isOpen ? client.open : client.abandoned[id] else {
      if bytes != nil {
        books.check(.answeredOnce, !client.answered.contains(id), "call \(id) is answered twice")
      }
      return
    }
    guard let bytes, let reply = bytes.withUnsafeBytes({ try? codec.unpackReply($0) }) else {
      // The connection is lost: nobody knows. What never reached a node has had no effect.
      if isOpen {
        client.abandoned[id] = open
        finish(place, open, .unknown)
      }
      return
    }
    note(id ^ reply.index << 20 ^ UInt64(reply.code) << 56)
    client.abandoned[id] = nil
    client.answered.insert(id)
    let outcome = judge(reply, open, isInTime: isOpen)
    if isOpen { finish(place, open, outcome) }
  }

  private func finish(_ place: Int, _ open: SimulatedClient.Open, _ outcome: CallOutcome) {
    let client = clients[place]
    client.open = nil
    if outcome == .unknown { faults.count(.clientRetried) }
    watchers[open.planned.number]?.outcome = outcome
    workload.ended(open.planned, at: now, outcome)
    guard client.isActive else { return }
    let think = options.thinkTime == 0 ? 0 : UInt64(clientRandom.below(Int(2 * options.thinkTime)))
    plan(.act(client: place), in: think)
  }

  // MARK: Judgement

  private func judge(_ reply: CallReply, _ open: SimulatedClient.Open, isInTime: Bool) -> CallOutcome {
    let index = LogIndex(reply.index)
    if open.planned.isQuery {
      guard reply.code == 0 else { return .refused }
      readsAnswered += 1
      if reply.read == ReadLevel.linearizable.rawValue {
        books.check(
          .freshReads, index >= open.floor,
          "call \(open.id) reads entry \(index), and entry \(open.floor) was known when it began")
        acknowledgedIndex = max(acknowledgedIndex, index)
      }
      if reply.read == ReadLevel.atIndex.rawValue {
        books.check(
          .readAtIndex, index.rawValue >= open.header.readIndex,
          "call \(open.id) asks for entry \(open.header.readIndex) and reads entry \(index)")
      }
      if reply.read != open.header.read {
        books.fail(.honestAnswer, "call \(open.id) asks for read level \(open.header.read) and gets \(reply.read)")
      }
      if let problem = workload.judge(open.planned, at: index, answer: reply.payload) {
        books.fail(.honestAnswer, "call \(open.id), answered by node \(reply.node): \(problem)")
      }
      return .answered(reply.payload)
    }
    switch reply.applied {
    case .no:
      books.isDenied(open.planned.number)
      return .refused
    case .unknown: return .unknown
    case .yes:
      acknowledged += 1
      books.isAcknowledged(reply, open.planned.number)
      books.check(
        .freshReads, index > open.floor, "call \(open.id) becomes entry \(index), after entry \(open.floor) was known")
      acknowledgedIndex = max(acknowledgedIndex, index)
      return reply.code == 0 ? .answered(reply.payload) : .refused
    }
  }
}

extension Books {
  func isIssued(_ number: UInt64) { changeReplay { $0.isSent(number) } }

  func isDenied(_ number: UInt64) {
    if let problem = changeReplay({ $0.isDenied(number) }) { fail(problem.invariant, problem.message) }
  }

  /// An answer that says "carried out": it must be what a replay answers, at that place.
  func isAcknowledged(_ reply: CallReply, _ number: UInt64) {
    let place = Int(clamping: reply.index) - 1
    guard place >= 0, place < replay.replies.count, replay.terms[place].rawValue == reply.term else {
      fail(
        .honestAnswer,
        "command \(number) is acknowledged as entry \(reply.index) of term \(reply.term), which is not committed")
      return
    }
    if let known = replay.places[number], known.rawValue != reply.index {
      fail(.honestAnswer, "command \(number) is acknowledged as entry \(reply.index), and is entry \(known)")
    }
    let isSame =
      switch replay.replies[place] {
      case .success(let payload)?: reply.code == 0 && reply.payload == payload
      case .failure(let status)?: Int(reply.code) == status.code.rawValue
      case nil: false
      }
    check(.honestAnswer, isSame, "command \(number), entry \(reply.index), is answered otherwise than a replay does")
    let holders = reply.evidence?.holders ?? []
    check(
      .honestAnswer, reply.node != reply.leader || holders.count >= nodes.count / 2 + 1,
      "command \(number) is acknowledged by its leader with the evidence of \(holders.count) of \(nodes.count) nodes")
    for holder in holders {
      let stored = nodes[Int(clamping: holder) - 1].stored
      check(
        .honestAnswer, unreliable[Int(clamping: holder) - 1] || stored.count > place,
        "command \(number) is acknowledged with the word of node \(holder), which does not have it")
    }
  }
}
