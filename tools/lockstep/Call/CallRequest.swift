import Lockstep
import LockstepReflection

/// One call as a person writes it: a line of `call -`, or the arguments of `call`.
struct CallRequest: Equatable, Sendable {
  var method: String
  var request: JSONValue
  var acknowledgement: Acknowledgement
  var consistency: Consistency
  var token: ReadToken?
  /// 0: none.
  var session: UInt64 = 0
  var sequence: UInt64 = 0
  var timeout: Duration

  var options: CallOptions {
    CallOptions(
      acknowledgement: acknowledgement, consistency: consistency, token: token,
      sequence: session == 0 ? nil : CallSequence(session: session, number: sequence), timeout: timeout)
  }

  /// Why a line is not a call, in words that name what is wrong.
  struct Malformed: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  init(method: String, request: JSONValue, defaults: CallOptions) {
    self.method = method
    self.request = request
    acknowledgement = defaults.acknowledgement
    consistency = defaults.consistency
    token = defaults.token
    (session, sequence) = (defaults.sequence?.session ?? 0, defaults.sequence?.number ?? 0)
    timeout = defaults.timeout
  }

  /// From `{"method":"package.Service/Method","request":{…},"ack":"quorum","read":"linearizable","timeout":"2s"}`. All
  /// but the method may be missing: then the request is an empty message, and the rest as in `defaults`.
  init(line: [UInt8], defaults: CallOptions) throws(Malformed) {
    let json: JSONValue
    do throws(JSONSyntaxError) { json = try JSONValue(parsing: line) } catch {
      throw Malformed("the line is not JSON: column \(error.column): \(error.reason)")
    }
    guard let members = json.object else { throw Malformed("the line is not a JSON object") }
    self.init(method: "", request: .object([]), defaults: defaults)
    var hasMethod = false
    for member in members {
      switch member.key {
      case "method":
        method = try Self.text(member)
        hasMethod = true
      case "request": request = member.value
      case "ack":
        let text = try Self.text(member)
        guard let level = Acknowledgement(text) else {
          throw Malformed("\"ack\": " + AckText.problem(text))
        }
        acknowledgement = level
      case "read":
        let text = try Self.text(member)
        guard let level = Consistency(text) else { throw Malformed("\"read\": " + ReadLevelText.problem(text)) }
        consistency = level
      case "token":
        let text = try Self.text(member)
        guard let token = ReadToken(text) else { throw Malformed("\"token\": " + TokenText.problem(text)) }
        self.token = token
      case "session": session = try Self.number(member)
      case "sequence": sequence = try Self.number(member)
      case "timeout": timeout = try Self.duration(member)
      default:
        throw Malformed(
          "unknown key \"\(member.key)\"; a call has method, request, ack, read, token, session, sequence and timeout")
      }
    }
    if !hasMethod { throw Malformed("\"method\" is missing") }
    guard (session == 0) == (sequence == 0) else {
      throw Malformed("\"session\" and \"sequence\" belong together: sequences count from 1")
    }
  }

  private static func number(_ member: JSONValue.Member) throws(Malformed) -> UInt64 {
    switch member.value {
    case .number(let text), .string(let text):
      if let number = UInt64(text) { return number }
    default: break
    }
    throw Malformed("\"\(member.key)\" is no whole number from 0")
  }

  private static func text(_ member: JSONValue.Member) throws(Malformed) -> String {
    guard let text = member.value.string else { throw Malformed("\"\(member.key)\" is not a string") }
    return text
  }

  private static func duration(_ member: JSONValue.Member) throws(Malformed) -> Duration {
    let text: String
    switch member.value {
    case .string(let value), .number(let value): text = value
    default: throw Malformed("\"timeout\" is neither a string nor a number of seconds")
    }
    guard let duration = TimeoutText.parse(text) else { throw Malformed("\"timeout\": " + TimeoutText.problem(text)) }
    return duration
  }
}
