import ArgumentParser
import Lockstep
import LockstepReflection

struct CallCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "call",
    abstract: "Make one call, or many from stdin.",
    usage: """
      lockstep call SERVICE/METHOD JSON [--ack LEVEL] [--read LEVEL] [--timeout 5s] [--json] [--endpoints ...]
      lockstep call - [--concurrency N] [--ack LEVEL] [--read LEVEL] [--timeout 5s] [--endpoints ...]
      lockstep call --open-session
      lockstep call SERVICE/METHOD JSON --session ID --sequence N
      lockstep call [SERVICE/METHOD] --resolve ID:N
      """,
    discussion: """
      The cluster itself says which types a method takes, so this works with every service.

      One call prints the reply message as JSON on one line; a failure prints its status on stderr and exits with 1. \
      With --json it prints an object on one line, as it does for each call from stdin:
        {"ok":true,"reply":{...},"index":17,"term":2,"node":1,"ack":"quorum",
         "holders":[1,2],"token":"1.9f86d081884c7d65.2.17"}
        {"ok":false,"code":"UNAVAILABLE","message":"...","applied":"no"}
      'applied' says whether a failed command had an effect: no (certain), yes, or unknown. A command that only the \
      leader's disk holds (--ack leader) has no result yet: its reply is null, and "mayBeLost" is true. A command that was \
      carried out, and did not reach a wider level in time, fails with applied yes and the nodes that are "missing".

      'call -' reads one JSON object a line, as it arrives:
        {"method":"lockstep.kv.v1.KeyValue/Get","request":{"key":"a"},"timeout":"2s"}
      with the keys method, request, ack, read, token, session, sequence and timeout, of which only method is needed, and \
      prints one line for each, in the same order. Blank lines are skipped. It exits with 0 when all lines were answered, also by failures.

      A command in a session is carried out once, however often it is sent: --open-session prints a session's number, \
      each call in it has a sequence of its own, from 1, and the same call is made again under the same sequence, also by \
      this program, until its time-out. --resolve says what became of one: committed, with its reply, never, or unknown. \
      After never it has no effect any more.

      Example: lockstep call lockstep.kv.v1.KeyValue/Get '{"key":"a"}'
      """)

  @Argument(help: "The method, like lockstep.kv.v1.KeyValue/Put; or '-': calls come from stdin.")
  var method: String?

  @Argument(help: "The request message.")
  var json: String?

  @OptionGroup var defaults: CallDefaults

  @Option(help: "With '-': so many calls may be under way at once.")
  var concurrency: Int?

  @Flag(help: "Open a session, and print its number.")
  var openSession = false

  @Option(help: ArgumentHelp("The session in which the call is made.", valueName: "id"))
  var session: UInt64?

  @Option(help: ArgumentHelp("The call's number in its session, from 1.", valueName: "n"))
  var sequence: UInt64?

  @Option(
    help: ArgumentHelp("Say what became of a call in a session.", valueName: "id:n"),
    transform: SequenceText.parse)
  var resolve: CallSequence?

  @Flag(name: .customLong("json"), help: "Print the whole result, not only the reply message.")
  var printsEnvelope = false

  @OptionGroup var cluster: ClusterOptions

  func validate() throws {
    if openSession || resolve != nil {
      guard json == nil, session == nil, sequence == nil, method != "-", !(openSession && resolve != nil),
        method == nil || resolve != nil
      else {
        throw ValidationError(
          "--open-session stands alone, and --resolve, or with the method of the call, so that its reply can be shown.")
      }
      return
    }
    guard let method else { throw ValidationError("The method is missing: lockstep call SERVICE/METHOD '{...}'") }
    guard (session == nil) == (sequence == nil), session != 0, sequence != 0 else {
      throw ValidationError("--session and --sequence belong together, and both count from 1.")
    }
    if method == "-" {
      if json != nil { throw ValidationError("'call -' reads its requests from stdin and takes none as an argument.") }
      if session != nil { throw ValidationError("With 'call -' each line has its own session and sequence.") }
      if let concurrency, !(1...100_000).contains(concurrency) {
        throw ValidationError("--concurrency \(concurrency) is not between 1 and 100000.")
      }
    } else {
      if json == nil { throw ValidationError("The request is missing: lockstep call \(method) '{...}'") }
      if concurrency != nil { throw ValidationError("--concurrency belongs to 'call -'.") }
    }
  }

  func run() async throws {
    if openSession || resolve != nil { return try await SessionQuestions(self).run() }
    guard method != "-" else {
      let stream = CallStream(
        caller: Caller(try cluster.client()), defaults: defaults.callOptions, concurrency: concurrency ?? 1)
      return try await stream.run()
    }
    try await callOnce(method ?? "")
  }

  private func callOnce(_ method: String) async throws {
    let request: JSONValue
    do throws(JSONSyntaxError) { request = try JSONValue(parsing: json ?? "") } catch {
      throw CommandFailure.usage("the request is not JSON: \(error)")
    }
    var call = CallRequest(method: method, request: request, defaults: defaults.callOptions)
    (call.session, call.sequence) = (session ?? 0, sequence ?? 0)
    let result = await Caller(try cluster.client()).perform(call)
    if printsEnvelope { Output.line(result.envelope(of: call)) }
    switch result {
    case .success(let reply, let message):
      guard !printsEnvelope else { return }
      Output.line(message)
      if reply.acknowledgement == .leader {
        Output.error("index \(reply.index) of term \(reply.term), on the leader's disk alone: it may be lost with it")
      }
    case .failure(let failure): throw CommandFailure.failed(CallResult.text(failure))
    }
  }
}
