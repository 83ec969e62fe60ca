import ArgumentParser
import Glibc
import Lockstep

/// Which cluster is meant.
struct ClusterOptions: ParsableArguments {
  static let variable = "LOCKSTEP_ENDPOINTS"
  static let defaults = "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403"

  @Option(
    help: ArgumentHelp(
      "Nodes of the cluster, in the order in which they are tried. (default: $\(variable), else \(defaults))",
      valueName: "host:port,..."))
  var endpoints: EndpointList?

  /// What the flag says, else the environment, else the ports of `lockstep up`.
  func resolved(environment: String? = getenv(variable).map { String(cString: $0) }) throws -> [Endpoint] {
    if let endpoints { return endpoints.list }
    return try Self.named(by: environment) ?? EndpointList(Self.defaults).list
  }

  /// Nil: the environment names none.
  static func named(by environment: String?) throws(CommandFailure) -> [Endpoint]? {
    guard let environment, !environment.isEmpty else { return nil }
    do { return try EndpointList(environment).list } catch {
      throw .usage("the environment variable \(variable): \(error)")
    }
  }

  func client() throws -> LockstepClient { LockstepClient(endpoints: try resolved()) }
}

/// `HOST:PORT,HOST:PORT`.
struct EndpointList: ExpressibleByArgument, Equatable {
  struct Malformed: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  let list: [Endpoint]

  init(_ text: String) throws(Malformed) {
    var list: [Endpoint] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let name = String(part.drop { $0 == " " })
      guard let endpoint = Endpoint(name), endpoint.port > 0 else {
        throw Malformed(description: "'\(part)' is not HOST:PORT, as in 127.0.0.1:7401")
      }
      list.append(endpoint)
    }
    self.list = list
  }

  init?(argument: String) {
    guard let list = try? EndpointList(argument) else { return nil }
    self = list
  }
}

/// How calls are to be made that do not say it themselves.
struct CallDefaults: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A command is answered when it is durable: leader (there), quorum (on a majority), 2, 3 ... (a majority, and so many voters), all (on every voter); or applied (on every voter).",
      valueName: "level"),
    completion: .list(AckText.levels), transform: AckText.parse)
  var ack: Acknowledgement = .quorum

  @Option(
    help: ArgumentHelp(
      "What a query must see: linearizable, lease, session, bounded:DURATION, at:INDEX or any.", valueName: "level"),
    transform: ReadLevelText.parse)
  var read: Consistency = .linearizable

  @Option(
    help: ArgumentHelp("With --read session: see at least what this token of a reply has seen.", valueName: "token"),
    transform: TokenText.required)
  var token: ReadToken?

  @Option(
    help: ArgumentHelp("After this long the call fails: 250ms, 5s, 2m.", valueName: "duration"),
    transform: TimeoutText.required)
  var timeout: Duration = .seconds(5)

  var callOptions: CallOptions {
    CallOptions(acknowledgement: ack, consistency: read, token: token, timeout: timeout)
  }
}

enum AckText {
  static let levels = ["leader", "quorum", "all", "applied"]

  static func parse(_ text: String) throws -> Acknowledgement {
    guard let level = Acknowledgement(text) else { throw ValidationError(problem(text)) }
    return level
  }

  static func problem(_ text: String) -> String {
    "'\(text)' is no level of acknowledgement; there are leader, quorum, a number of voters from 1, all and applied"
  }
}

enum ReadLevelText {
  static func parse(_ text: String) throws -> Consistency {
    guard let level = Consistency(text) else { throw ValidationError(problem(text)) }
    return level
  }

  static func problem(_ text: String) -> String {
    "'\(text)' is no level of reading; there are linearizable, lease, session, bounded:DURATION (as in bounded:500ms, at "
      + "most a year), at:INDEX (a number of 64 bits) and any"
  }
}

enum TokenText {
  static func required(_ text: String) throws -> ReadToken {
    guard let token = ReadToken(text) else { throw ValidationError(problem(text)) }
    return token
  }

  static func problem(_ text: String) -> String {
    "'\(text)' is no token; one stands in the reply of a call with --json, as in 1.9f86d081884c7d65.2.17"
  }
}

enum SequenceText {
  static func parse(_ text: String) throws -> CallSequence {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt64($0) }
    guard parts.count == 2, let session = parts[0], let number = parts[1], session > 0, number > 0 else {
      throw ValidationError("'\(text)' is no call in a session; one is ID:N, as in 17:1, both from 1")
    }
    return CallSequence(session: session, number: number)
  }
}

enum TimeoutText {
  static func parse(_ text: String) -> Duration? {
    guard let duration = Duration(parsing: text), duration > .zero else { return nil }
    return duration
  }

  static func required(_ text: String) throws -> Duration {
    guard let duration = parse(text) else { throw ValidationError(problem(text)) }
    return duration
  }

  static func problem(_ text: String) -> String {
    "'\(text)' is no time to wait; write it like 250ms, 5s or 2m: more than 0, and at most a year"
  }
}
