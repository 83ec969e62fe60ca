import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepStorage
import LockstepTransport
import LockstepWire
import Logging
import NIOCore

/// The connections between this node and the others: it dials each, for what it says, and accepts from each, for what
/// it hears. Nobody is listened to before the handshake has shown who it is: of this cluster, on the disk that it has
/// always had, and not on an older copy of it.
final class PeerPort {
  /// What is remembered of the other nodes, durably.
  typealias Remember = (
    _ peer: PeerIdentity, _ done: @escaping @Sendable (Result<String?, StorageError>) -> Void
  ) -> Void

  private final class Context {
    /// Dialed: the node that should be there. Accepted: known after its hello.
    var peer: NodeID?
    var isEstablished = false
    /// Accepted and established: where answers go to the calls that it passes on.
    var replies: FramedReplies?
    init(peer: NodeID?) { self.peer = peer }
  }

  weak var server: ServerLoop?
  private let identity: PeerIdentity
  private let members: [(id: NodeID, endpoint: Endpoint)]
  private let eventLoop: any EventLoop
  private let limits: TransportLimits
  private let logger: Logger
  /// For the handshake, whose messages are short.
  private let codec: Codec
  /// For what follows it.
  private let frames: Codec
  private let maximumReplyBytes: Int
  private let remember: Remember
  private var links: [(id: NodeID, link: Link, connection: Connection?)] = []
  private var accepted: [(id: NodeID, connection: Connection)] = []
  private var lastComplaint: [(id: NodeID, text: String)] = []
  private var listener: Listener?

  init(
    identity: PeerIdentity, members: [(id: NodeID, endpoint: Endpoint)], eventLoop: any EventLoop,
    requestBytes: Int, logger: Logger, remember: @escaping Remember
  ) {
    self.identity = identity
    self.members = members
    self.eventLoop = eventLoop
    self.logger = logger
    self.remember = remember
    var limits = TransportLimits.peer
    limits.maximumFrameLength = Node.frameBytes(requestBytes: requestBytes)
    limits.maximumConnections = ProcessFiles.connections().peers
    limits.outboundBytes = max(limits.outboundBytes, 4 * limits.maximumFrameLength)
    limits.halfFrameBytes = max(limits.halfFrameBytes, 4 * limits.maximumFrameLength)
    self.limits = limits
    codec = Codec(maximumMessage: limits.handshakeFrameLength)
    frames = Codec(maximumMessage: limits.maximumFrameLength)
    var driver = DriverLimits()
    driver.requestBytes = requestBytes
    maximumReplyBytes = driver.replyBytes
  }

  func bind(_ endpoint: Endpoint, _ completion: @escaping (Result<Void, any Error>) -> Void) {
    Listener.bind(
      host: endpoint.host, port: endpoint.port, on: eventLoop, limits: limits, delegate: self
    ) { result in
      completion(result.map { self.listener = $0 })
    }
  }

  func dialAll() {
    for member in members where member.id != identity.node {
      let link = Link(
        host: member.endpoint.host, port: member.endpoint.port, on: eventLoop, limits: limits,
        seed: identity.node.rawValue << 32 ^ member.id.rawValue, delegate: self)
      links.append((member.id, link, nil))
      link.start()
    }
  }

  /// `done` is called when the port is free.
  func stop(_ done: @escaping () -> Void) {
    for (_, link, _) in links { link.stop(reason: .local("this node stops")) }
    guard let listener else { return done() }
    listener.close(reason: .local("this node stops"), completion: done)
  }

  // MARK: Handshake

