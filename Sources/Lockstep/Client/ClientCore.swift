import LockstepExecution
import LockstepTransport
import LockstepWire
import NIOCore

/// The client's state, confined to its event loop: one connection at a time, the calls that wait for one, and the calls
/// that wait for an answer.
final class ClientCore {
  enum Outcome: Sendable {
    case reply(CallReply)
    case batch(BatchReply)
    case schemas([(name: String, descriptorSet: [UInt8])])
    case status(NodeStatus)
    case failure(CallFailure)
  }

  enum Operation {
    case call(method: String, request: [UInt8], options: CallOptions, CheckedContinuation<Outcome, Never>)
    case batch(method: String, requests: [[UInt8]], options: CallOptions, CheckedContinuation<Outcome, Never>)
    case schemas(timeout: Duration, CheckedContinuation<Outcome, Never>)
    case status(timeout: Duration, CheckedContinuation<Outcome, Never>)

    var continuation: CheckedContinuation<Outcome, Never> {
      switch self {
      case .call(_, _, _, let continuation), .batch(_, _, _, let continuation), .schemas(_, let continuation),
        .status(_, let continuation):
        continuation
      }
    }

    var timeout: Duration {
      switch self {
      case .call(_, _, let options, _), .batch(_, _, let options, _): options.timeout
      case .schemas(let timeout, _), .status(let timeout, _): timeout
      }
    }
  }

  private struct Waiting {
    let operation: Operation
    let deadline: NIODeadline
  }

  private enum State {
    case idle
    case connecting(Link)
    case ready(Link, Connection)
    case closed
  }

  /// The node answers at a call's deadline; only when that is so long past does the client take it for dead.
  private static let grace = TimeAmount.milliseconds(500)
  private static let handshakeTimeout = TimeAmount.seconds(1)
  private static let maximumReplyBytes = 64 << 20
  /// What a node takes in a frame beside the bytes of requests.
  private static let envelopeBytes = 64 << 10

  private let eventLoop: any EventLoop
  private let endpoints: [Endpoint]
  private let codec = Codec(maximumMessage: ClientCore.maximumReplyBytes)
  private var state = State.idle
  private var place = 0
  /// Why each endpoint failed that was tried since the last success.
  private var failures: [String] = []
  private var waiting: [Waiting] = []
  private var underWay: [UInt64: Waiting] = [:]
  private var nextID: UInt64 = 1
  private var sweep: RepeatingTimer?
  private var handshake: Scheduled<Void>?
  private var isFlushScheduled = false
  private var maximumRequestBytes = Int.max

  init(endpoints: [Endpoint], on eventLoop: any EventLoop) {
    self.endpoints = endpoints
    self.eventLoop = eventLoop
  }

  private static var limits: TransportLimits {
    var limits = TransportLimits.peer
    limits.maximumFrameLength = maximumReplyBytes
    limits.outboundBytes = 3 * maximumReplyBytes
    limits.receiveBufferBytes = 64 << 10
    // A call has a time-out of its own.
    limits.silenceDeadline = nil
    return limits
  }

  // MARK: Calls

  func submit(_ operation: Operation) {
    if case .closed = state {
      operation.continuation.resume(
        returning: .failure(CallFailure(Status(.cancelled, "the client is closed"), applied: .no)))
      return
    }
    let timeout = TimeAmount.milliseconds(Int64(clamping: operation.timeout.milliseconds))
    waiting.append(Waiting(operation: operation, deadline: .now() + timeout))
    watchDeadlines()
    switch state {
    case .idle: connect()
    case .ready(_, let connection): sendWaiting(connection)
    case .connecting, .closed: break
    }
  }

