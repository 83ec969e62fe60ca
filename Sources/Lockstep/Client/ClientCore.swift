import LockstepExecution
import LockstepTransport
import LockstepWire
import NIOCore

/// The client's state, confined to its event loop: one connection at a time, the calls that wait for one, and the calls
/// that wait for an answer.
///
/// A call is sent again only when it was answered with UNAVAILABLE and was certainly not carried out: at the leader that
/// the answer names, else at the next endpoint, and until its time-out. What may have been carried out is never repeated,
/// unless it is in a session, where that does no harm.
final class ClientCore {
  struct Waiting {
    let operation: Operation
    let ticket: CallTicket
    let deadline: NIODeadline
    /// How often it was refused, and what was said the last time; nil: it was never sent.
    var refusals = 0
    var refusal: Outcome?
    /// It was sent, and nobody has said what became of it: it is in a session, and sent again.
    var isInDoubt = false
  }

  enum State {
    case idle
    case connecting(Link)
    case ready(Link, Connection)
    case closed
  }

  /// The node answers at a call's deadline; only when that is so long past does the client take it for dead.
  private static let grace = TimeAmount.milliseconds(500)
  static let handshakeTimeout = TimeAmount.seconds(1)
  private static let maximumReplyBytes = 64 << 20
  /// What a node takes in a frame beside the bytes of requests.
  private static let envelopeBytes = 64 << 10
  /// Before a call is sent again to nodes that have all refused it, doubling from the one to the other.
  private static let pauses = (shortest: TimeAmount.milliseconds(10), longest: TimeAmount.milliseconds(320))

  let eventLoop: any EventLoop
  let endpoints: [Endpoint]
  let codec = Codec(maximumMessage: ClientCore.maximumReplyBytes)
  var state = State.idle
  /// Of the endpoint in use, or of the one that is tried next.
  var place = 0
  /// The node at each endpoint, once it has said its number; 0: not known.
  var nodes: [UInt64]
  /// Why each endpoint failed that was tried since the last success.
  var failures: [String] = []
  /// They go out as soon as there is a connection.
  var waiting: [Waiting] = []
  /// They wait for `retry`.
  private var refused: [Waiting] = []
  private(set) var retry: Scheduled<Void>?
  private var underWay: [UInt64: (call: Waiting, connection: Connection)] = [:]
  /// Over them nothing more is sent; each ends with its last answer.
  var leaving: [(link: Link, connection: Connection)] = []
  private var nextID: UInt64 = 1
  private var sweep: RepeatingTimer?
  /// Of the state `connecting`: open, and without a welcome yet.
  var opening: Connection?
  var handshake: Scheduled<Void>?
  private var isFlushScheduled = false
  var maximumRequestBytes = Int.max
  /// Of the node that is connected.
  var history = CallReply.History()
  var streams: [ClientStream] = []
  var streamWatch: RepeatingTimer?
  /// The furthest that any answer has shown.
  private var seen: ReadToken?

  init(endpoints: [Endpoint], on eventLoop: any EventLoop) {
    self.endpoints = endpoints
    self.eventLoop = eventLoop
    nodes = Array(repeating: 0, count: endpoints.count)
  }

  static var limits: TransportLimits {
    var limits = TransportLimits.peer
    limits.maximumFrameLength = maximumReplyBytes
    limits.outboundBytes = 3 * maximumReplyBytes
    limits.receiveBufferBytes = 64 << 10
    // A call has a time-out of its own.
    limits.silenceDeadline = nil
    return limits
  }

  // MARK: Calls

  func submit(_ operation: Operation, _ ticket: CallTicket) {
    var refusal: String?
    if case .closed = state { refusal = "the client is closed" }
    if ticket.isCancelled { refusal = Self.cancelled }
    if let refusal { return fail(operation, CallStatus(.cancelled, refusal)) }
    if endpoints.isEmpty {
      return fail(operation, CallStatus(.failedPrecondition, "the client was given no endpoints"))
    }
    let timeout = TimeAmount.milliseconds(Int64(clamping: operation.timeout.milliseconds))
    waiting.append(
      Waiting(operation: operation, ticket: ticket, deadline: .now() + timeout, isInDoubt: !operation.isFresh))
    watchDeadlines()
    switch state {
    case .idle where retry == nil: connect()
    case .ready(_, let connection): sendWaiting(connection)
    case .idle, .connecting, .closed: break
    }
  }

