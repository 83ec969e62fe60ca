import LockstepConsensus
import LockstepDriver
import LockstepPeers
import LockstepStorage
import LockstepTransport
import LockstepWire

// What is between the nodes: connections, the handshake, and all that can happen to bytes.

extension World {
  func latency() -> UInt64 {
    var time = network.latency + UInt64(networkRandom.below(Int(network.latency) * 3))
    if inject(network.delayed, .messageDelayed) { time += UInt64(networkRandom.below(30_000_000)) }
    if inject(network.delayedLong, .messageDelayedLong) { time += UInt64(networkRandom.below(2_000_000_000)) }
    return time
  }

  func inject(_ odds: Int, _ kind: FaultKind) -> Bool {
    guard odds > 0, networkRandom.oneIn(odds) else { return false }
    faults.count(kind)
    return true
  }

  func pair(_ from: Int, _ to: Int) -> Int { from * nodes.count + to }
  func isReachable(_ from: Int, _ to: Int) -> Bool { !blocked[pair(from, to)] && !blocked[pair(to, from)] }

  // MARK: Handshake

  func planDial(from: Int, to: Int, at soonest: UInt64 = 50_000_000) {
    plan(
      .dial(from: from, to: to, life: nodes[from].life),
      in: soonest + UInt64(networkRandom.below(Int(soonest))))
  }

  func dial(_ from: Int, _ to: Int) {
    guard nodes[from].links.outgoing[to] == nil, let identity = nodes[from].identity else { return }
    guard nodes[to].isUp, isReachable(from, to) else {
      planDial(from: from, to: to)
      return
    }
    connectionsMade += 1
    let (handshake, hello) = Handshake.dialing(NodeID(UInt64(to + 1)), as: identity)
    let connection = SimulatedConnection(
      from: from, to: to, fromLife: nodes[from].life, toLife: nodes[to].life, number: connectionsMade,
      dialer: handshake, maximumFrameLength: PeerFrame.maximumLength, capacity: options.linkBytes, memory: memory,
      receive: { [unowned self] in self.take($1, $2, over: $0) })
    connections.append(connection)
    say(hello, connection)
    plan(.handshakeDue(connection), in: 1_000_000_000)
  }

  /// Words may never come through, a length that was changed on the way above all: whoever has dialed gives up then.
  func endHandshake(_ connection: SimulatedConnection) {
    guard isAlive(connection), nodes[connection.from].links.outgoing[connection.to] !== connection else { return }
    close(connection)
  }

  private func say(_ word: Handshake.Word, _ connection: SimulatedConnection) {
    let kind = word.pack(codec)
    codec.packed.withUnsafeBytes {
      SimulatedConnection.append(
        kind.rawValue, $0, UnsafeRawBufferPointer(start: nil, count: 0), to: &connection.outbound)
    }
    flush(connection)
  }

  private func isAlive(_ connection: SimulatedConnection) -> Bool {
    !connection.isClosed && nodes[connection.from].life == connection.fromLife
      && nodes[connection.to].life == connection.toLife
  }

  /// A frame has arrived whole.
  private func take(_ kind: UInt8, _ payload: UnsafeRawBufferPointer, over connection: SimulatedConnection) {
    let place = connection.to
    guard !connection.isClosed, nodes[place].doom == nil, let simulated = nodes[place].node else { return }
    do throws(WireError) {
      guard let kind = FrameKind(rawValue: kind) else { throw WireError("an unexpected frame") }
      if connection.isEstablished {
        let from = NodeID(UInt64(connection.from + 1))
        try codec.deliver(kind, payload, from: from, replies: nodes[place].replies(to: from, in: self), to: simulated)
        return
      }
      guard let identity = nodes[place].identity else { return }
      guard let word = try Handshake.Word(kind, payload, codec) else { throw WireError("no word of a handshake") }
      var handshake = connection.acceptor ?? Handshake(accepting: identity)
      let actions = handshake.received(word, freshMemory(place))
      connection.acceptor = handshake
      carryOut(actions, at: place, connection)
    } catch { close(connection) }
  }

  /// The other node's answer has come back to the one that has dialed.
  func welcome(_ connection: SimulatedConnection, _ event: Event) {
    guard isAlive(connection), isRunning(connection.from, connection.fromLife, event), !connection.answers.isEmpty
    else { return }
    let word = connection.answers.removeFirst()
    let actions = connection.dialer?.received(word, freshMemory(connection.from))
    carryOut(actions ?? [], at: connection.from, connection)
    look(at: connection.from)
  }

  private func carryOut(_ actions: [Handshake.Action], at place: Int, _ connection: SimulatedConnection) {
    for action in actions {
      switch action {
      case .say(let word):
        if place == connection.from {
          say(word, connection)
        } else {
          connection.answers.append(word)
          plan(.welcome(connection), in: latency())
        }
      case .remember(let other):
        guard remember(other, at: place) else { return close(connection) }
        let next = place == connection.from ? connection.dialer?.remembered() : connection.acceptor?.remembered()
        carryOut(next ?? [], at: place, connection)
      case .establish(let other): establish(connection, with: other, at: place)
      case .close(let ending):
        switch ending {
        case .refused(let refusal):
          refused(refusal, at: place)
          // The other end closes it, when it has heard why; or it ends as a handshake does that comes to nothing.
          if !connection.isEstablished { continue }
        case .refusedByOther(_, let isForDisk):
          guard isForDisk else { break }
          let other = place == connection.from ? connection.to : connection.from
          nodes[place].node?.diskRefused(by: NodeID(UInt64(other + 1)), true)
          planTurn(place)
        }
        close(connection)
      }
    }
  }