  private func sendWaiting(_ connection: Connection) {
    let all = waiting
    waiting.removeAll(keepingCapacity: true)
    for (position, call) in all.enumerated() {
      guard connection.isOpen else {
        waiting.append(contentsOf: all[position...])
        break
      }
      send(call, connection)
    }
    guard !isFlushScheduled else { return }
    isFlushScheduled = true
    // Calls that other tasks make meanwhile go out in the same write.
    eventLoop.assumeIsolated().execute {
      self.isFlushScheduled = false
      if case .ready(_, let connection) = self.state { connection.flush() }
    }
  }

  private func send(_ call: Waiting, _ connection: Connection) {
    let id = nextID
    nextID += 1
    let kind: FrameKind
    switch call.operation {
    case .call(let method, let request, let options, _):
      guard request.count <= maximumRequestBytes else {
        let message = "the request has \(request.count) bytes, the limit is \(maximumRequestBytes)"
        fail(call, CallFailure(Status(.resourceExhausted, message), applied: .no))
        return
      }
      pack(id, method, request, options)
      kind = .call
    case .batch(let method, let requests, let options, _):
      let bytes = requests.reduce(0) { $0 + $1.count }
      guard bytes <= maximumRequestBytes else {
        let message = "the batch's requests have \(bytes) bytes, the limit is \(maximumRequestBytes)"
        fail(call, CallFailure(Status(.resourceExhausted, message), applied: .no))
        return
      }
      codec.pack(batch: id, method, requests, options)
      guard codec.packed.count <= maximumRequestBytes + Self.envelopeBytes else {
        let message = "the batch has \(requests.count) requests, more than fit in a frame"
        fail(call, CallFailure(Status(.resourceExhausted, message), applied: .no))
        return
      }
      kind = .batch
    case .schemas:
      codec.pack(describe: id)
      kind = .describe
    case .status:
      codec.pack(statusRequest: id)
      kind = .status
    }
    let result = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    switch result {
    case .queued: underWay[id] = call
    case .full, .tooLong:
      fail(call, CallFailure(Status(.resourceExhausted, "too much is waiting to be sent"), applied: .no))
    case .closed: waiting.append(call)
    }
  }

  private func pack(_ id: UInt64, _ method: String, _ request: [UInt8], _ options: CallOptions) {
    var header = CallHeader(
      id: id, timeoutMilliseconds: max(1, options.timeout.milliseconds), ack: options.acknowledgement.number,
      read: options.consistency.number)
    switch options.consistency {
    case .at(let index): header.readIndex = index
    case .bounded(let bound): header.readBoundMilliseconds = bound.milliseconds
    case .linearizable, .lease, .session, .any: break
    }
    var method = method
    method.withUTF8 { method in
      request.withUnsafeBytes { request in
        codec.pack(header, method: UnsafeRawBufferPointer(method), payload: request)
      }
    }
  }

  private func fail(_ call: Waiting, _ failure: CallFailure) {
    call.operation.continuation.resume(returning: .failure(failure))
  }

  // MARK: Connection

  private func connect() {
    let endpoint = endpoints[place]
    let link = Link(
      host: endpoint.host, port: endpoint.port, on: eventLoop, limits: Self.limits, seed: UInt64(place),
      delegate: self)
    state = .connecting(link)
    link.start()
  }

  /// This endpoint will not do: the next one, or none is left.
  private func giveUp(_ link: Link, _ reason: String) {
    handshake?.cancel()
    handshake = nil
    link.stop()
    state = .idle
    failures.append("\(endpoints[place]): \(reason)")
    place = (place + 1) % endpoints.count
    if failures.count < endpoints.count {
      connect()
      return
    }
    let status = Status(.unavailable, "no node can be reached: \(failures.joined(separator: "; "))")
    failures.removeAll()
    let calls = waiting
    waiting.removeAll()
    for call in calls { fail(call, CallFailure(status, applied: .no)) }
  }