  private func send(_ kind: FrameKind, _ connection: Connection) {
    _ = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  private func refuse(_ connection: Connection, _ reason: String) {
    codec.pack(refusal: reason)
    send(.refusal, connection)
    connection.close(reason: .local("refused: \(reason)"))
  }

  private func handshake(
    _ connection: Connection, _ context: Context, _ kind: FrameKind?, _ payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    switch (connection.role, kind) {
    case (.accepted, .peerHello?): greet(connection, context, try codec.unpackHello(payload))
    case (.dialed, .peerWelcome?):
      let (version, other) = try codec.unpackWelcome(payload)
      welcome(connection, context, version, other)
    case (.dialed, .refusal?):
      let reason = try codec.unpackRefusal(payload)
      connection.close(reason: .local("the other node refused: \(reason)"))
    default: throw WireError("not a node's first message")
    }
  }

  /// The other node has dialed and says who it is.
  private func greet(_ connection: Connection, _ context: Context, _ hello: PeerHello) {
    guard context.peer == nil else {
      refuse(connection, "a second hello")
      return
    }
    if hello.versions.upperBound < WireVersion.oldest || hello.versions.lowerBound > WireVersion.current {
      let theirs = "\(hello.versions.lowerBound) to \(hello.versions.upperBound)"
      let ours = "\(WireVersion.oldest) to \(WireVersion.current)"
      refuse(connection, "protocol versions \(theirs) are not spoken here, \(ours) are")
      return
    }
    guard hello.target == identity.node else {
      refuse(connection, "this is node \(identity.node), not node \(hello.target)")
      return
    }
    if let problem = problem(with: hello.identity, expected: nil) {
      refuse(connection, problem)
      return
    }
    let peer = hello.identity.node
    context.peer = peer
    confirm(hello.identity, connection) {
      self.codec.pack(welcome: self.identity, version: WireVersion.current)
      self.send(.peerWelcome, connection)
      context.isEstablished = true
      context.replies = FramedReplies(
        PeerReplies(self, peer: peer, maximumReplyBytes: self.maximumReplyBytes), codec: self.frames, form: .forwarded)
      connection.established()
      // A node that dials again has given up its former connection, whether or not that is known here yet.
      for former in self.accepted where former.id == peer {
        former.connection.closeNow(reason: .local("node \(peer) has connected anew"))
      }
      self.accepted.append((peer, connection))
      // It is back: what this node has to say to it, calls to pass on among it, need not wait for the next redial.
      self.links.first { $0.id == peer }?.link.dialNow()
    }
  }

  /// This node has dialed, and the other one answers.
  private func welcome(
    _ connection: Connection, _ context: Context, _ version: UInt32, _ other: PeerIdentity
  ) {
    guard let peer = context.peer, !context.isEstablished else { return }
    guard (WireVersion.oldest...WireVersion.current).contains(version) else {
      connection.closeNow(reason: .local("node \(peer) answers in protocol version \(version)"))
      return
    }
    if let problem = problem(with: other, expected: peer) {
      connection.closeNow(reason: .local(problem))
      return
    }
    confirm(other, connection) {
      guard let place = self.links.firstIndex(where: { $0.id == peer }) else { return }
      context.isEstablished = true
      connection.established()
      self.links[place].connection = connection
      self.lastComplaint.removeAll { $0.id == peer }
      self.logger.info("connected to node \(peer) at \(connection.remoteAddress)")
      if other.fingerprint != self.identity.fingerprint {
        self.logger.warning("node \(peer) is \(other.fingerprint), this node is \(self.identity.fingerprint)")
      }
      self.server?.node.linkChanged(peer, isUp: true)
      self.server?.scheduleTurn()
    }
  }

  private func problem(with other: PeerIdentity, expected: NodeID?) -> String? {
    if other.cluster != identity.cluster {
      return "node \(other.node) is of cluster \(hex(other.cluster)), this is cluster \(hex(identity.cluster))"
    }
    if let expected, other.node != expected { return "node \(other.node) answers where node \(expected) should be" }
    if other.node == identity.node { return "node \(other.node) is this node's own number" }
    if !members.contains(where: { $0.id == other.node }) { return "node \(other.node) is no member" }
    if other.disk.count != 16 { return "node \(other.node) has a disk id of \(other.disk.count) bytes" }
    return nil
  }

  /// Compares with what is remembered of this node, and remembers it durably, before it is believed.
  private func confirm(_ other: PeerIdentity, _ connection: Connection, _ go: @escaping () -> Void) {
    let box = NIOLoopBound((port: self, connection: connection, go: go), eventLoop: eventLoop)
    let eventLoop = eventLoop
    remember(other) { outcome in
      eventLoop.execute {
        let (port, connection, go) = box.value
        switch outcome {
        case .success(nil): if connection.isOpen { go() }
        case .success(let problem?): if connection.isOpen { port.refuse(connection, problem) }
        case .failure(let error):
          // Without its memory of the others this node could take part with nobody, and would stay alone for ever.
          port.server?.diskFailed(error)
        }
      }
    }
  }
}

extension PeerPort: PeerLinks {
  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    let kind = frames.pack(message, group: group, previousChain: previousChain)
    return frames.packed.withUnsafeBytes {
      LinkResult(connection.send(kind: kind.rawValue, header: $0, body: entries))
    }
  }

  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult {
    guard let connection = connection(to: node) else { return .notConnected }
    return frames.pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) { header, body in
      LinkResult(connection.send(kind: FrameKind.forward.rawValue, header: header, body: body))
    }
  }

  fileprivate func connection(to node: NodeID) -> Connection? { links.first { $0.id == node }?.connection }

  func isConnected(_ node: NodeID) -> Bool { connection(to: node) != nil }

  func flush() {
    for (_, _, connection) in links { connection?.flush() }
  }
}

