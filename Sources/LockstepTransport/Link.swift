import Glibc
package import NIOCore
import NIOPosix

/// One outgoing connection that is kept alive: dialed, and dialed again whenever it is lost, for ever.
///
/// Between dials lies a delay that doubles from `redialMinimum` to `redialMaximum`, shortened at random so that nodes
/// do not fall into step. It starts over only when the owner has called `established()`: a peer that accepts and hangs
/// up at once is not called more often than one that is down.
package final class Link {
  package let eventLoop: any EventLoop
  package let limits: TransportLimits
  package private(set) var host: String
  package private(set) var port: Int
  /// The connection, while it is open.
  package var connection: Connection? {
    if case .up(let connection) = state, connection.isOpen { connection } else { nil }
  }

  private enum State {
    case idle
    case dialing
    case up(Connection)
    case waiting(Scheduled<Void>)
    case stopped
  }

  private var state = State.idle
  private var delegate: (any ConnectionDelegate)?
  private var failures = 0
  private var dialsAtOnce = false
  /// Numbers the dials: what an abandoned one comes to is of no interest.
  private var attempt: UInt64 = 0
  private var random: SplitMix64
  private var heartbeat: Heartbeat?
  private let memory: FrameMemory

  /// `seed` decides the random part of the delays alone.
  package init(
    host: String, port: Int, on eventLoop: any EventLoop, limits: TransportLimits = .peer, seed: UInt64,
    delegate: any ConnectionDelegate
  ) {
    limits.check()
    self.host = host
    self.port = port
    self.eventLoop = eventLoop
    self.limits = limits
    self.delegate = delegate
    random = SplitMix64(state: seed)
    memory = FrameMemory(halfFrameBytes: limits.halfFrameBytes)
  }

  package func start() {
    eventLoop.preconditionInEventLoop()
    guard case .idle = state else { return }
    dialSoon()
  }

  /// The peer lives elsewhere now. A connection to the old place is closed, and the new one dialed at once.
  package func update(host: String, port: Int) {
    eventLoop.preconditionInEventLoop()
    guard host != self.host || port != self.port else { return }
    self.host = host
    self.port = port
    failures = 0
    switch state {
    case .idle, .stopped:
      break
    case .dialing:
      dialSoon()
    case .waiting(let redial):
      redial.cancel()
      dialSoon()
    case .up(let connection):
      dialsAtOnce = true
      connection.closeNow(reason: .local("the peer's address is \(host):\(port) now"))
    }
  }

  /// The peer has shown in another way that it is there: a dial that waits for its time is made now.
  package func dialNow() {
    eventLoop.preconditionInEventLoop()
    guard case .waiting(let redial) = state else { return }
    redial.cancel()
    dialSoon()
  }

  /// Closes the connection, flushing it first, and never dials again.
  package func stop(reason: CloseReason = .local("the link is stopped")) {
    eventLoop.preconditionInEventLoop()
    attempt += 1
    switch state {
    case .idle, .dialing, .stopped: break
    case .waiting(let redial): redial.cancel()
    case .up(let connection): connection.close(reason: reason)
    }
    state = .stopped
    delegate = nil
    heartbeat?.stop()
    heartbeat = nil
  }

  /// In a later turn: a dial may succeed or fail at once, and the delegate is never called from within the owner's call.
  private func dialSoon() {
    attempt += 1
    wait(for: .zero)
  }

  private func wait(for delay: Duration) {
    let attempt = attempt
    state = .waiting(
      eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
        if attempt == self.attempt, case .waiting = self.state { self.dial() }
      })
  }

  private func dial() {
    guard let delegate else { return }
    attempt += 1
    state = .dialing
    let attempt = attempt
    let dialing = NIOLoopBound((link: self, delegate: delegate), eventLoop: eventLoop)
    let bootstrap = ClientBootstrap(group: eventLoop)
      .connectTimeout(TimeAmount(limits.connectDeadline))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let (link, delegate) = dialing.value
          let connection = Connection(
            channel: channel, role: .dialed, limits: link.limits, memory: link.memory, delegate: delegate,
            owner: Dial(link: link, attempt: attempt))
          try connection.setup.prepare(channel, for: connection)
        }
      }
    // An address needs no look-up, and its errors are easier to read.
    let connected =
      if let address = try? SocketAddress(ipAddress: host, port: port) {
        bootstrap.connect(to: address)
      } else {
        bootstrap.connect(host: host, port: port)
      }
    connected.assumeIsolated().whenFailure { self.dialFailed(attempt, self.words($0)) }
  }

  private func words(_ error: any Error) -> String {
    var reason = error
    if let connecting = error as? NIOConnectionError, let last = connecting.connectionErrors.last {
      reason = last.error
    } else if let connecting = error as? NIOConnectionError {
      reason = connecting.dnsAError ?? connecting.dnsAAAAError ?? error
    }
    let text =
      switch reason {
      case ChannelError.connectTimeout: "no answer within \(limits.connectDeadline)"
      default: Connection.words(of: reason)
      }
    return "cannot connect to \(host.contains(":") ? "[\(host)]" : host):\(port): \(text)"
  }

  private func dialFailed(_ attempt: UInt64, _ reason: String) {
    guard attempt == self.attempt, case .dialing = state else { return }
    wait()
    delegate?.link(self, dialFailed: reason)
  }

  private func wait() {
    let doubled = limits.redialMinimum * (1 << min(failures, 20))
    failures += 1
    let longest = min(limits.redialMaximum, doubled)
    let part = Double(random.next() >> 11) / Double(1 << 53)
    wait(for: longest * (1 - part / 2))
  }
}

extension Link {
  fileprivate func opened(_ connection: Connection, _ attempt: UInt64) -> Bool {
    guard attempt == self.attempt, case .dialing = state else { return false }
    // A dial to a free port of this very machine may get that port for its own end, and then reaches itself.
    if let local = connection.channel.localAddress, local == connection.channel.remoteAddress {
      dialFailed(attempt, "nobody listens, and the dial reached itself")
      return false
    }
    state = .up(connection)
    let allowed = DeadlineBeats(limits)
    heartbeat = Heartbeat(on: eventLoop, every: allowed.interval) { connection.checkDeadlines(allowed) }
    return true
  }

  fileprivate func established() {
    failures = 0
  }

  fileprivate func ended(_ connection: Connection) {
    guard case .up(let current) = state, current === connection else { return }
    heartbeat?.stop()
    heartbeat = nil
    if dialsAtOnce {
      dialsAtOnce = false
      dialSoon()
    } else {
      wait()
    }
  }
}

/// One attempt of a link.
private final class Dial: ConnectionOwner {
  private let link: Link
  private let attempt: UInt64

  init(link: Link, attempt: UInt64) {
    self.link = link
    self.attempt = attempt
  }

  func connectionOpened(_ connection: Connection) -> Bool { link.opened(connection, attempt) }

  func connectionEstablished(_ connection: Connection) { link.established() }

  func connectionEnded(_ connection: Connection) { link.ended(connection) }
}

extension NIOBSDSocket.Option {
  /// TCP_USER_TIMEOUT of Linux, in milliseconds.
  package static let userTimeout = NIOBSDSocket.Option(rawValue: 18)
}

/// Spreads the delays; nothing depends on its quality.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