  func sendWaiting(_ connection: Connection) {
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
    let id = takeID()
    let kind: FrameKind
    switch call.operation {
    case .call(let method, let request, let options, _):
      guard request.count <= maximumRequestBytes else {
        let message = "the request has \(request.count) bytes, the limit is \(maximumRequestBytes)"
        fail(call, CallFailure(CallStatus(.resourceExhausted, message), applied: .no))
        return
      }
      pack(id, method, request, timeLeft(call, options))
      kind = .call
    case .batch(let method, let requests, let options, _):
      let bytes = requests.reduce(0) { $0 + $1.count }
      guard bytes <= maximumRequestBytes else {
        let message = "the batch's requests have \(bytes) bytes, the limit is \(maximumRequestBytes)"
        fail(call, CallFailure(CallStatus(.resourceExhausted, message), applied: .no))
        return
      }
      codec.pack(batch: id, method, requests, timeLeft(call, options))
      guard codec.packed.count <= maximumRequestBytes + Self.envelopeBytes else {
        let message = "the batch has \(requests.count) requests, more than fit in a frame"
        fail(call, CallFailure(CallStatus(.resourceExhausted, message), applied: .no))
        return
      }
      kind = .batch
    case .schemas:
      codec.pack(describe: id)
      kind = .describe
    case .status:
      codec.pack(statusRequest: id)
      kind = .status
    case .snapshot:
      codec.pack(snapshotRequest: id)
      kind = .snapshot
    }
    let result = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    switch result {
    case .queued: underWay[id] = (call, connection)
    case .full, .tooLong:
      fail(call, CallFailure(CallStatus(.resourceExhausted, "too much is waiting to be sent"), applied: .no))
    case .closed: waiting.append(call)
    }
  }

  func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  /// Of a call that has waited, what is left: the node is to answer by its deadline, and not later.
  private func timeLeft(_ call: Waiting, _ options: CallOptions) -> CallOptions {
    var options = options
    options.timeout = .nanoseconds(max(0, (call.deadline - NIODeadline.now()).nanoseconds))
    return options
  }

  private func pack(_ id: UInt64, _ method: String, _ request: [UInt8], _ options: CallOptions) {
    var header = CallHeader(
      id: id, timeoutMilliseconds: max(1, options.timeout.milliseconds), ack: options.acknowledgement.number,
      voters: options.acknowledgement.voters,
      read: options.consistency.number)
    if let sequence = options.sequence { (header.session, header.sequence) = (sequence.session, sequence.number) }
    switch options.consistency {
    case .at(let index): header.readIndex = index.rawValue
    case .bounded(let bound): header.readBoundMilliseconds = bound.milliseconds
    case .session: if let token = options.token ?? seen { header.token = Codec.bytes(token) }
    case .linearizable, .lease, .any: break
    }
    var method = method
    method.withUTF8 { method in
      request.withUnsafeBytes { request in
        codec.pack(header, method: UnsafeRawBufferPointer(method), payload: request)
      }
    }
  }

  private static let cancelled = "the task that made the call was cancelled"

  /// Nobody waits for it any more. What was sent may have an effect all the same.
  func cancel(_ ticket: CallTicket) {
    ticket.isCancelled = true
    let status = CallStatus(.cancelled, Self.cancelled)
    if let (id, entry) = underWay.first(where: { $0.value.call.ticket === ticket }) {
      underWay[id] = nil
      fail(entry.call, CallFailure(status, applied: .unknown))
      return endIfAnswered(entry.connection)
    }
    for call in waiting + refused where call.ticket === ticket { fail(call, CallFailure(status, applied: .no)) }
    waiting.removeAll { $0.ticket === ticket }
    refused.removeAll { $0.ticket === ticket }
  }

  private func fail(_ operation: Operation, _ status: CallStatus) {
    operation.continuation.resume(returning: .failure(CallFailure(status, applied: .no)))
  }

  func fail(_ call: Waiting, _ failure: CallFailure) { resume(call, .failure(failure)) }

  func close() {
    switch state {
    case .connecting(let link), .ready(let link, _): link.stop()
    case .idle, .closed: break
    }
    state = .closed
    handshake?.cancel()
    retry?.cancel()
    retry = nil
    for (link, _) in leaving { link.stop() }
    leaving.removeAll()
    sweep?.stop()
    sweep = nil
    closeStreams()
    let status = CallStatus(.cancelled, "the client was closed")
    for call in waiting + refused { fail(call, CallFailure(status, applied: .no)) }
    waiting.removeAll()
    refused.removeAll()
    failUnderWay(status) { _ in true }
  }

  /// They were sent, and nobody will say what became of them.
  func failUnderWay(_ status: CallStatus, on isMeant: (Connection) -> Bool) {
    for (id, entry) in underWay.filter({ isMeant($0.value.connection) }).sorted(by: { $0.key < $1.key }) {
      underWay[id] = nil
      fail(entry.call, CallFailure(status, applied: .unknown))
    }
  }

