import LockstepExecution
import LockstepTransport
import LockstepWire
import NIOCore

// The connection of a client: made, answered, lost.

extension ClientCore {
  func connect() {
    let endpoint = endpoints[place]
    let link = Link(
      host: endpoint.host, port: endpoint.port, on: eventLoop, limits: Self.limits, seed: UInt64(place),
      delegate: self)
    state = .connecting(link)
    link.start()
  }

  /// This endpoint will not do: the next one, or none is left.
  func giveUp(_ link: Link, _ reason: String) {
    handshake?.cancel()
    handshake = nil
    opening = nil
    link.stop()
    state = .idle
    failures.append("\(endpoints[place]): \(reason)")
    place = (place + 1) % endpoints.count
    if failures.count < endpoints.count {
      connect()
      return
    }
    let status = CallStatus(.unavailable, "no node can be reached: \(failures.joined(separator: "; "))")
    failures.removeAll()
    failUnlessRefused(CallFailure(status, applied: .no))
  }
}

extension ClientCore: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    guard case .connecting(let link) = state else {
      connection.closeNow(reason: .local("not wanted any more"))
      return
    }
    opening = connection
    codec.pack(clientHello: WireVersion.oldest...WireVersion.current)
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.clientHello.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
    handshake = eventLoop.assumeIsolated().scheduleTask(in: Self.handshakeTimeout) {
      if case .connecting(let current) = self.state, current === link {
        self.giveUp(link, "connected, but there was no answer within a second")
      }
    }
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    do throws(WireError) { try receive(connection, FrameKind(rawValue: kind), payload) } catch {
      connection.closeNow(reason: .local("not understood: \(error)"))
    }
  }

  private func receive(
    _ connection: Connection, _ kind: FrameKind?, _ payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    switch kind {
    case .clientWelcome:
      let welcome = try codec.unpackClientWelcome(payload)
      guard case .connecting(let link) = state, opening === connection else { return }
      opening = nil
      handshake?.cancel()
      handshake = nil
      maximumRequestBytes = Int(welcome.maximumRequestBytes)
      (history.group, history.incarnation) = (welcome.group, welcome.incarnation)
      nodes[place] = welcome.node
      failures.removeAll()
      state = .ready(link, connection)
      connection.established()
      sendWaiting(connection)
      goOnWithStreams()
    case .refusal:
      let reason = try codec.unpackRefusal(payload)
      connection.closeNow(reason: .local("the node refused: \(reason)"))
    case .callReply:
      var reply = try codec.unpackReply(payload)
      reply.history = history
      note(reply.token)
      finish(reply.id, .reply(reply), from: connection)
    case .streamEnd: ended(try codec.unpackReply(payload), from: connection)
    case .streamItems: received(try codec.unpackStreamItems(payload), from: connection)
    case .batchReply:
      var reply = try codec.unpackBatchReply(payload)
      reply.history = history
      for result in reply.results { note(reply.token(of: result)) }
      finish(reply.id, .batch(reply), from: connection)
    case .describeReply:
      let (id, services) = try codec.unpackDescribeReply(payload)
      finish(id, .schemas(services), from: connection)
    case .statusReply:
      let status = try codec.unpackStatus(payload)
      finish(status.id, .status(status), from: connection)
    case .snapshotReply:
      let reply = try codec.unpackSnapshotReply(payload)
      finish(reply.id, .snapshot(reply), from: connection)
    default: throw WireError("an unexpected frame")
    }
  }

  func connectionReadCompleted(_ connection: Connection) {}
  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    if let position = leaving.firstIndex(where: { $0.connection === connection }) {
      leaving.remove(at: position).link.stop()
    }
    switch state {
    case .connecting(let link) where opening === connection: giveUp(link, reason.description)
    case .ready(let link, let current) where current === connection:
      link.stop()
      state = .idle
      place = (place + 1) % endpoints.count
      if !waiting.isEmpty, retry == nil { connect() }
    case .ready, .idle, .closed, .connecting: break
    }
    let status = CallStatus(.unavailable, "the connection to \(connection.remoteAddress) was lost: \(reason)")
    streamsLost(with: connection, status)
    lost(connection, status)
  }

  func link(_ link: Link, dialFailed reason: String) {
    guard case .connecting(let current) = state, current === link else { return }
    giveUp(link, reason)
  }
}
