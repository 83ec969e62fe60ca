import ArgumentParser
import Lockstep
import LockstepConsensus
import LockstepReflection
import LockstepRequests

struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Follow what happens, as JSON lines.",
    usage: """
      lockstep watch SERVICE/METHOD JSON [--from INDEX | --token TOKEN] [--count N] [--endpoints ...]
      lockstep watch --changes [--service SERVICE] [--from INDEX | --token TOKEN] [--count N] [--endpoints ...]
      """,
    discussion: """
      The first form opens a method that answers with a stream, and prints each of its messages on one line. The second \
      follows the commands of any service as they are carried out:
        {"index":17,"term":2,"time":1764547200000000000,
         "method":"lockstep.kv.v1.KeyValue/Put",
         "request":{...},"reply":{...}}
      A command that failed has its "code" and "message" in the place of the reply. Each line is there once, in the order \
      of the log. When the node is lost that they come from, they go on at another one, with the next.

      It ends with Ctrl-C, or after --count lines and says then on stderr with which token it goes on, unless it is amid \
      the state or an entry. A node keeps so much of what has happened as 'lockstep node --change-window' says: what is \
      older is OUT_OF_RANGE.

      Example: lockstep watch lockstep.kv.v1.KeyValue/Watch '{"prefix":"user/","includeInitial":true}'
      """)

  @Argument(help: "The method, like lockstep.kv.v1.KeyValue/Watch.")
  var method: String?

  @Argument(help: "The request message.")
  var json: String?

  @Flag(help: "Follow the commands, with their replies.")
  var changes = false

  @Option(help: ArgumentHelp("With --changes: the commands of this service alone.", valueName: "service"))
  var service: String?

  @Option(help: ArgumentHelp("Begin with this index: the first line has it, or a higher one.", valueName: "index"))
  var from: UInt64?

  @Option(
    help: ArgumentHelp("Begin behind what this token has seen.", valueName: "token"), transform: TokenText.required)
  var token: ReadToken?

  @Option(help: ArgumentHelp("End after so many lines.", valueName: "n"))
  var count: Int?

  @Option(
    help: ArgumentHelp("So long a node is looked for that goes on: 250ms, 5s, 2m.", valueName: "duration"),
    transform: TimeoutText.required)
  var patience: Duration = .seconds(60)

  @OptionGroup var cluster: ClusterOptions

  func validate() throws {
    if changes {
      guard method == nil else { throw ValidationError("--changes follows all commands, and takes no method.") }
    } else {
      guard let method else {
        throw ValidationError(
          "The method is missing: lockstep watch SERVICE/METHOD '{...}', or lockstep watch --changes")
      }
      guard json != nil else { throw ValidationError("The request is missing: lockstep watch \(method) '{...}'") }
      guard service == nil else { throw ValidationError("--service belongs to --changes.") }
    }
    guard from == nil || token == nil else { throw ValidationError("--from and --token both say where to begin.") }
    if let count, count < 1 { throw ValidationError("--count \(count) is less than 1.") }
  }

  func run() async throws {
    let client = try cluster.client()
    let caller = Caller(client)
    let offer: Offer
    do throws(CallFailure) { offer = try await caller.offer(timeout: .seconds(5)) } catch {
      throw CommandFailure.failed(CallResult.text(error))
    }
    let lines = try WatchLines(offer, method: changes ? nil : method)
    let request = try lines.request(json, service: service)
    var printed = 0
    var last: StreamEvent?
    do throws(CallFailure) {
      var events = client.stream(lines.method.fullName, request, from: start, patience: patience).makeAsyncIterator()
      while let event = try await events.next() {
        guard Output.line(try lines.line(event)) else { break }
        (printed, last) = (printed + 1, event)
        if printed == count { break }
      }
    } catch { throw CommandFailure.failed("\(error.status)") }
    await client.close()
    // Amid the state, or an entry with several events, there is nothing that goes on behind the last line.
    if let last, last.next != nil { Output.error("goes on with --token \(last.token)") }
  }

  private var start: LogIndex? {
    if let token { return token.index.next }
    return from.map { LogIndex(max(1, $0)) }
  }
}

