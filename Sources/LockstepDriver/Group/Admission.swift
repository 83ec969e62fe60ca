import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire

/// What a node takes in, and what it refuses before anything has happened.
struct Admission {
  let context: NodeContext
  let group: GroupID
  /// Of the cluster, as its tokens name it.
  let incarnation: UInt64

  private var limits: DriverLimits { context.limits }

  /// Takes the call in, with its permit, or throws: all of a batch or nothing.
  /// `voters`: how many there are, as far as this node knows.
  func admit(
    _ request: Request, _ lane: ApplyLane, leader: NodeID?, voters: @autoclosure () -> Int
  ) throws(CallStatus) -> Admitted {
    try context.stop.check(context.now)
    let kind = try check(request, lane, voters)
    if kind != .query, leader != context.id { _ = try context.forwarder.check(leader) }
    try context.ledger.take(calls: request.payloads.count, bytes: CallLedger.bytes(request))
    return kind
  }

  /// What was taken in.
  enum Admitted {
    case command
    case query
    /// A command of the sessions' own service.
    case ofSessions
  }

  private func check(_ request: Request, _ lane: ApplyLane, _ voters: () -> Int) throws(CallStatus) -> Admitted {
    try checkSize(request.payloads)
    guard let kind = try checkMethod(request, lane) else {
      try checkOfSessions(request)
      try check(acknowledgement: request.options, voters)
      return .ofSessions
    }
    switch kind {
    case .command:
      try check(acknowledgement: request.options, voters)
      try check(sequence: request)
      return .command
    case .query:
      try check(consistency: request)
      return .query
    case .stream:
      throw CallStatus(
        .invalidArgument,
        "'\(Self.readable(request.method))' answers with a stream: 'lockstep watch', or open it as one")
    }
  }

  private func checkSize(_ payloads: Payloads) throws(CallStatus) {
    let bytes = payloads.bytes
    guard payloads.isBatch else {
      guard bytes <= limits.requestBytes else {
        throw CallStatus(.resourceExhausted, "the request has \(bytes) bytes, the limit is \(limits.requestBytes)")
      }
      return
    }
    guard payloads.count > 0 else { throw CallStatus(.invalidArgument, "a batch of no requests") }
    guard payloads.count <= limits.batchRequests else {
      throw CallStatus(
        .resourceExhausted, "the batch has \(payloads.count) requests, the limit is \(limits.batchRequests)")
    }
    // The same as for one request, so that what a frame may be does not depend on what is in it.
    guard bytes <= limits.requestBytes else {
      throw CallStatus(
        .resourceExhausted, "the batch's requests have \(bytes) bytes, the limit is \(limits.requestBytes)")
    }
  }

  /// Nil: no method of the machine.
  private func checkMethod(_ request: Request, _ lane: ApplyLane) throws(CallStatus) -> MethodKind? {
    let (method, payloads) = (request.method, request.payloads)
    if case .one(let payload) = payloads { return try lane.check(MethodCall(method: method, request: payload)) }
    var kind: MethodKind?
    for position in 0..<payloads.count {
      do throws(CallStatus) { kind = try lane.check(MethodCall(method: method, request: payloads[position])) } catch {
        throw CallStatus(error.code, "request \(position) of \(payloads.count), counted from 0: \(error.message)")
      }
      guard let kind else { return nil }
      if kind != .command {
        throw CallStatus(.invalidArgument, "'\(Self.readable(method))' is a query, and a batch is of commands")
      }
    }
    return kind
  }

  private func checkOfSessions(_ request: Request) throws(CallStatus) {
    let method = request.method
    for position in 0..<request.payloads.count {
      switch SessionCall(method: method, payload: request.payloads[position]) {
      case nil: throw Self.unknown(method)
      case .invalid?:
        throw CallStatus(.invalidArgument, "the request is no message of '\(Self.readable(method))'")
      case _?: break
      }
    }
    guard !request.payloads.isBatch else {
      throw CallStatus(.invalidArgument, "'\(Self.readable(method))' is called one by one, and in no batch")
    }
    guard request.options.session == 0, request.options.sequence == 0 else {
      throw CallStatus(.invalidArgument, "'\(Self.readable(method))' is about sessions, and is no call in one")
    }
  }

  /// A call in a session has its number; without a session it has none.
  private func check(sequence request: Request) throws(CallStatus) {
    let (session, sequence) = (request.options.session, request.options.sequence)
    guard session != 0 else {
      guard sequence == 0 else {
        throw CallStatus(.invalidArgument, "sequence \(sequence) of no session: a session is to be opened first")
      }
      return
    }
    guard sequence > 0, sequence <= UInt64(Int64.max) - UInt64(request.payloads.count) else {
      throw CallStatus(.invalidArgument, "sequence \(sequence) of session \(session): they count from 1, to 2^63 - 1")
    }
  }

  private static func unknown(_ method: UnsafeRawBufferPointer) -> CallStatus {
    CallStatus(.unimplemented, "no service here has a method '\(readable(method))'")
  }

  private func check(acknowledgement options: RequestOptions, _ voters: () -> Int) throws(CallStatus) {
    // A number is a number, also where every voter is asked: while one is demoted, all are fewer.
    let least = max(options.acknowledgement.leastVoters, limits.minimumAcknowledgement.leastVoters)
    if case .voters(0) = options.acknowledgement {
      throw CallStatus(.invalidArgument, "an acknowledgement of no voters")
    }
    if least > 0 {
      let voters = voters()
      guard least <= voters else {
        throw CallStatus(.failedPrecondition, "an acknowledgement of \(least) voters, and there are \(voters)")
      }
    }
  }

  private func check(consistency request: Request) throws(CallStatus) {
    switch request.options.consistency {
    case .linearizable, .any, .at, .bounded: break
    case .session:
      guard let token = request.token else { return }
      guard token.incarnation == incarnation else {
        throw CallStatus(.failedPrecondition, "the token is of another cluster: begin without it")
      }
      guard token.group == group.rawValue else {
        throw CallStatus(.invalidArgument, "the token is of group \(token.group), and the call is for group \(group)")
      }
    case .lease:
      guard limits.leaseTime == 0 else { return }
      throw CallStatus(
        .failedPrecondition,
        "read level 'lease' is not served: the nodes were started without --lease-drift, the most by which their clocks may differ"
      )
    }
  }

  /// A method's name in a message: short, and only letters that do no harm.
  static func readable(_ method: UnsafeRawBufferPointer) -> String {
    String(decoding: method.prefix(200).map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
  }
}
