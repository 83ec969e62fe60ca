import LockstepExecution

/// One service of a machine, whatever its type.
protocol HostedService: Sendable {
  var schema: Schema { get }
  var methods: [HostedMethod] { get }
  var digest: UInt64 { get }
  /// Carries out consecutive commands of one method, and answers each.
  mutating func apply(_ method: Int, _ commands: CommandBatch, into replies: inout Replies)
  func query(_ method: Int, _ request: RawSpan, _ context: QueryContext) throws(CallStatus) -> [UInt8]
  /// What a call that is answered with a stream asks for.
  func stream(_ method: Int, _ request: RawSpan) throws(CallStatus) -> HostedStream
  var version: UInt32 { get }
  func freeze() -> any Snapshot
  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Self
}

/// What is known of a method apart from the service's type.
struct HostedMethod: Sendable {
  let name: String
  let kind: MethodKind
  let isLong: Bool
  let types: MessageTypes
}

/// As `MachineStream`, of one service.
struct HostedStream: Sendable {
  let start: MachineStream.Start
  let events: @Sendable (Change) -> [[UInt8]]
  let state: @Sendable (any HostedService, QueryContext, [UInt8]?) throws(CallStatus) -> [[UInt8]]
  let stateEnd: @Sendable (QueryContext) -> [UInt8]?
}

struct Host<State: ReplicatedService>: HostedService {
  private var state: State
  /// Objects, all of them MethodBox<State>: this code is not specialized for the service, and to copy a method, or to
  /// take it from an array of its type, would be to ask for that type at run time, for every call.
  private let boxes: [any AnyObject & Sendable]

  init() { self.init(State()) }

  var service: State { state }

  private init(_ state: State) {
    self.state = state
    boxes = State.methods.all.map { MethodBox($0) }
  }

  private func box(_ place: Int) -> MethodBox<State> { unsafeDowncast(boxes[place], to: MethodBox<State>.self) }

  var schema: Schema { State.schema }
  var methods: [HostedMethod] {
    State.methods.all.map { HostedMethod(name: $0.name, kind: $0.kind, isLong: $0.isLong, types: $0.types) }
  }
  var digest: UInt64 { state.digest }

  mutating func apply(_ method: Int, _ commands: CommandBatch, into replies: inout Replies) {
    if let body = box(method).command { return body(&state, commands, &replies) }
    let refusal = CallStatus(.invalidArgument, "\(box(method).name) is no command, and is not carried out from the log")
    for _ in 0..<commands.count { replies.fail(refusal) }
  }

  func query(_ method: Int, _ request: RawSpan, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    guard let body = box(method).query else {
      throw CallStatus(.invalidArgument, "\(box(method).name) is no query, and is not answered once from the state")
    }
    return try body(state, request, context)
  }

  func stream(_ method: Int, _ request: RawSpan) throws(CallStatus) -> HostedStream {
    guard let watch = box(method).watch else {
      throw CallStatus(.invalidArgument, "\(box(method).name) answers once, and with no stream")
    }
    let body = try watch(request)
    return HostedStream(
      start: body.start, events: body.events,
      state: { (host, context, last) throws(CallStatus) in
        guard let host = host as? Host<State> else { return [] }
        return try body.state(host.state, context, last)
      }, stateEnd: body.stateEnd)
  }

  var version: UInt32 { State.version }

  func freeze() -> any Snapshot { state.freeze() }

  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Host {
    Host(try State(restoring: &snapshot))
  }
}

/// The function of a method, as what it is: to look into an enum of both kinds would be to ask for the service's type.
private final class MethodBox<State: ReplicatedService>: Sendable {
  let name: String
  let command: CommandBody<State>?
  let query: (@Sendable (borrowing State, RawSpan, QueryContext) throws(CallStatus) -> [UInt8])?
  let watch: (@Sendable (RawSpan) throws(CallStatus) -> WatchBody<State>)?

  init(_ method: Method<State>) {
    name = method.name
    switch method.body {
    case .command(let body): (command, query, watch) = (body, nil, nil)
    case .query(let body): (command, query, watch) = (nil, body, nil)
    case .watch(let body): (command, query, watch) = (nil, nil, body)
    }
  }
}
