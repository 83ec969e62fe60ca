package import NIOCore
import NIOPosix

/// A port on which connections are accepted, and the connections that came of it.
///
/// Lives on one event loop, as all its connections do.
package final class Listener {
  package let eventLoop: any EventLoop
  package let limits: TransportLimits

  private var delegate: (any ConnectionDelegate)?
  private var channel: (any Channel)?
  private var connections: [UInt64: Connection] = [:]
  private var heartbeat: Heartbeat?
  private var isClosing = false
  private var onClosed: (() -> Void)?
  private let memory: FrameMemory
  private static let acceptsPerBurst = 16
  private static let backlog: Int32 = 1024

  private init(on eventLoop: any EventLoop, limits: TransportLimits, delegate: any ConnectionDelegate) {
    limits.check()
    self.eventLoop = eventLoop
    self.limits = limits
    self.delegate = delegate
    memory = FrameMemory(halfFrameBytes: limits.halfFrameBytes, outboundBytes: limits.sharedOutboundBytes)
  }

  /// Listens on `host:port`; port 0 takes any free one. `completion` is called on the loop, perhaps before `bind`
  /// returns, with the system's words if it failed. A host that is a name instead of an address blocks the loop while it is looked up.
  package static func bind(
    host: String, port: Int, on eventLoop: any EventLoop, limits: TransportLimits = .client,
    delegate: any ConnectionDelegate, completion: @escaping (Result<Listener, any Error>) -> Void
  ) {
    eventLoop.preconditionInEventLoop()
    let listener = Listener(on: eventLoop, limits: limits, delegate: delegate)
    // The bootstrap asks for closures that could run anywhere; they run on this loop, which the box checks.
    let onLoop = NIOLoopBound(listener, eventLoop: eventLoop)
    ServerBootstrap(group: eventLoop)
      .serverChannelOption(.backlog, value: backlog)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.maxMessagesPerRead, value: UInt(Self.acceptsPerBurst))
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AcceptFailureHandler(onLoop.value))
        }
      }
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try onLoop.value.admit(channel) }
      }
      .bind(host: host, port: port)
      .assumeIsolated()
      .whenComplete { result in
        completion(result.map { listener.listen(on: $0) })
      }
  }

  /// The port that was bound.
  package var localPort: Int? { channel?.localAddress?.port }

  package var connectionCount: Int { connections.count }

  /// Stops listening and closes all connections: what was sent to them is flushed first. Each is reported closed as
  /// usual; `completion` is called on the loop after the last of them, and the port is free then.
  package func close(
    reason: CloseReason = .local("the listener is closed"), completion: (() -> Void)? = nil
  ) {
    eventLoop.preconditionInEventLoop()
    onClosed = onClosed ?? completion
    guard let channel, !isClosing else { return }
    isClosing = true
    for connection in connections.values { connection.close(reason: reason) }
    channel.close().assumeIsolated().whenComplete { _ in
      self.channel = nil
      self.closedIfDone()
    }
  }

  private func closedIfDone() {
    guard isClosing, channel == nil, connections.isEmpty else { return }
    heartbeat?.stop()
    heartbeat = nil
    delegate = nil
    let completion = onClosed
    onClosed = nil
    completion?()
  }

  private func listen(on channel: any Channel) -> Listener {
    self.channel = channel
    memory.measure = { [unowned self] in
      for connection in connections.values where connection.bytesInChannel > 0 { connection.measureChannel() }
      return connections.count
    }
    let allowed = DeadlineBeats(limits)
    heartbeat = Heartbeat(on: eventLoop, every: allowed.interval) { [unowned self] in
      for connection in connections.values { connection.checkDeadlines(allowed) }
    }
    return self
  }

  /// Sets up an accepted channel; an error closes it.
  private func admit(_ channel: any Channel) throws {
    guard let delegate, !isClosing else { throw Refused() }
    guard connections.count < limits.maximumConnections else {
      let reason = CloseReason.tooManyConnections(limit: limits.maximumConnections)
      delegate.listener(self, refused: describe(channel.remoteAddress), reason: reason)
      throw Refused()
    }
    let connection = Connection(
      channel: channel, role: .accepted, limits: limits, memory: memory, delegate: delegate, owner: self)
    connections[connection.id] = connection
    try connection.setup.prepare(channel, for: connection)
  }

  fileprivate func acceptFailed(_ error: any Error) {
    delegate?.listener(self, acceptFailed: "\(error)")
  }

  private struct Refused: Error {}
}

extension Listener: ConnectionOwner {
  func connectionOpened(_ connection: Connection) -> Bool { !isClosing }

  func connectionEstablished(_ connection: Connection) {}

  func connectionEnded(_ connection: Connection) {
    connections[connection.id] = nil
    // After the delegate has heard of this one too.
    if isClosing { eventLoop.assumeIsolated().execute { self.closedIfDone() } }
  }
}

/// Lets the listener rest for a moment when an accept fails, as a rule for want of file descriptors.
///
/// NIO keeps such a listener open, but its own handler for this only delays the next read request, and the one that is
/// still unanswered keeps the loop turning without a rest. So reading is switched off, and on again.
private final class AcceptFailureHandler: ChannelInboundHandler {
  typealias InboundIn = any Channel

  private static let rest = TimeAmount.milliseconds(200)
  private weak var listener: Listener?
  private var waking: Scheduled<Void>?

  init(_ listener: Listener) {
    self.listener = listener
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is IOError else { return }
    if waking == nil {
      let channel = context.channel
      setAutoRead(false, of: channel)
      waking = context.eventLoop.assumeIsolated().scheduleTask(in: Self.rest) {
        self.waking = nil
        self.setAutoRead(true, of: channel)
      }
    }
    listener?.acceptFailed(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    waking?.cancel()
    waking = nil
    context.fireChannelInactive()
  }

  private func setAutoRead(_ isOn: Bool, of channel: any Channel) {
    // Fails on a closed channel only, where it means nothing.
    try? channel.syncOptions?.setOption(.autoRead, value: isOn)
  }
}
