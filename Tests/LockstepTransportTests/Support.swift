import Foundation
import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import LockstepTransport

extension TransportLimits {
  /// Small enough that every limit can be reached.
  static let small = TransportLimits(
    maximumFrameLength: 64 << 10, handshakeFrameLength: 4 << 10, outboundBytes: 256 << 10,
    receiveBufferBytes: 4 << 10, maximumConnections: 64, halfFrameBytes: 1 << 20)
}

/// The bytes of one frame.
func frame(_ kind: UInt8, _ payload: some Collection<UInt8>) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: Frame.headerLength) + payload
  bytes.withUnsafeMutableBytes { Frame.seal($0, kind: kind) }
  return bytes
}

/// The bytes of a header that claims a payload, with no payload behind it.
func header(claiming length: UInt32) -> [UInt8] {
  var bytes = frame(1, [])
  withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<4, with: $0) }
  return bytes
}

struct Received: Equatable, CustomTestStringConvertible {
  let kind: UInt8
  let payload: [UInt8]
  var testDescription: String { "\(kind): \(payload.count) bytes \(payload.prefix(8))" }

  init(_ kind: UInt8, _ payload: [UInt8]) {
    self.kind = kind
    self.payload = payload
  }
}

/// Writes down what a delegate hears, and reacts as a test wants it to.
final class Recorder: ConnectionDelegate {
  var frames: [Received] = []
  var open: [Connection] = []
  var opened = 0
  var reads = 0
  var writable = 0
  var reasons: [CloseReason] = []
  var refusals: [CloseReason] = []
  var acceptFailures = 0
  var dialFailures: [String] = []
  var journal: [String] = []

  var onOpened: (Connection) -> Void = { _ in }
  var onFrame: (Connection, UInt8, UnsafeRawBufferPointer) -> Void = { _, _, _ in }
  var onReadCompleted: (Connection) -> Void = { _ in }
  var onWritable: (Connection) -> Void = { _ in }
  var onDialFailed: (String) -> Void = { _ in }
  var keepsFrames = true
  var inputsEnded = 0
  var closesAtInputEnd = true

  func connectionOpened(_ connection: Connection) {
    opened += 1
    open.append(connection)
    journal.append("opened \(connection.remoteAddress)")
    onOpened(connection)
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    if keepsFrames { frames.append(Received(kind, Array(payload))) }
    onFrame(connection, kind, payload)
  }

  func connectionReadCompleted(_ connection: Connection) {
    reads += 1
    onReadCompleted(connection)
  }

  func connectionWritabilityChanged(_ connection: Connection) {
    writable += 1
    onWritable(connection)
  }

  func connectionInputEnded(_ connection: Connection) {
    inputsEnded += 1
    if closesAtInputEnd { connection.close(reason: .peerClosed) }
  }

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    open.removeAll { $0 === connection }
    reasons.append(reason)
    journal.append("closed \(connection.remoteAddress)")
  }

  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {
    refusals.append(reason)
  }

  func listener(_ listener: Listener, acceptFailed reason: String) {
    acceptFailures += 1
  }

  func link(_ link: Link, dialFailed reason: String) {
    dialFailures.append(reason)
    onDialFailed(reason)
  }
}

/// One connection without a network under it.
struct Bench {
  let channel = EmbeddedChannel()
  let recorder = Recorder()
  let connection: Connection

  init(limits: TransportLimits = .small, memory: FrameMemory? = nil, established: Bool = true) throws {
    connection = Connection(
      channel: channel, role: .accepted, limits: limits,
      memory: memory ?? FrameMemory(halfFrameBytes: limits.halfFrameBytes), delegate: recorder, owner: nil)
    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(connection))
    channel.pipeline.fireChannelActive()
    if established { connection.established() }
  }

  /// What one read call brings.
  func read(_ bytes: some Collection<UInt8>) {
    var buffer = channel.allocator.buffer(capacity: bytes.count)
    buffer.writeBytes(bytes)
    channel.pipeline.fireChannelRead(buffer)
    channel.pipeline.fireChannelReadComplete()
    channel.embeddedEventLoop.run()
  }

  func hangUp() {
    channel.close(promise: nil)
    channel.embeddedEventLoop.run()
  }

  /// All that was flushed.
  func written() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
    return bytes
  }
}

/// A condition did not come true in time.
struct TookTooLong: Error {}

/// An event loop, and what a test keeps on it.
struct Stage<World>: Sendable {
  private let group: MultiThreadedEventLoopGroup
  private let world: NIOLoopBound<World>
  let loop: any EventLoop

  init(_ make: @escaping @Sendable (any EventLoop) throws -> World) throws {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    self.loop = loop
    world = try loop.submit { NIOLoopBound(try make(loop), eventLoop: loop) }.wait()
  }

  /// Runs on the loop, and waits for it.
  @discardableResult
  func on<Value: Sendable>(_ body: @escaping @Sendable (World) throws -> Value) throws -> Value {
    try loop.submit { try body(world.value) }.wait()
  }

  /// Waits until the condition, asked on the loop, is true.
  func until(seconds: Int64 = 20, _ condition: @escaping @Sendable (World) -> Bool) throws {
    let promise = loop.makePromise(of: Void.self)
    let deadline = NIODeadline.now() + .seconds(seconds)
    loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(1)) { task in
      guard condition(world.value) else {
        if NIODeadline.now() >= deadline {
          task.cancel()
          promise.fail(TookTooLong())
        }
        return
      }
      task.cancel()
      promise.succeed()
    }
    try promise.futureResult.wait()
  }

  func end() throws {
    try group.syncShutdownGracefully()
  }
}

/// A listener with its delegate, and links to it.
final class House {
  let recorder = Recorder()
  let dialer = Recorder()
  let loop: any EventLoop
  var listener: Listener?
  var links: [Link] = []
  var bindError: String?

  init(_ loop: any EventLoop) {
    self.loop = loop
  }

  func bind(port: Int = 0, _ limits: TransportLimits = .small) {
    Listener.bind(host: "127.0.0.1", port: port, on: loop, limits: limits, delegate: recorder) { result in
      switch result {
      case .success(let listener): self.listener = listener
      case .failure(let error): self.bindError = "\(error)"
      }
    }
  }

  @discardableResult
  func dial(port: Int? = nil, _ limits: TransportLimits = .small) -> Link {
    let link = Link(
      host: "127.0.0.1", port: port ?? listener?.localPort ?? 0, on: loop, limits: limits, seed: 7, delegate: dialer)
    links.append(link)
    link.start()
    return link
  }
}

extension Stage where World == House {
  /// A stage with a listener on a free port.
  init(limits: TransportLimits = .small, _ prepare: @escaping @Sendable (House) -> Void = { _ in }) throws {
    try self.init { loop in
      let house = House(loop)
      prepare(house)
      house.bind(limits)
      return house
    }
    try until { $0.listener != nil }
  }

  var port: Int {
    get throws { try on { $0.listener?.localPort ?? 0 } }
  }
}
