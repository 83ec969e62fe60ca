import DequeModule
import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepTransport
import LockstepWire
import Logging
import NIOCore

/// The connections of clients.
final class ClientPort {
  weak var server: ServerLoop?
  private let log: RepeatingLog
  private let requestBytes: Int
  /// For the handshake and questions, whose messages are short.
  private let codec: Codec
  private let calls: Codec
  private let maximumReplyBytes: Int
  private var listener: Listener?
  /// Clients that have asked something and are not answered: they have much to read already, or too much was asked.
  private var waiting: Deque<ClientSession> = []
  /// An answer to a question costs as much as many calls, and the loop has a cluster to lead meanwhile.
  private static let questionsATick = 8
  private var questionsLeft = questionsATick

  init(log: RepeatingLog, requestBytes: Int) {
    self.log = log
    self.requestBytes = requestBytes
    codec = Codec(maximumMessage: 64 * 1024)
    var limits = DriverLimits()
    limits.requestBytes = requestBytes
    maximumReplyBytes = limits.replyBytes
    calls = Codec(maximumMessage: Node.clientFrameBytes(requestBytes: requestBytes))
  }

  var connectionCount: Int { listener?.connectionCount ?? 0 }

  func bind(
    _ endpoint: Endpoint, on eventLoop: any EventLoop, _ completion: @escaping (Result<Void, any Error>) -> Void
  ) {
    var limits = TransportLimits.client
    limits.maximumFrameLength = Node.clientFrameBytes(requestBytes: requestBytes)
    limits.maximumConnections = ProcessFiles.connections().clients
    limits.outboundBytes = max(limits.outboundBytes, 4 * limits.maximumFrameLength)
    limits.halfFrameBytes = max(limits.halfFrameBytes, 4 * limits.maximumFrameLength)
    Listener.bind(host: endpoint.host, port: endpoint.port, on: eventLoop, limits: limits, delegate: self) { result in
      completion(result.map { self.listener = $0 })
    }
  }

  /// `done` is called when the port is free.
  func stop(_ done: @escaping () -> Void) {
    guard let listener else { return done() }
    listener.close(reason: .local("this node stops"), completion: done)
  }

  fileprivate func receive(
    _ connection: Connection, _ context: ClientContext, _ kind: FrameKind?, _ payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    guard let server else { return }
    let session = context.session
    if !connection.isEstablished {
      guard kind == .clientHello else { throw WireError("a client's first frame is its hello") }
      try welcome(connection, session, codec.unpackClientHello(payload), server)
      return
    }
    switch kind {
    case .call, .batch:
      // One, however many requests a batch has: what is bounded here are the answers that wait. The node bounds requests.
      session.callReceived()
      _ = try calls.deliver(kind ?? .call, payload, replies: context.replies, to: server.node)
    case .stream:
      let hasRoom = session.streamOpened()
      try calls.unpackStream(payload) { id, request in
        guard hasRoom else { return context.replies.refuse(stream: id, Self.tooManyStreams) }
        server.node.open(request, id: id, context.replies)
      }
    case .streamCredit:
      let (id, bytes) = try codec.unpackStreamCredit(payload)
      server.node.credit(bytes, to: id, context.replies)
    case .streamCancel:
      if server.node.cancel(try codec.unpackStreamCancel(payload), context.replies) { session.streamEnded() }
    case .describe: ask(.describe(try codec.unpackDescribe(payload)), session, server)
    case .status: ask(.status(try codec.unpackStatusRequest(payload)), session, server)
    case .snapshot:
      let (id, group) = try codec.unpackSnapshotRequest(payload)
      guard group <= 1 else { throw WireError("a snapshot of group \(group), which this node does not have") }
      ask(.snapshot(id), session, server)
    default: throw WireError("a frame of a kind that is not for this port")
    }
  }

  /// Answers at once, or as soon as the client has read what it has asked for before and it is its turn.
  private func ask(_ question: ClientQuestion, _ session: ClientSession, _ server: ServerLoop) {
    guard session.mayAnswer, questionsLeft > 0 else {
      if session.hold(question) { waiting.append(session) }
      return
    }
    questionsLeft -= 1
    answer(question, session, server)
  }

