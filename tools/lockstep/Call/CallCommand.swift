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
      """,
    discussion: """
      The cluster itself says which types a method takes, so this works with every service.

      One call prints the reply message as JSON on one line; a failure prints its status on stderr and exits with 1. \
      With --json it prints the object that 'call -' prints:
        {"ok":true,"reply":{...},"index":17,"term":2,"node":1,"ack":"quorum","holders":[1,2],"token":"1.9f86d081884c7d65.2.17"}
        {"ok":false,"code":"UNAVAILABLE","message":"...","applied":"no"}
      'applied' says whether a failed command had an effect: no (certain), yes, or unknown. A command that only the \
      leader's disk holds (--ack leader) has no result yet: its reply is null, and "mayBeLost" is true. A command that was \
      carried out, and did not reach a wider level in time, fails with applied yes and the nodes that are "missing".

      'call -' reads one JSON object a line, as it arrives:
        {"method":"lockstep.kv.v1.KeyValue/Put","request":{"key":"a","value":"1"},"ack":"quorum","timeout":"2s"}
      with the keys method, request, ack, read, token and timeout, of which only method is needed, and prints one line for each, \
      in the same order. Blank lines are skipped. It exits with 0 when all lines were answered, also by failures.

      Example: lockstep call lockstep.kv.v1.KeyValue/Get '{"key":"a"}'
      """)

  @Argument(help: "The method, like lockstep.kv.v1.KeyValue/Put; or '-': calls come from stdin.")
  var method: String

  @Argument(help: "The request message.")
  var json: String?

  @OptionGroup var defaults: CallDefaults

  @Option(help: "With '-': so many calls may be under way at once.")
  var concurrency: Int?

  @Flag(name: .customLong("json"), help: "Print the whole result, not only the reply message.")
  var printsEnvelope = false

  @OptionGroup var cluster: ClusterOptions

  func validate() throws {
    if method == "-" {
      if json != nil { throw ValidationError("'call -' reads its requests from stdin and takes none as an argument.") }
      if let concurrency, !(1...100_000).contains(concurrency) {
        throw ValidationError("--concurrency \(concurrency) is not between 1 and 100000.")
      }
    } else {
      if json == nil { throw ValidationError("The request is missing: lockstep call \(method) '{...}'") }
      if concurrency != nil { throw ValidationError("--concurrency belongs to 'call -'.") }
    }
  }

  func run() async throws {
    guard method != "-" else {
      let stream = CallStream(
        caller: Caller(try cluster.client()), defaults: defaults.callOptions, concurrency: concurrency ?? 1)
      return try await stream.run()
    }
    try await callOnce()
  }

  private func callOnce() async throws {
    let request: JSONValue
    do throws(JSONSyntaxError) { request = try JSONValue(parsing: json ?? "") } catch {
      throw CommandFailure.usage("the request is not JSON: \(error)")
    }
    let call = CallRequest(method: method, request: request, defaults: defaults.callOptions)
    let result = await Caller(try cluster.client()).perform(call)
    if printsEnvelope { Output.line(result.envelope) }
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
