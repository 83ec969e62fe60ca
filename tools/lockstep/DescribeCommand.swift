import ArgumentParser
import Lockstep
import LockstepReflection

struct DescribeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe",
    abstract: "Show the services, methods and messages that the cluster offers, as .proto text.",
    discussion: "Example: lockstep describe lockstep.kv.v1.KeyValue/Put")

  @Argument(help: "A service, method, message or enum by its full name; all of it when missing.")
  var symbol: String?

  @Flag(help: "Print one JSON object: the services and their methods, or the symbol's text.")
  var json = false

  @Option(
    help: ArgumentHelp("Give up after this long.", valueName: "duration"),
    transform: { text in
      guard let duration = TimeoutText.parse(text) else { throw ValidationError(TimeoutText.problem(text)) }
      return duration
    })
  var timeout: Duration = .seconds(5)

  @OptionGroup var cluster: ClusterOptions

  func run() async throws {
    do {
      let offer = try await Caller(try cluster.client()).offer(timeout: timeout)
      guard let symbol else {
        if json { Output.line(Self.listing(try offer.descriptors())) } else { Output.write(offer.text()) }
        return
      }
      let text = try offer.text(of: symbol)
      if json { Output.line(.object(["symbol": .init(symbol), "proto": .init(text)])) } else { Output.write(text) }
    } catch let failure as CallFailure {
      throw CommandFailure.failed("\(failure.status)")
    } catch let error as ReflectionError {
      throw CommandFailure.failed(error.message)
    }
  }

  static func listing(_ services: [ServiceDescriptor]) -> JSONValue {
    let list = services.map { service in
      JSONValue.object([
        "name": .init(service.name), "methods": .array(service.methods.map(listing)),
      ])
    }
    return .object(["services": .array(list)])
  }

  private static func listing(_ method: MethodDescriptor) -> JSONValue {
    .object([
      "name": .init(method.name), "method": .init(method.fullName), "kind": method.isQuery ? "query" : "command",
      "input": .init(method.input.fullName), "output": .init(method.output.fullName),
      "clientStreaming": .init(method.clientStreaming), "serverStreaming": .init(method.serverStreaming),
    ])
  }
}
