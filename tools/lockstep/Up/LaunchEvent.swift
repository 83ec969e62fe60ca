import Lockstep
import LockstepReflection

/// What scripts are told on stdout: a line `READY …`, or with --json one object a line for everything that happens.
enum LaunchEvent: Equatable, Sendable {
  case started(node: Int, process: Int32, listen: Endpoint)
  case ready(leader: UInt64, endpoints: [Endpoint])
  case exited(node: Int, process: Int32, Termination)

  /// The line for a person or a shell; nil when there is none.
  var text: String? {
    switch self {
    case .ready(let leader, let endpoints):
      "READY leader=\(leader) endpoints=\(endpoints.map(\.description).joined(separator: ","))"
    case .started, .exited: nil
    }
  }

  var json: JSONValue {
    switch self {
    case .started(let node, let process, let listen):
      .object([
        "event": "started", "node": .init(node), "pid": .init(process), "listen": .init(listen.description),
      ])
    case .ready(let leader, let endpoints):
      .object([
        "event": "ready", "leader": .init(leader),
        "endpoints": .array(endpoints.map { .init($0.description) }),
      ])
    case .exited(let node, let process, let termination):
      .object([
        "event": "exited", "node": .init(node), "pid": .init(process), "code": Self.code(termination),
        "signal": Self.signal(termination),
      ])
    }
  }

  private static func code(_ termination: Termination) -> JSONValue {
    if case .code(let code) = termination { return .init(code) }
    return .null
  }

  private static func signal(_ termination: Termination) -> JSONValue {
    if case .signal(let signal) = termination { return .init(signal) }
    return .null
  }
}