  func close() {
    switch state {
    case .connecting(let link), .ready(let link, _): link.stop()
    case .idle, .closed: break
    }
    state = .closed
    handshake?.cancel()
    sweep?.stop()
    sweep = nil
    let status = Status(.cancelled, "the client was closed")
    for call in waiting { fail(call, CallFailure(status, applied: .no)) }
    waiting.removeAll()
    failUnderWay(status)
  }

  private func failUnderWay(_ status: Status) {
    let calls = underWay.sorted { $0.key < $1.key }
    underWay.removeAll(keepingCapacity: true)
    for (_, call) in calls { fail(call, CallFailure(status, applied: .unknown)) }
  }

  // MARK: Deadlines

  private func watchDeadlines() {
    guard sweep == nil else { return }
    sweep = RepeatingTimer(on: eventLoop, every: .milliseconds(10)) { self.sweepDeadlines() }
  }

  private func sweepDeadlines() {
    let now = NIODeadline.now()
    if waiting.contains(where: { $0.deadline <= now }) {
      let late = waiting.filter { $0.deadline <= now }
      waiting.removeAll { $0.deadline <= now }
      for call in late {
        let status = Status(.deadlineExceeded, "no node was reached in time, nothing was sent")
        fail(call, CallFailure(status, applied: .no))
      }
    }
    var isDead = false
    for id in underWay.filter({ $0.value.deadline + Self.grace <= now }).keys.sorted() {
      guard let call = underWay.removeValue(forKey: id) else { continue }
      isDead = true
      let status = Status(.deadlineExceeded, "\(endpoints[place]) did not answer in time")
      fail(call, CallFailure(status, applied: .unknown))
    }
    // A node that lets a deadline pass in silence is not asked again before the others.
    if isDead, case .ready(_, let connection) = state {
      connection.closeNow(reason: .local("the node did not answer in time"))
    }
    if waiting.isEmpty, underWay.isEmpty {
      sweep?.stop()
      sweep = nil
    }
  }
}

extension ClientCore: ConnectionDelegate {
  func connectionOpened(_ connection: Connection) {
    guard case .connecting(let link) = state else {
      connection.closeNow(reason: .local("not wanted any more"))
      return
    }
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
      guard case .connecting(let link) = state else { return }
      handshake?.cancel()
      handshake = nil
      maximumRequestBytes = Int(welcome.maximumRequestBytes)
      failures.removeAll()
      state = .ready(link, connection)
      connection.established()
      sendWaiting(connection)
    case .refusal:
      let reason = try codec.unpackRefusal(payload)
      connection.closeNow(reason: .local("the node refused: \(reason)"))
    case .callReply:
      let reply = try codec.unpackReply(payload)
      finish(reply.id, .reply(reply))
    case .batchReply:
      let reply = try codec.unpackBatchReply(payload)
      finish(reply.id, .batch(reply))
    case .describeReply:
      let (id, services) = try codec.unpackDescribeReply(payload)
      finish(id, .schemas(services))
    case .statusReply:
      let status = try codec.unpackStatus(payload)
      finish(status.id, .status(status))
    default: throw WireError("an unexpected frame")
    }
  }

  private func finish(_ id: UInt64, _ outcome: Outcome) {
    underWay.removeValue(forKey: id)?.operation.continuation.resume(returning: outcome)
  }

  func connectionReadCompleted(_ connection: Connection) {}
  func connectionWritabilityChanged(_ connection: Connection) {}

  func connectionClosed(_ connection: Connection, reason: CloseReason) {
    switch state {
    case .connecting(let link): giveUp(link, reason.description)
    case .ready(let link, let current) where current === connection:
      link.stop()
      state = .idle
      failUnderWay(Status(.unavailable, "the connection to \(endpoints[place]) was lost: \(reason)"))
      place = (place + 1) % endpoints.count
      if !waiting.isEmpty { connect() }
    case .ready, .idle, .closed: break
    }
  }

  func link(_ link: Link, dialFailed reason: String) {
    guard case .connecting(let current) = state, current === link else { return }
    giveUp(link, reason)
  }
}