  private func answer(_ question: ClientQuestion, _ session: ClientSession, _ server: ServerLoop) {
    switch question {
    case .describe(let id):
      codec.pack(describeReply: id, services: server.node.schemas + [Self.sessions, Self.changes])
      session.sendNow(.describeReply, codec.packed)
    case .status(let id):
      codec.pack(server.status(id: id))
      session.sendNow(.statusReply, codec.packed)
    case .snapshot(let id): takeSnapshot(id, session, server)
    }
  }

  private static let tooManyStreams = CallStatus(
    .resourceExhausted, "the connection has as many streams as one may have: open another one")

  /// Every node offers these, whatever it hosts.
  private static let sessions = (name: SessionCall.service, descriptorSet: PackageResources.session_descriptor)
  private static let changes = (name: ChangeMessages.service, descriptorSet: PackageResources.changes_descriptor)

  private func takeSnapshot(_ id: UInt64, _ session: ClientSession, _ server: ServerLoop) {
    // Answered when it is there, so that it counts as a call that is under way.
    session.callReceived()
    let node = server.identity.node.rawValue
    server.takeSnapshot { [codec] outcome in
      let outcome = outcome.map { done in
        (
          snapshot: SnapshotReport(
            index: done.last.index.rawValue, term: done.last.term.rawValue, bytes: UInt64(done.bytes)),
          nanoseconds: done.nanoseconds
        )
      }
      codec.pack(SnapshotReply(id: id, node: node, outcome: outcome))
      session.answer(.snapshotReply, codec.packed)
    }
  }

  /// Time has passed: clients may have read, and can be answered, one question of each in turn.
  func tick() {
    questionsLeft = Self.questionsATick
    guard let server else { return }
    var unready = 0
    while questionsLeft > 0, unready < waiting.count, let session = waiting.popFirst() {
      guard let question = session.nextQuestion() else {
        if session.isDone { continue }
        waiting.append(session)
        unready += 1
        continue
      }
      unready = 0
      questionsLeft -= 1
      answer(question, session, server)
      session.questionAnswered()
      if !session.isDone { waiting.append(session) }
    }
  }

  private func welcome(
    _ connection: Connection, _ session: ClientSession, _ versions: ClosedRange<UInt32>, _ server: ServerLoop
  ) {
    guard versions.overlaps(WireVersion.oldest...WireVersion.current) else {
      session.refuse(
        "protocol versions \(versions.lowerBound) to \(versions.upperBound) are not spoken here, \(WireVersion.oldest) to \(WireVersion.current) are",
        codec)
      return
    }
    connection.established()
    var welcome = ClientWelcome(
      version: WireVersion.current, cluster: server.identity.cluster, node: server.identity.node.rawValue,
      leader: server.node.leader?.rawValue ?? 0, maximumRequestBytes: UInt32(clamping: requestBytes))
    welcome.incarnation = Codec.incarnation(cluster: server.identity.cluster)
    welcome.group = server.node.firstGroup?.rawValue ?? 0
    codec.pack(welcome)
    session.sendNow(.clientWelcome, codec.packed)
  }
}

extension ClientPort: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    connection.context = ClientContext(ClientSession(connection, maximumReplyBytes: maximumReplyBytes), calls)
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard let context = connection.context as? ClientContext else { return }
    do throws(WireError) { try receive(connection, context, FrameKind(rawValue: kind), payload) } catch {
      context.session.refuse("not understood: \(error)", codec)
    }
  }

  func connectionReadCompleted(_ connection: Connection) { server?.scheduleTurn() }

  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionInputEnded(_ connection: Connection) {
    guard let context = connection.context as? ClientContext else { return }
    // Who says nothing more can neither grant anything nor cancel.
    server?.node.closed(context.replies)
    context.session.inputEnded()
  }

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    if let context = connection.context as? ClientContext { server?.node.closed(context.replies) }
    connection.context = nil
    guard reason != .peerClosed else { return }
    log.log(.info, "clients", reason.kind, "client \(connection.remoteAddress) closed: \(reason)")
  }

  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {
    log.log(.warning, "refused clients", reason.kind, "client \(remoteAddress) refused: \(reason)")
  }

  func listener(_ listener: Listener, acceptFailed reason: String) {
    log.log(.error, "accept clients", reason, "clients cannot be accepted for now: \(reason)")
  }
}
