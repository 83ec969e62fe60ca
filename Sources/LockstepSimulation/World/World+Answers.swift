import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepWire

// Answers on their way from a node to a client: they leave, wait to be read, and are read.

extension World {
  /// The connection over which this client calls that node.
  func sink(of client: SimulatedClient, to place: Int, life: Int) -> SimulatedSink {
    let reader = client.reader
    if let known = reader.sinks.first(where: { $0.index == place && $0.life == life }) { return known }
    let sink = SimulatedSink(world: self, reader: reader, index: place, life: life, capacity: options.clientBytes)
    reader.sinks.append(sink)
    return sink
  }

  /// An answer leaves a node. Nil when it never does.
  func leave(_ kind: FrameKind, _ bytes: [UInt8], over sink: SimulatedSink, hadRoom: Bool) -> SimulatedSink.Answer? {
    let node = nodes[sink.index]
    guard node.doom == nil, !node.disk.isProcessDead else { return nil }
    if crashOdds.reply > 0, processRandom.oneIn(crashOdds.reply) {
      node.doom = .crashAtReply
      return nil
    }
    let reply = bytes.withUnsafeBytes { kind == .batchReply ? nil : try? codec.unpackReply($0) }
    let id =
      kind == .batchReply ? bytes.withUnsafeBytes { (try? codec.unpackBatchReply($0))?.id } : reply?.id
    guard let id else {
      books.fail(.honestAnswer, "node \(sink.index + 1) answers with bytes that are no answer")
      return nil
    }
    guard let client = sink.takeCaller(id) else {
      books.fail(.answeredOnce, "node \(sink.index + 1) answers call \(id) twice, or where nobody asked")
      return nil
    }
    if let open = clients[client].awaiting(id) {
      books.check(
        .honestAnswer, (kind == .batchReply) == open.isBatch,
        "node \(sink.index + 1) answers call \(id) with another kind of answer")
    }
    let arrival = max(now + latency(), sink.lastArrival + 1)
    sink.lastArrival = arrival
    let answer = SimulatedSink.Answer(
      client: client, call: id, bytes: bytes, sent: now, arrival: arrival,
      hadRoomForMore: hadRoom && reply?.node == UInt64(sink.index + 1) && reply.map(isExhausted) == true)
    if sink.next == nil { plan(.read(sink, number: sink.planned()), in: arrival - now) }
    return answer
  }

  /// When an answer is read the books know what the command came to, and not yet when it is sent.
  func checkRoom(_ answer: SimulatedSink.Answer, of sink: SimulatedSink) {
    guard answer.hadRoomForMore, let reply = answer.bytes.withUnsafeBytes({ try? codec.unpackReply($0) }) else {
      return
    }
    books.check(
      .noAnswerLost, !isLeftOut(reply),
      "node \(sink.index + 1) leaves out the reply to call \(answer.call), and there is room for it")
  }

  /// The command was carried out, and its reply is not there: it was long, and much waited to be read already. That a
  /// session has not kept it is what the command is answered everywhere.
  func isLeftOut(_ reply: CallReply) -> Bool {
    guard isExhausted(reply) else { return false }
    if case .failure(let status)? = books.replay.outcomes[LogIndex(reply.index)]?.reply {
      return status.code != .resourceExhausted
    }
    return true
  }

  private func isExhausted(_ reply: CallReply) -> Bool {
    reply.applied == .yes && Int(reply.code) == CallStatus.Code.resourceExhausted.rawValue
  }

  /// The client reads the next answer, when it has arrived and when the client reads at all.
  func read(_ sink: SimulatedSink, _ number: Int) {
    guard number == sink.readNumber, let answer = sink.next else { return }
    let soonest = max(answer.arrival, sink.reader.stoppedUntil)
    guard soonest <= now else {
      plan(.read(sink, number: sink.planned()), in: soonest - now)
      return
    }
    sink.readNext()
    checkRoom(answer, of: sink)
    receive(answer.bytes, answer.call, answer.client)
    guard let next = sink.next else { return }
    let rate = sink.reader.bytesPerSecond
    let busy = rate == 0 ? 0 : UInt64(answer.size) * 1_000_000_000 / rate
    plan(.read(sink, number: sink.planned()), in: max(next.arrival, now + busy) - now)
  }

  /// It reads all that is there from now on.
  func readAll(_ reader: SimulatedReader) {
    reader.stoppedUntil = 0
    reader.bytesPerSecond = 0
    for sink in reader.sinks where sink.next != nil { plan(.read(sink, number: sink.planned()), in: 1_000) }
  }

  /// More waits than may: a real node closes such a connection, and so does this one. A client that reads, and waits for
  /// what it has asked, is never treated so.
  func overrun(_ sink: SimulatedSink) {
    let oldest = sink.next?.sent ?? now
    books.check(
      .noAnswerLost, now - oldest > Self.readingDelay || now < sink.reader.askedTooMuchUntil,
      "node \(sink.index + 1) closes the connection of a client that reads: \(sink.waitingBytes) bytes wait of \(sink.capacity)"
    )
    faults.count(.clientConnectionOverrun)
    tell("node \(sink.index + 1) closes a connection of client process \(sink.reader.index + 1), which does not read")
    sink.drop()
    sink.reader.sinks.removeAll { $0 === sink }
    let noticed = max(now, sink.reader.stoppedUntil) - now
    for client in clients where client.reader === sink.reader {
      guard let open = client.open, open.place == sink.index else { continue }
      plan(.reply(client: client.place, call: open.id, bytes: nil), in: noticed + latency())
    }
  }

  /// What has waited for less long may be on its way still.
  private static let readingDelay: UInt64 = 20_000_000

  /// The node is gone, and with it its connections.
  func loseCalls(to place: Int) {
    for client in clients {
      client.reader.sinks.removeAll { $0.index == place }
      if let open = client.open, open.place == place {
        plan(.reply(client: client.place, call: open.id, bytes: nil), in: latency())
      }
    }
  }

  /// Calls that have reached a node which lives on, and that it has not answered.
  var unansweredCalls: [(call: UInt64, node: Int)] {
    var found: [(call: UInt64, node: Int)] = []
    for client in clients {
      for sink in client.reader.sinks {
        if let call = sink.callers.keys.min() { found.append((call, sink.index + 1)) }
      }
    }
    return found
  }
}
