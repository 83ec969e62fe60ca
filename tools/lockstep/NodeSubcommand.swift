import ArgumentParser
import Lockstep
import LockstepServices

/// One node, serving the built-in services. Its flags are those of every node program, so they are parsed there.
struct NodeSubcommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node",
    abstract: "Run one node in the foreground.",
    usage:
      "lockstep node --id N --dir DIR --listen HOST:PORT --peer-listen HOST:PORT --members 1=HOST:PORT,... [options]")

  @Argument(parsing: .captureForPassthrough, help: "The node's flags; 'lockstep node --help' lists them.")
  var flags: [String] = []

  func run() async throws {
    await NodeCommand.run(services: [KeyValue.self, Counter.self], arguments: flags)
  }
}