  /// They were sent over this connection, and nobody will say on it what became of them.
  func lost(_ connection: Connection, _ status: CallStatus) {
    for (id, entry) in underWay.filter({ $0.value.connection === connection }).sorted(by: { $0.key < $1.key })
    where entry.call.operation.isInSession && entry.call.deadline > .now() {
      underWay[id] = nil
      sendAgain(entry.call, after: .failure(CallFailure(status, applied: .unknown)))
    }
    failUnderWay(status) { $0 === connection }
  }

  private func sendAgain(_ call: Waiting, after outcome: Outcome) {
    var call = call
    call.refusals += 1
    call.refusal = outcome
    if outcome.isInDoubt { call.isInDoubt = true }
    refused.append(call)
    retrySoon()
  }

  /// What is said of a call that was sent before is said of that sending alone.
  private func resume(_ call: Waiting, _ outcome: Outcome) {
    call.operation.continuation.resume(returning: call.isInDoubt ? outcome.inDoubt : outcome)
  }

  // MARK: Answers

  /// What this client has seen; another cluster's begins anew.
  func note(_ token: ReadToken?) {
    guard let token else { return }
    if let seen, seen.incarnation == token.incarnation, seen.group == token.group, seen.index >= token.index { return }
    seen = token
  }

  func finish(_ id: UInt64, _ outcome: Outcome, from connection: Connection) {
    guard let (call, _) = underWay.removeValue(forKey: id) else { return }
    if call.deadline > .now(), let leader = outcome.leaderIfRefused {
      leave(connection, for: leader)
      sendAgain(call, after: outcome)
    } else if call.deadline > .now(), call.operation.isInSession, outcome.isInDoubt {
      leave(connection, for: outcome.leader)
      sendAgain(call, after: outcome)
    } else {
      resume(call, outcome)
    }
    endIfAnswered(connection)
  }

  /// The next calls go to the leader that was named, else to the next endpoint.
  private func leave(_ connection: Connection, for leader: UInt64) {
    guard case .ready(let link, let current) = state, current === connection else { return }
    let named = leader == 0 ? nil : nodes.firstIndex(of: leader)
    let next = named.flatMap { $0 == place ? nil : $0 } ?? (place + 1) % endpoints.count
    guard next != place else { return }
    place = next
    state = .idle
    leaving.append((link, connection))
  }

  func endIfAnswered(_ connection: Connection) {
    guard let position = leaving.firstIndex(where: { $0.connection === connection }),
      !underWay.values.contains(where: { $0.connection === connection })
    else { return }
    leaving.remove(at: position).link.stop()
  }

  /// No node can be reached just now. What was refused before has until its time-out; the others fail at once.
  func failUnlessRefused(_ failure: CallFailure) {
    let calls = waiting
    waiting.removeAll()
    for var call in calls {
      guard call.refusal != nil else {
        fail(call, failure)
        continue
      }
      call.refusals += 1
      refused.append(call)
    }
    if !refused.isEmpty { retrySoon() }
  }

  /// A round of all endpoints goes fast, and after that they get time to find a leader.
  private func retrySoon() {
    guard retry == nil else { return }
    let rounds = (refused.map(\.refusals).max() ?? 0) - endpoints.count
    let pause: TimeAmount = rounds < 0 ? .zero : min(Self.pauses.longest, Self.pauses.shortest * (1 << min(rounds, 10)))
    retry = eventLoop.assumeIsolated().scheduleTask(in: pause) {
      self.retry = nil
      self.waiting.append(contentsOf: self.refused)
      self.refused.removeAll()
      switch self.state {
      case .idle: self.connect()
      case .ready(_, let connection): self.sendWaiting(connection)
      case .connecting, .closed: break
      }
    }
  }

  // MARK: Deadlines

  private func watchDeadlines() {
    guard sweep == nil else { return }
    sweep = RepeatingTimer(on: eventLoop, every: .milliseconds(10)) { self.sweepDeadlines() }
  }

  private func sweepDeadlines() {
    let now = NIODeadline.now()
    for call in (waiting + refused).filter({ $0.deadline <= now }) {
      let status = CallStatus(.deadlineExceeded, "no node was reached in time, nothing was sent")
      resume(call, call.refusal ?? .failure(CallFailure(status, applied: .no)))
    }
    waiting.removeAll { $0.deadline <= now }
    refused.removeAll { $0.deadline <= now }
    for id in underWay.filter({ $0.value.call.deadline + Self.grace <= now }).keys.sorted() {
      guard let (call, connection) = underWay.removeValue(forKey: id) else { continue }
      let status = CallStatus(.deadlineExceeded, "\(connection.remoteAddress) did not answer in time")
      fail(call, CallFailure(status, applied: .unknown))
      // A node that lets a deadline pass in silence is not asked again before the others.
      connection.closeNow(reason: .local("the node did not answer in time"))
    }
    if waiting.isEmpty, refused.isEmpty, underWay.isEmpty {
      sweep?.stop()
      sweep = nil
    }
  }
}