/// Makes lines of what a stream gives.
struct WatchLines {
  private static let changes = "lockstep.changes.v1.ChangeStream/Watch"

  private let offer: Offer
  let method: MethodDescriptor
  private let areChanges: Bool

  /// `method` nil: the changes of the group.
  init(_ offer: Offer, method name: String?) throws {
    self.offer = offer
    areChanges = name == nil
    do throws(ReflectionError) { method = try offer.method(named: name ?? Self.changes) } catch {
      throw CommandFailure.failed("UNIMPLEMENTED: \(error.message)")
    }
    guard method.serverStreaming, !method.clientStreaming else {
      throw CommandFailure.failed("INVALID_ARGUMENT: \(method.fullName) answers once: lockstep call \(method.fullName)")
    }
  }

  func request(_ json: String?, service: String?) throws -> [UInt8] {
    var members: [JSONValue.Member] = []
    if let service { members.append(.init(key: "service", value: .init(service))) }
    var value = JSONValue.object(members)
    if let json {
      do throws(JSONSyntaxError) { value = try JSONValue(parsing: json) } catch {
        throw CommandFailure.usage("the request is not JSON: \(error)")
      }
    }
    do throws(ReflectionError) { return try method.input.encode(value) } catch {
      throw CommandFailure.failed("INVALID_ARGUMENT: \(method.fullName): \(error.message)")
    }
  }

  func line(_ event: StreamEvent) throws(CallFailure) -> JSONValue {
    let message = try decoded(method, event.payload, isReply: true)
    return areChanges ? try change(message, event) : message
  }

  /// Of a Change, as JSON has it: with request and reply as what they are.
  private func change(_ message: JSONValue, _ event: StreamEvent) throws(CallFailure) -> JSONValue {
    guard case .object(let fields) = message else { return message }
    func text(_ key: String) -> String {
      if case .string(let text)? = fields.first(where: { $0.key == key })?.value { return text }
      return ""
    }
    func bytes(_ key: String) -> [UInt8] { Base64.decode(text(key)) ?? [] }
    let name = text("method")
    var members: [JSONValue.Member] = [
      .init(key: "index", value: .init(event.index.rawValue)), .init(key: "term", value: .init(event.term.rawValue)),
      .init(key: "time", value: .init(UInt64(text("time")) ?? 0)), .init(key: "method", value: .init(name)),
    ]
    let called: MethodDescriptor
    do throws(ReflectionError) { called = try offer.method(named: name) } catch {
      let text = "entry \(event.index) is of '\(name)', which the cluster does not offer: \(error.message)"
      throw CallFailure(CallStatus(.internal, text), applied: .no)
    }
    members.append(.init(key: "request", value: try decoded(called, bytes("request"), isReply: false)))
    if case .number(let code)? = fields.first(where: { $0.key == "code" })?.value, code != "0" {
      let status = CallStatus.Code(rawValue: UInt8(code) ?? 2) ?? .unknown
      members.append(.init(key: "reply", value: .null))
      members.append(.init(key: "code", value: .init(status.name)))
      members.append(.init(key: "message", value: .init(text("message"))))
    } else {
      members.append(.init(key: "reply", value: try decoded(called, bytes("reply"), isReply: true)))
    }
    return .object(members)
  }

  private func decoded(_ method: MethodDescriptor, _ bytes: [UInt8], isReply: Bool) throws(CallFailure) -> JSONValue {
    do throws(ReflectionError) { return try (isReply ? method.output : method.input).decode(bytes) } catch {
      throw CallFailure(
        CallStatus(.internal, "what \(method.fullName) gives cannot be shown: \(error.message)"), applied: .no)
    }
  }
}
