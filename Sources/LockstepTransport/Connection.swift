import Glibc
package import NIOCore
import Synchronization

/// One TCP connection that carries frames both ways.
///
/// Lives on one event loop, on which every call is made and every callback comes. Nothing here allocates, awaits or
/// makes a promise per frame: frames are filled in place into one buffer, which is handed to the channel per `flush`.
package final class Connection {
  package enum Role: Sendable {
    case accepted
    case dialed
  }

  /// `opening` → `open` → (`closing` →) `ended`; any of them may end at once.
  enum State {
    /// The channel is being set up; nobody was told of it.
    case opening
    case open
    /// `close` was called: output is being flushed, input is thrown away.
    case closing
    /// The channel is closed, or is about to be in this very call.
    case ended
  }

  /// Unique in this process.
  package let id: UInt64
  package let role: Role
  package let eventLoop: any EventLoop
  /// "127.0.0.1:4711", also after the end.
  package internal(set) var remoteAddress = "?"
  /// Longest payload accepted from now on. `handshakeFrameLength` at first, raised by `established()`.
  package var maximumFrameLength: Int
  /// For the owner's own state of this connection.
  package var context: AnyObject?
  package private(set) var isEstablished = false

  let channel: any Channel
  let limits: TransportLimits
  let memory: FrameMemory
  let setup: ChannelSetup
  var delegate: (any ConnectionDelegate)?
  private var owner: (any ConnectionOwner)?

  // Input.
  private let decoder: FrameDecoder
  private var acceptsInput = true
  private var isPaused = false
  private var resumeIsScheduled = false
  /// Guards the decoder: NIO reads what is left of a broken connection inside of a failing `flush`.
  private var isDecoding = false
  /// What was read there; it is handed out after that call.
  private var late = ByteBuffer()
  private var framesReported: UInt64 = 0
  /// The peer sends nothing more, though it may still read.
  private var inputHasEnded = false

  // Output; see Connection+Output.swift.
  var channelContext: ChannelHandlerContext?
  var outbound = ByteBuffer()
  /// Handed to the channel in all; wraps.
  var bytesHandedOver: UInt64 = 0
  /// At most so much of it still waits in the channel. Exact only after `measureChannel()`.
  var bytesInChannel = 0
  var isFlushing = false
  var isFull = false

  private(set) var state = State.opening
  private(set) var closeReason: CloseReason?
  /// The delegate was told that it is open, and has to be told of the end.
  private var isReported = false
  private var lingering: Scheduled<Void>?
  private var deadlines = ConnectionDeadlines()
  private static let lastID = Atomic<UInt64>(0)

  init(
    channel: any Channel, role: Role, limits: TransportLimits, memory: FrameMemory,
    delegate: any ConnectionDelegate, owner: (any ConnectionOwner)?
  ) {
    id = Self.lastID.add(1, ordering: .relaxed).newValue
    self.role = role
    self.channel = channel
    self.limits = limits
    self.memory = memory
    setup = ChannelSetup(limits)
    self.delegate = delegate
    self.owner = owner
    eventLoop = channel.eventLoop
    maximumFrameLength = limits.handshakeFrameLength
    decoder = FrameDecoder(memory: memory, receiveBufferBytes: limits.receiveBufferBytes)
  }

  /// Whether `send` may still be answered with `.queued`.
  package var isOpen: Bool { state == .open }

  /// The owner's handshake is complete: its deadline is lifted, and frames may be as long as the limits say.
  package func established() {
    eventLoop.assertInEventLoop()
    guard state == .open, !isEstablished else { return }
    isEstablished = true
    maximumFrameLength = limits.maximumFrameLength
    owner?.connectionEstablished(self)
  }

  // MARK: Closing

  /// Flushes what was sent, so that for example a refusal reaches the peer, and then closes. Takes `closeDeadline` at
  /// most. Nothing is received any more, and `send` answers `.closed`.
  package func close(reason: CloseReason) {
    eventLoop.assertInEventLoop()
    guard state == .open else {
      if state == .opening { closeNow(reason: reason) }
      return
    }
    closeReason = closeReason ?? reason
    acceptsInput = false
    flush()
    guard state == .open else { return }
    state = .closing
    // Only the sending half: a socket that is closed with unread input makes the kernel send a reset, which may
    // overtake what was just flushed. So input is read, and thrown away, until the peer hangs up too.
    if isPaused { setAutoRead(true) }
    let loop = eventLoop.assumeIsolated()
    lingering = loop.scheduleTask(in: TimeAmount(limits.closeDeadline)) { self.endChannel() }
    let halfClosed = eventLoop.makePromise(of: Void.self)
    halfClosed.futureResult.assumeIsolated().whenFailure { _ in self.endChannel() }
    channel.close(mode: .output, promise: halfClosed)
  }

  /// Closes at once; what was not flushed is lost.
  package func closeNow(reason: CloseReason) {
    eventLoop.assertInEventLoop()
    guard state != .ended else { return }
    closeReason = closeReason ?? reason
    acceptsInput = false
    endChannel()
  }

  private func endChannel() {
    guard state != .ended else { return }
    state = .ended
    channel.close(promise: nil)
  }

  // MARK: Reading

  /// No frame is handed out any more, not even one that already arrived; the peer is slowed down by TCP.
  package func pauseReading() {
    eventLoop.assertInEventLoop()
    resumeIsScheduled = false
    guard !isPaused, state == .open else { return }
    isPaused = true
    setAutoRead(false)
  }

  /// Frames come again, in a later callback: never from within this call.
  package func resumeReading() {
    eventLoop.assertInEventLoop()
    guard isPaused, !resumeIsScheduled else { return }
    resumeIsScheduled = true
    eventLoop.assumeIsolated().execute { self.resume() }
  }

  private func resume() {
    guard resumeIsScheduled, state == .open else { return }
    resumeIsScheduled = false
    isPaused = false
    decode { decoder.resume(for: self) }
    readCompleted()
    if state == .open, !isPaused { setAutoRead(true) }
    reportInputEnd()
  }

  private func setAutoRead(_ isOn: Bool) {
    // Fails on a closed channel only, where it means nothing.
    try? channel.syncOptions?.setOption(.autoRead, value: isOn)
  }

  private func decode(_ body: () -> CloseReason?) {
    isDecoding = true
    let reason = body()
    isDecoding = false
    if let reason { closeNow(reason: reason) }
  }
}