  private func establish(_ connection: SimulatedConnection, with other: PeerIdentity, at place: Int) {
    let disk = MemberDisk(node: other.node, disk: other.disk)
    nodes[place].node?.diskRefused(by: other.node, false)
    if place == connection.to {
      connection.dialerDisk = disk
      for other in connections
      where other !== connection && other.from == connection.from && other.to == connection.to { close(other) }
      connection.isEstablished = true
      return
    }
    connection.acceptorDisk = disk
    nodes[place].links.outgoing[connection.to] = connection
    nodes[place].node?.linkChanged(NodeID(UInt64(connection.to + 1)), isUp: true)
    planTurn(place)
  }

  /// Nobody whose disk keeps what it has promised is ever refused.
  private func refused(_ refusal: PeerRefusal, at place: Int) {
    tell("node \(place + 1) refuses: \(refusal)")
    // That the former one is gone is not known everywhere at once.
    let isInTime = if case .stillConnected = refusal { true } else { false }
    let isExplained = isInTime || nodes.contains { $0.isUnreliable }
    books.check(.soundIsAdmitted, isExplained, "node \(place + 1) refuses a sound node: \(refusal)")
  }

  // MARK: What is remembered of peers

  /// The other end of a connection is who it was, and is remembered durably.
  private func remember(_ other: PeerIdentity, at place: Int) -> Bool {
    let simulated = nodes[place]
    if other.isDiskReplaced { simulated.node?.diskReplaced(MemberDisk(node: other.node, disk: other.disk)) }
    simulated.memory.remember(other)
    do throws(StorageError) {
      try simulated.directory?.store(peers: simulated.memory.peers)
      return true
    } catch {
      // Who cannot be remembered is not let in, and tries again.
      if case .outOfSpace = error { return false }
      simulated.node?.diskFailed(error)
      return false
    }
  }

  /// With what this node knows as a leader of how far others have acknowledged.
  private func freshMemory(_ place: Int) -> PeerMemory {
    noteAcknowledged(place)
    let outgoing = nodes[place].links.outgoing.compactMap { $0?.acceptorDisk }
    let accepted = connections.filter { $0.to == place && $0.isEstablished && !$0.isClosed }.compactMap(\.dialerDisk)
    nodes[place].memory.present = PeerMemory.Present(
      connected: outgoing + accepted, named: nodes[place].node?.namedDisks ?? [])
    return nodes[place].memory
  }

  /// As a real node does now and then: the write is not synced, and nothing depends on its coming about.
  func noteAcknowledged(_ place: Int) {
    let simulated = nodes[place]
    guard let node = simulated.node, !node.hasFailed else { return }
    simulated.memory.noteNotLeading(group)
    guard let known = node.leaderKnowledge.first?.knowledge else { return }
    var isNews = false
    for match in known.matches {
      isNews =
        simulated.memory.noteAcknowledged(
          match.node, group: group, term: known.term, match: match.index, commit: known.commit) || isNews
    }
    guard isNews else { return }
    // The process may die in this write: who keeps the books learns first what is called committed here.
    books.look(at: place, node)
    do throws(StorageError) { try simulated.directory?.store(acknowledged: simulated.memory.acknowledged) } catch {
      tell("node \(place + 1) cannot store what others have acknowledged: \(error)")
    }
  }

  /// The receiver hangs up; the sender learns it.
  func close(_ connection: SimulatedConnection) {
    guard !connection.isClosed else { return }
    connection.isClosed = true
    connection.forget()
    connections.removeAll { $0 === connection }
    plan(.hangUp(connection), in: latency())
  }

  /// TCP sends again for a while; where the way is still blocked after that, it gives up.
  func tireOf(_ connection: SimulatedConnection, _ event: Event) {
    if !isReachable(connection.from, connection.to) { hangUp(connection, event) }
  }

  func hangUp(_ connection: SimulatedConnection, _ event: Event) {
    let (from, to) = (connection.from, connection.to)
    guard isRunning(from, connection.fromLife, event), let node = nodes[from].node else { return }
    connection.isClosed = true
    connections.removeAll { $0 === connection }
    if nodes[from].links.outgoing[to] === connection {
      nodes[from].links.outgoing[to] = nil
      node.linkChanged(NodeID(UInt64(to + 1)), isUp: false)
      planTurn(from)
      look(at: from)
    }
    planDial(from: from, to: to)
  }

  // MARK: Bytes