extension LinkResult {
  fileprivate init(_ result: LockstepTransport.SendResult) {
    switch result {
    case .queued: self = .sent
    case .full, .tooLong: self = .full
    case .closed: self = .notConnected
    }
  }
}

/// Where the answers go to calls that one peer has passed on: over the link that this node has dialed to it.
private final class PeerReplies: ReplyChannel {
  // Unowned: the port and its server live as long as the node does, which has this.
  private unowned let port: PeerPort
  private let peer: NodeID
  let maximumReplyBytes: Int

  init(_ port: PeerPort, peer: NodeID, maximumReplyBytes: Int) {
    self.port = port
    self.peer = peer
    self.maximumReplyBytes = maximumReplyBytes
  }

  /// A full link drops what it is given, and whoever waits for this would wait for its whole time-out.
  var hasRoom: Bool { port.connection(to: peer)?.hasRoom ?? true }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    _ = port.connection(to: peer)?.send(kind: kind.rawValue, header: header, body: body)
  }

  func flush() { port.connection(to: peer)?.flush() }
}

extension PeerPort: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    guard connection.role == .dialed else {
      connection.context = Context(peer: nil)
      return
    }
    guard let (peer, _, _) = links.first(where: { $0.link.connection === connection }) else {
      connection.closeNow(reason: .local("not wanted any more"))
      return
    }
    connection.context = Context(peer: peer)
    codec.pack(
      PeerHello(versions: WireVersion.oldest...WireVersion.current, identity: identity, target: peer))
    send(.peerHello, connection)
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard let context = connection.context as? Context else { return }
    let kind = FrameKind(rawValue: kind)
    do throws(WireError) {
      guard context.isEstablished else {
        try handshake(connection, context, kind, payload)
        return
      }
      guard connection.role == .accepted, let peer = context.peer, let kind else {
        throw WireError("an unexpected frame")
      }
      guard let node = server?.node, let replies = context.replies else { return }
      try frames.deliver(kind, payload, from: peer, replies: replies, to: node)
    } catch {
      logger.warning("a frame from \(connection.remoteAddress) is refused: \(error)")
      refuse(connection, "not understood: \(error)")
    }
  }

  func connectionReadCompleted(_ connection: Connection) { server?.scheduleTurn() }

  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    let context = connection.context as? Context
    accepted.removeAll { $0.connection === connection }
    if connection.role == .accepted {
      let name = context?.peer.map { "node \($0)" } ?? connection.remoteAddress
      logger.info("connection from \(name) closed: \(reason)")
      return
    }
    guard let place = links.firstIndex(where: { $0.id == context?.peer }) else { return }
    let peer = links[place].id
    if links[place].connection === connection {
      links[place].connection = nil
      logger.warning("connection to node \(peer) lost: \(reason)")
      server?.node.linkChanged(peer, isUp: false)
      server?.scheduleTurn()
    } else {
      complain(peer, reason.description)
    }
  }

  func link(_ link: Link, dialFailed reason: String) {
    guard let (peer, _, _) = links.first(where: { $0.link === link }) else { return }
    complain(peer, reason)
  }

  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {
    logger.warning("peer connection from \(remoteAddress) refused: \(reason)")
  }

  func listener(_ listener: Listener, acceptFailed reason: String) {
    logger.error("peer connections cannot be accepted for now: \(reason)")
  }

  /// Links are dialed again and again: the same trouble is told once.
  private func complain(_ peer: NodeID, _ text: String) {
    if let place = lastComplaint.firstIndex(where: { $0.id == peer }) {
      guard lastComplaint[place].text != text else { return }
      lastComplaint[place].text = text
    } else {
      lastComplaint.append((peer, text))
    }
    logger.warning("no connection to node \(peer): \(text)")
  }
}

func hex(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef")
  return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
