/// Every bound of one listener or link, in one place.
///
/// What a connection may cost at most follows from them: nothing while it is idle and has never sent, one receive
/// buffer once it has, a half frame of at most twice what really arrived (and all half frames together at most
/// `halfFrameBytes`), and `outboundBytes` for at most `stallDeadline` when it does not read what it is sent.
package struct TransportLimits: Sendable {
  /// Longest payload, in bytes, that is sent, and that is accepted once a connection is established.
  package var maximumFrameLength: Int

  /// Longest payload accepted before `Connection.established()`: strangers get little to play with.
  package var handshakeFrameLength: Int

  /// Bytes that may wait on one connection for the kernel to take them; over it `send` answers `.full`.
  package var outboundBytes: Int

  /// Bytes that may wait on all connections of one listener together; over it `hasRoom` is false on every connection
  /// that has anything waiting.
  package var sharedOutboundBytes: Int

  /// Bytes per read system call. Held by a connection from its first byte on.
  package var receiveBufferBytes: Int

  /// Connections of one listener at a time; further ones are accepted and closed at once.
  package var maximumConnections: Int

  /// Bytes of half frames of all connections of one listener together. Half frames that fit into one receive buffer
  /// are not counted, so that hostile ones cannot use up what honest ones need.
  package var halfFrameBytes: Int

  /// From the opening of a connection to the owner's `established()`.
  package var handshakeDeadline: Duration

  /// From the first byte of a frame to its last.
  package var frameDeadline: Duration

  /// How long output may wait without the kernel taking a single byte of it.
  package var stallDeadline: Duration

  /// How long what was sent over a dialed connection may stay without the acknowledgement of the other's system; nil:
  /// as long as the system sees fit. After a cut the system sends again in intervals that have doubled with the cut's
  /// length: a new connection is quicker.
  package var silenceDeadline: Duration?

  /// How long `close` waits for the output to be flushed and for the peer to hang up.
  package var closeDeadline: Duration

  /// How long one dial may take.
  package var connectDeadline: Duration

  /// Delay before the first and before any later redial, at most; each is shortened by up to a half at random.
  package var redialMinimum: Duration
  package var redialMaximum: Duration

  package init(
    maximumFrameLength: Int,
    handshakeFrameLength: Int = 4 << 10,
    outboundBytes: Int,
    sharedOutboundBytes: Int = 256 << 20,
    receiveBufferBytes: Int,
    maximumConnections: Int,
    halfFrameBytes: Int,
    handshakeDeadline: Duration = .seconds(5),
    frameDeadline: Duration = .seconds(10),
    stallDeadline: Duration = .seconds(30),
    silenceDeadline: Duration? = nil,
    closeDeadline: Duration = .seconds(1),
    connectDeadline: Duration = .seconds(1),
    redialMinimum: Duration = .milliseconds(20),
    redialMaximum: Duration = .seconds(1)
  ) {
    self.maximumFrameLength = maximumFrameLength
    self.handshakeFrameLength = handshakeFrameLength
    self.outboundBytes = outboundBytes
    self.sharedOutboundBytes = sharedOutboundBytes
    self.receiveBufferBytes = receiveBufferBytes
    self.maximumConnections = maximumConnections
    self.halfFrameBytes = halfFrameBytes
    self.handshakeDeadline = handshakeDeadline
    self.frameDeadline = frameDeadline
    self.stallDeadline = stallDeadline
    self.silenceDeadline = silenceDeadline
    self.closeDeadline = closeDeadline
    self.connectDeadline = connectDeadline
    self.redialMinimum = redialMinimum
    self.redialMaximum = redialMaximum
  }

  /// Between nodes: few connections, big frames, big reads.
  package static let peer = TransportLimits(
    maximumFrameLength: 8 << 20, outboundBytes: 64 << 20, receiveBufferBytes: 256 << 10,
    maximumConnections: 256, halfFrameBytes: 256 << 20, silenceDeadline: .seconds(2))

  /// From clients: many connections, each of which costs little.
  package static let client = TransportLimits(
    maximumFrameLength: 4 << 20, outboundBytes: 16 << 20, receiveBufferBytes: 32 << 10,
    maximumConnections: 4096, halfFrameBytes: 128 << 20)

  /// The relations between the limits; a violation is a mistake in the configuration, found at start.
  func check() {
    precondition(handshakeFrameLength >= 0 && handshakeFrameLength <= maximumFrameLength)
    precondition(maximumFrameLength <= Int(UInt32.max), "a frame's length has 32 bits")
    // So that a refused frame always leaves more waiting than the mark whose crossing is reported later.
    precondition(outboundBytes >= 2 * (maximumFrameLength + Frame.headerLength), "the longest frame must fit in twice")
    precondition(sharedOutboundBytes > 0)
    precondition(receiveBufferBytes >= 1 << 10 && receiveBufferBytes <= 16 << 20)
    precondition(maximumConnections > 0 && halfFrameBytes >= maximumFrameLength + Frame.headerLength)
    precondition(redialMinimum > .zero && redialMinimum <= redialMaximum)
    for deadline in [handshakeDeadline, frameDeadline, stallDeadline, closeDeadline, connectDeadline] {
      precondition(deadline > .zero)
    }
  }
}
