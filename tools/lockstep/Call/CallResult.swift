import Lockstep
import LockstepExecution
import LockstepReflection

/// What became of a call.
enum CallResult: Sendable {
  case success(Reply, message: JSONValue)
  case failure(CallFailure)

  static func failure(_ code: CallStatus.Code, _ message: String, applied: CallFailure.Applied = .no) -> CallResult {
    .failure(CallFailure(CallStatus(code, message), applied: applied))
  }

  var envelope: JSONValue { envelope(of: nil) }

  /// The object that `call -` and `call --json` print.
  func envelope(of call: CallRequest?) -> JSONValue {
    var members =
      switch self {
      case .success(let reply, let message): Self.envelope(reply, message)
      case .failure(let failure): Self.envelope(failure)
      }
    if let call, call.session != 0 {
      members.append(.init(key: "session", value: .init(call.session)))
      members.append(.init(key: "sequence", value: .init(call.sequence)))
    }
    return .object(members)
  }

  private static func envelope(_ reply: Reply, _ message: JSONValue) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = [
      .init(key: "ok", value: true), .init(key: "reply", value: message),
      .init(key: "index", value: .init(reply.index.rawValue)), .init(key: "term", value: .init(reply.term.rawValue)),
      .init(key: "node", value: .init(reply.node.rawValue)),
    ]
    if let level = reply.acknowledgement {
      members.append(.init(key: "ack", value: .init(level.name)))
      members.append(.init(key: "holders", value: .array(reply.holders.map { JSONValue($0.rawValue) })))
      if level == .applied {
        members.append(.init(key: "appliedBy", value: .array(reply.appliedBy.map { JSONValue($0.rawValue) })))
      }
      // Only the leader's disk has it: nothing else in the reply would tell a reader who does not know the levels.
      if level == .leader { members.append(.init(key: "mayBeLost", value: true)) }
    }
    if let level = reply.consistency { members.append(.init(key: "read", value: .init(level.name))) }
    if let age = reply.age {
      members.append(.init(key: "ageMs", value: .init(UInt64((age / .milliseconds(1)).rounded(.up)))))
    }
    if let token = reply.token { members.append(.init(key: "token", value: .init(token.description))) }
    return members
  }

  private static func envelope(_ failure: CallFailure) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = [
      .init(key: "ok", value: false), .init(key: "code", value: .init(failure.status.code.name)),
      .init(key: "message", value: .init(failure.status.message)),
      .init(key: "applied", value: .init(failure.applied.rawValue)),
    ]
    let numbers = [
      ("index", failure.index?.rawValue), ("term", failure.term?.rawValue), ("node", failure.node?.rawValue),
    ]
    for case (let key, let value?) in numbers { members.append(.init(key: key, value: .init(value))) }
    if !failure.missing.isEmpty {
      members.append(.init(key: "missing", value: .array(failure.missing.map { JSONValue($0.rawValue) })))
    }
    if let token = failure.token { members.append(.init(key: "token", value: .init(token.description))) }
    return members
  }

  /// One line for a person.
  static func text(_ failure: CallFailure) -> String { "\(failure.status) (applied: \(failure.applied.rawValue))" }
}