extension Connection: FrameSink {
  package var takesFrames: Bool { acceptsInput && !isPaused }

  package func take(kind: UInt8, payload: UnsafeRawBufferPointer) {
    delegate?.connection(self, received: kind, payload)
  }
}

// MARK: What the channel tells

extension Connection {
  func opened() {
    guard state == .opening else { return }
    remoteAddress = describe(channel.remoteAddress)
    guard owner?.connectionOpened(self) ?? true else {
      endChannel()
      return
    }
    state = .open
    isReported = true
    delegate?.connectionOpened(self)
  }

  func read(_ buffer: ByteBuffer) {
    guard acceptsInput else { return }
    if isDecoding || isFlushing {
      late.writeImmutableBuffer(buffer)
    } else {
      buffer.withUnsafeReadableBytes { bytes in decode { decoder.receive(bytes, for: self) } }
    }
  }

  func readCompleted() {
    guard decoder.frames != framesReported, state == .open, !isFlushing, !isDecoding else { return }
    framesReported = decoder.frames
    delegate?.connectionReadCompleted(self)
  }

  /// The peer has shut down its sending half. What it sent before is still handed out, and can still be answered.
  func inputEnded() {
    guard state == .open else {
      // Nobody is left to wait for.
      if state == .closing { endChannel() }
      return
    }
    inputHasEnded = true
    if isFlushing || isDecoding {
      eventLoop.assumeIsolated().execute { self.reportInputEnd() }
    } else {
      reportInputEnd()
    }
  }

  private func reportInputEnd() {
    guard inputHasEnded, acceptsInput, !isPaused, state == .open else { return }
    acceptsInput = false
    let received = decoder.heldBytes
    if received > 0 { closeReason = closeReason ?? .peerClosedInFrame(received: received) }
    delegate?.connectionInputEnded(self)
  }

  /// The system's words where it is the system's error.
  static func words(of error: any Error) -> String {
    switch error {
    case let system as IOError: String(cString: strerror(system.errnoCode))
    case let unknown as SocketAddressError.UnknownHost: "no address of that name is known (\(unknown.errorDescription))"
    default: "\(error)"
    }
  }

  func failed(_ error: any Error) {
    closeReason = closeReason ?? .inputOutput(Self.words(of: error))
    // What was read before the error still counts; see `finish`.
    endChannel()
  }

  /// The channel is closed, perhaps from within a call of the owner's, who therefore hears of it in `finish`.
  func inactive() {
    state = .ended
  }

  /// The channel takes its handlers out, in a later turn of the loop: the last thing that happens.
  func finish() {
    // The last frames of a peer that hung up while something was being written to it: often the reason why.
    if acceptsInput, !isPaused, late.readableBytes > 0 {
      late.withUnsafeReadableBytes { bytes in decode { decoder.receive(bytes, for: self) } }
    }
    acceptsInput = false
    lingering?.cancel()
    lingering = nil
    let received = decoder.heldBytes
    let reason = closeReason ?? (received == 0 || isPaused ? .peerClosed : .peerClosedInFrame(received: received))
    decoder.forget()
    late = ByteBuffer()
    forgetOutput()
    channelContext = nil
    state = .ended
    let owner = owner, delegate = delegate
    self.owner = nil
    self.delegate = nil
    owner?.connectionEnded(self)
    if isReported { delegate?.connectionClosed(self, reason: reason) }
    context = nil
  }

  /// Bytes of memory behind what arrived and was not handed out yet.
  var heldCapacity: Int { decoder.heldCapacity }

  /// Called at a steady beat; the clock is never read for the sake of a frame.
  func checkDeadlines(_ allowed: DeadlineBeats) {
    guard state == .open else { return }
    if bytesInChannel > 0 { measureChannel() }
    let now = ConnectionDeadlines.Observation(
      isEstablished: isEstablished,
      frames: decoder.frames, isInFrame: decoder.heldBytes > 0 && !isPaused && !inputHasEnded,
      bytesAccepted: bytesHandedOver &- UInt64(bytesInChannel), bytesWaiting: bytesInChannel)
    switch deadlines.observe(now, allowed) {
    case nil: break
    case .handshake: closeNow(reason: .handshakeDeadline(limits.handshakeDeadline))
    case .frame: closeNow(reason: .frameDeadline(limits.frameDeadline))
    case .stall: closeNow(reason: .stalled(limits.stallDeadline, pendingBytes: pendingBytes))
    }
  }
}

func describe(_ address: SocketAddress?) -> String {
  guard let address else { return "?" }
  guard let ip = address.ipAddress, let port = address.port else { return "\(address)" }
  return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
}
