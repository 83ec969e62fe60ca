import Lockstep
import LockstepTransport
import LockstepWire
import NIOCore

/// What a load consists of.
struct Load: Sendable {
  enum Operation: String, Sendable, CaseIterable {
    case put
    case get
  }
  var operation: Operation
  /// Connections, and calls under way on each.
  var clients: Int
  var depth: Int
  var valueBytes: Int
  var keys: Int
  var timeoutMilliseconds: UInt64 = 5000
  var consistency: UInt32 = 0
}

/// What came of it.
struct LoadResult: Sendable {
  var seconds = 0.0
  var calls = 0
  var errors = 0
  var firstError: String?
  /// In nanoseconds, sorted.
  var latencies: [UInt32] = []

  func percentile(_ part: Double) -> Double {
    guard !latencies.isEmpty else { return 0 }
    return Double(latencies[min(latencies.count - 1, Int(part * Double(latencies.count)))]) / 1000
  }
}

/// A closed loop over TCP, from its own process, as a user's would be: each connection has so many calls under way, and
/// sends the next when one is answered. Everything on one event loop, without a task or an allocation per call.
final class LoadGenerator {
  private final class Worker {
    var connection: Connection?
    var sent: [NIODeadline]
    init(depth: Int) { sent = Array(repeating: .now(), count: depth) }
  }

  private let load: Load
  private let endpoints: [Endpoint]
  private let eventLoop: any EventLoop
  private let codec = Codec(maximumMessage: 8 << 20)
  private var links: [Link] = []
  private var random: UInt64
  private let method: [UInt8]
  private var payload: [UInt8]
  private static let keyDigits = 10
  private var isCounting = false
  private var isOver = false
  private var result = LoadResult()
  private let finished: (LoadResult) -> Void

  init(
    _ load: Load, endpoints: [Endpoint], on eventLoop: any EventLoop, seed: UInt64,
    finished: @escaping (LoadResult) -> Void
  ) {
    self.load = load
    self.endpoints = endpoints
    self.eventLoop = eventLoop
    random = seed | 1
    self.finished = finished
    method = Array(
      (load.operation == .put ? "lockstep.kv.v1.KeyValue/Put" : "lockstep.kv.v1.KeyValue/Get").utf8)
    // Field 1, the key, and for a put field 2, the value: both strings; the key's digits change from call to call.
    payload = [0x0a, UInt8(Self.keyDigits)] + Array(repeating: UInt8(ascii: "0"), count: Self.keyDigits)
    if load.operation == .put {
      var length = [UInt8](repeating: 0, count: 10)
      let count = length.withUnsafeMutableBytes {
        Varint.write(UInt64(load.valueBytes), to: $0.baseAddress.unsafelyUnwrapped)
      }
      payload += [0x12] + length[..<count] + (0..<load.valueBytes).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    }
    result.latencies.reserveCapacity(1 << 20)
  }

  func start(warmup: TimeAmount, duration: TimeAmount) {
    for number in 0..<load.clients {
      let endpoint = endpoints[number % endpoints.count]
      let link = Link(
        host: endpoint.host, port: endpoint.port, on: eventLoop, limits: .client, seed: UInt64(number), delegate: self)
      links.append(link)
      link.start()
    }
    let loop = eventLoop.assumeIsolated()
    loop.scheduleTask(in: warmup) { self.isCounting = true }
    let begin = NIODeadline.now() + warmup
    loop.scheduleTask(in: warmup + duration) {
      self.isOver = true
      self.result.seconds = Double((NIODeadline.now() - begin).nanoseconds) / 1e9
      for link in self.links { link.stop() }
      self.result.latencies.sort()
      self.finished(self.result)
    }
  }

  private func nextKey() {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    var number = random % UInt64(max(1, load.keys))
    for place in stride(from: Self.keyDigits + 1, through: 2, by: -1) {
      payload[place] = UInt8(ascii: "0") + UInt8(number % 10)
      number /= 10
    }
  }

  private func call(_ connection: Connection, _ worker: Worker, slot: Int) {
    nextKey()
    let header = CallHeader(
      id: UInt64(slot), timeoutMilliseconds: load.timeoutMilliseconds, read: load.consistency)
    method.withUnsafeBytes { method in
      payload.withUnsafeBytes { payload in codec.pack(header, method: method, payload: payload) }
    }
    worker.sent[slot] = .now()
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.call.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }

  /// The two fields of a reply that a load looks at.
  private static func read(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> (id: UInt64, code: UInt64) {
    var cursor = WireCursor(bytes)
    var (id, code): (UInt64, UInt64) = (0, 0)
    while !cursor.isAtEnd {
      let tag = try cursor.varint()
      switch tag {
      case 1 << 3: id = try cursor.varint()
      case 2 << 3: code = try cursor.varint()
      default: try cursor.skipValue(wireType: tag & 7)
      }
    }
    return (id, code)
  }
}

extension LoadGenerator: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    connection.context = Worker(depth: load.depth)
    codec.pack(clientHello: WireVersion.oldest...WireVersion.current)
    _ = codec.packed.withUnsafeBytes {
      connection.send(
        kind: FrameKind.clientHello.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    connection.flush()
  }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    guard !isOver, let worker = connection.context as? Worker else { return }
    if kind == FrameKind.clientWelcome.rawValue {
      connection.established()
      for slot in 0..<load.depth { call(connection, worker, slot: slot) }
      return
    }
    do throws(WireError) {
      guard kind == FrameKind.callReply.rawValue else { throw WireError("a frame of kind \(kind)") }
      let (id, code) = try Self.read(payload)
      guard id < UInt64(load.depth) else { throw WireError("an answer to call \(id)") }
      if isCounting {
        result.calls += 1
        if code != 0 {
          result.errors += 1
          if result.firstError == nil { result.firstError = try codec.unpackReply(payload).message }
        }
        result.latencies.append(UInt32(clamping: (NIODeadline.now() - worker.sent[Int(id)]).nanoseconds))
      }
      call(connection, worker, slot: Int(id))
    } catch {
      connection.closeNow(reason: .local("not understood: \(error)"))
    }
  }

  func connectionReadCompleted(_ connection: Connection) { connection.flush() }
  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    guard !isOver else { return }
    result.errors += load.depth
    if result.firstError == nil { result.firstError = reason.description }
  }

  func link(_ link: Link, dialFailed reason: String) {
    if !isOver, result.firstError == nil { result.firstError = reason }
  }
}
