import LockstepConsensus
import LockstepDriver
import LockstepTransport
import LockstepWire
import Logging
import NIOCore

/// The connections of clients.
final class ClientPort {
  weak var server: ServerLoop?
  private let logger: Logger
  private let requestBytes: Int
  private let codec: Codec
  private var listener: Listener?

  init(logger: Logger, requestBytes: Int) {
    self.logger = logger
    self.requestBytes = requestBytes
    codec = Codec(maximumMessage: 64 * 1024)
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
    _ connection: Connection, _ session: ClientSession, _ kind: FrameKind?, _ payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    guard let server else { return }
    if !connection.isEstablished {
      guard kind == .clientHello else { throw WireError("a client's first frame is its hello") }
      try welcome(connection, session, codec.unpackClientHello(payload), server)
      return
    }
    switch kind {
    case .call:
      session.callReceived()
      try server.node.receiveCall(payload, sink: session)
    case .batch:
      // One, however many requests it has: what is bounded here are the answers that wait. The node bounds requests.
      session.callReceived()
      try server.node.receiveBatch(payload, sink: session)
    case .describe:
      let id = try codec.unpackDescribe(payload)
      codec.pack(describeReply: id, services: server.node.schemas)
      session.sendNow(.describeReply, codec.packed)
    case .status:
      codec.pack(server.status(id: try codec.unpackStatusRequest(payload)))
      session.sendNow(.statusReply, codec.packed)
    default: throw WireError("a frame of a kind that is not for this port")
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
    codec.pack(
      ClientWelcome(
        version: WireVersion.current, cluster: server.identity.cluster, node: server.identity.node.rawValue,
        leader: server.node.leader?.rawValue ?? 0, maximumRequestBytes: UInt32(clamping: requestBytes)))
    session.sendNow(.clientWelcome, codec.packed)
  }
}

extension ClientPort: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) { connection.context = ClientSession(connection) }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard let session = connection.context as? ClientSession else { return }
    do throws(WireError) { try receive(connection, session, FrameKind(rawValue: kind), payload) } catch {
      session.refuse("not understood: \(error)", codec)
    }
  }

  func connectionReadCompleted(_ connection: Connection) { server?.scheduleTurn() }

  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionInputEnded(_ connection: Connection) { (connection.context as? ClientSession)?.inputEnded() }

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    connection.context = nil
    if reason != .peerClosed { logger.info("client \(connection.remoteAddress) closed: \(reason)") }
  }

  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {
    logger.warning("client \(remoteAddress) refused: \(reason)")
  }

  func listener(_ listener: Listener, acceptFailed reason: String) {
    logger.error("clients cannot be accepted for now: \(reason)")
  }
}

/// One client's connection: where the answers to its calls go.
private final class ClientSession: ReplySink {
  /// With so many calls under way, no more are read until half are answered.
  private static let callsUnderWay = 8192

  var isFlushDue = false
  private let connection: Connection
  private var underWay = 0
  private var isPaused = false
  /// The client sends no more calls, and waits for the answers.
  private var isLast = false

  init(_ connection: Connection) { self.connection = connection }

  var hasRoom: Bool { connection.hasRoom }

  func callReceived() {
    underWay += 1
    if underWay >= Self.callsUnderWay, !isPaused {
      isPaused = true
      connection.pauseReading()
    }
  }

  func send(_ kind: FrameKind, _ payload: [UInt8]) {
    underWay -= 1
    deliver(kind, payload)
    if isPaused, underWay <= Self.callsUnderWay / 2 {
      isPaused = false
      connection.resumeReading()
    }
    if isLast { closeIfAnswered() }
  }

  func inputEnded() {
    isLast = true
    closeIfAnswered()
  }

  private func closeIfAnswered() {
    if underWay == 0 { connection.close(reason: .peerClosed) }
  }

  func flush() { connection.flush() }

  func sendNow(_ kind: FrameKind, _ payload: [UInt8]) {
    deliver(kind, payload)
    connection.flush()
  }

  private func deliver(_ kind: FrameKind, _ payload: [UInt8]) {
    let result = payload.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    switch result {
    case .queued, .closed: break
    case .full: connection.closeNow(reason: .local("the client does not read its answers"))
    case .tooLong: connection.closeNow(reason: .local("an answer of \(payload.count) bytes does not fit in a frame"))
    }
  }

  func refuse(_ reason: String, _ codec: Codec) {
    codec.pack(refusal: reason)
    sendNow(.refusal, codec.packed)
    connection.close(reason: .local("refused: \(reason)"))
  }
}