  /// Hands over one frame, which is a message of the core, or something else.
  func send(
    _ kind: FrameKind, _ message: Message?, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer,
    over connection: SimulatedConnection
  ) -> LinkResult {
    let from = connection.from
    guard nodes[from].doom == nil, !nodes[from].disk.isProcessDead else { return .notConnected }
    guard connection.fits(Frame.headerLength + header.count + body.count) else {
      faults.count(.linkFull)
      return .full
    }
    if let message {
      books.isSent(message, by: from, to: NodeID(UInt64(connection.to + 1)))
      if kind == .vote || kind == .voteReply { tell("node \(from + 1) to node \(connection.to + 1): \(message)") }
    }
    if crashOdds.send > 0, processRandom.oneIn(crashOdds.send) {
      nodes[from].doom = .crashAtSend
      return .notConnected
    }
    note(UInt64(kind.rawValue) << 8 | UInt64(header.count + body.count) << 16 | UInt64(from))
    if inject(network.lost, .messageLost) { return .sent }
    guard network.meddles else {
      SimulatedConnection.append(kind.rawValue, header, body, to: &connection.outbound)
      checkMemory(of: connection)
      return .sent
    }
    var frame: [UInt8] = []
    SimulatedConnection.append(kind.rawValue, header, body, to: &frame)
    let place = pair(from, connection.to)
    if network.replayed > 0, kind != .forward, kind != .forwardReply {
      if oldFrames[place].count < 16 {
        oldFrames[place].append(frame)
      } else {
        oldFrames[place][networkRandom.below(16)] = frame
      }
      let old = oldFrames[place][networkRandom.below(oldFrames[place].count)]
      if connection.fits(old.count + frame.count), inject(network.replayed, .messageReplayed) {
        connection.outbound += old
      }
    }
    if !connection.outbound.isEmpty, inject(network.reordered, .messageReordered) {
      connection.outbound = frame + connection.outbound
    } else {
      connection.outbound += frame
    }
    // A call that is passed on twice would be carried out twice: TCP does not do that, and the drivers rely on it.
    if kind != .forward, connection.fits(frame.count), inject(network.duplicated, .messageDuplicated) {
      connection.outbound += frame
    }
    checkMemory(of: connection)
    return .sent
  }

  private func checkMemory(of connection: SimulatedConnection) {
    let (from, to) = (connection.from + 1, connection.to + 1)
    books.check(
      .boundedMemory, connection.outbound.count + connection.bytesUnderWay <= connection.capacity,
      "the link from node \(from) to node \(to) holds more than \(connection.capacity) bytes")
  }

  func flush(_ connection: SimulatedConnection) {
    var bytes: [UInt8] = []
    swap(&bytes, &connection.outbound)
    connection.bytesUnderWay += bytes.count
    // It has died in the middle of this turn: what it had not handed over yet is lost.
    guard nodes[connection.from].doom == nil else { return }
    guard !blocked[pair(connection.from, connection.to)] else {
      connection.held.append(bytes)
      return
    }
    transmit(bytes, over: connection)
  }

  func transmit(_ bytes: [UInt8], over connection: SimulatedConnection) {
    var bytes = bytes
    if network.flipped > 0, inject(network.flipped, .byteFlippedInFlight) {
      let bit = networkRandom.below(8 * bytes.count)
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    }
    if network.resetInFrame > 0, inject(network.resetInFrame, .connectionResetInFrame) {
      arrive(Array(bytes.prefix(networkRandom.below(bytes.count))), over: connection)
      connection.isReset = true
      return
    }
    if network.pieces > 0, inject(network.pieces, .bytesInPieces) {
      var start = 0
      while start < bytes.count {
        let end = min(bytes.count, start + 1 + networkRandom.below(40))
        arrive(Array(bytes[start..<end]), over: connection)
        start = end
      }
      return
    }
    arrive(bytes, over: connection)
  }

  private func arrive(_ bytes: [UInt8], over connection: SimulatedConnection) {
    var time = max(now + latency(), connection.lastArrival + 1)
    let rate = bandwidth[pair(connection.from, connection.to)]
    if rate > 0 {
      connection.freeAt = max(now, connection.freeAt) + UInt64(bytes.count) * 1_000_000_000 / rate
      time = max(time, connection.freeAt)
    }
    if connection.lastArrival > now, inject(network.coalesced, .bytesCoalesced) { time = connection.lastArrival }
    connection.lastArrival = time
    agenda.add(.deliver(connection, bytes), at: time)
  }

  func deliver(_ bytes: [UInt8], over connection: SimulatedConnection, _ event: Event) {
    if connection.isHalfOpen, nodes[connection.to].isUp, !nodes[connection.to].isPaused {
      // The system of a machine that is back knows nothing of this connection, and says so.
      connection.isHalfOpen = false
      plan(.hangUp(connection), in: latency())
    }
    guard !connection.isClosed, isRunning(connection.to, connection.toLife, event) else { return }
    note(UInt64(bytes.count))
    connection.bytesUnderWay -= bytes.count
    let reason = connection.arrive(bytes)
    let isOverdue = connection.isFrameOverdue(now, deadline: options.frameDeadline)
    if reason != nil || isOverdue || (connection.isReset && connection.lastArrival <= now) { close(connection) }
    planTurn(connection.to)
    look(at: connection.to)
  }
}
