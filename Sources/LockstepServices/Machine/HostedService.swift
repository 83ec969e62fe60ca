import LockstepExecution

/// One service of a machine, whatever its type.
protocol HostedService: Sendable {
  var schema: Schema { get }
  var methods: [HostedMethod] { get }
  var digest: UInt64 { get }
  mutating func apply(_ method: Int, _ command: CommandBatch.Command) throws(Status) -> [UInt8]
  func query(_ method: Int, _ request: UnsafeRawBufferPointer, _ context: QueryContext) throws(Status) -> [UInt8]
  func snapshot(_ write: ([UInt8]) -> Void)
  func restored(from snapshot: [UInt8]) throws(Status) -> Self
}

/// What is known of a method apart from the service's type.
struct HostedMethod: Sendable {
  let name: String
  let kind: MethodKind
  let types: MessageTypes
}

struct Host<State: Service>: HostedService {
  private var state: State
  /// Objects: this code is not specialized for the service, and to copy a method would be to ask for its type at run
  /// time, for every call.
  private let bodies: [MethodBox<State>]

  init() { self.init(State()) }

  var service: State { state }

  private init(_ state: State) {
    self.state = state
    bodies = State.methods.all.map { MethodBox($0) }
  }

  var schema: Schema { State.schema }
  var methods: [HostedMethod] {
    bodies.map { HostedMethod(name: $0.method.name, kind: $0.method.kind, types: $0.method.types) }
  }
  var digest: UInt64 { state.digest }

  mutating func apply(_ method: Int, _ command: CommandBatch.Command) throws(Status) -> [UInt8] {
    guard case .command(let body) = bodies[method].method.body else {
      throw Status(.invalidArgument, "\(bodies[method].method.name) is a query, and is not carried out from the log")
    }
    var context = command.context
    return try body(&state, command.call.request, &context)
  }

  func query(_ method: Int, _ request: UnsafeRawBufferPointer, _ context: QueryContext) throws(Status) -> [UInt8] {
    guard case .query(let body) = bodies[method].method.body else {
      throw Status(
        .invalidArgument, "\(bodies[method].method.name) is a command, and is carried out from the log alone")
    }
    return try body(state, request, context)
  }

  func snapshot(_ write: ([UInt8]) -> Void) { state.snapshot(write) }

  func restored(from snapshot: [UInt8]) throws(Status) -> Host { Host(try State(restoring: snapshot)) }
}

private final class MethodBox<State: Service>: Sendable {
  let method: Method<State>
  init(_ method: Method<State>) { self.method = method }
}
