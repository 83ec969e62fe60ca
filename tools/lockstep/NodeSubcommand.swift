import ArgumentParser
import Lockstep
import LockstepCommand
import LockstepSQL
import LockstepServices

/// One node, serving the built-in services, or replicated SQLite. Its other flags are those of every node program, so they
/// are parsed there.
struct NodeSubcommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node",
    abstract: "Run one node in the foreground.",
    usage:
      "lockstep node --id N --dir DIR --listen HOST:PORT --peer-listen HOST:PORT --members 1=HOST:PORT,... [--service sql] [options]",
    discussion: "With --service sql the node serves lockstep.sql.v1.Sql alone, replicated SQLite.")

  @Argument(parsing: .captureForPassthrough, help: "The node's flags; 'lockstep node --help' lists them.")
  var flags: [String] = []

  func run() async throws {
    var flags = flags
    switch try HostedService.take(from: &flags) {
    case .sql: await NodeCommand.run(stored: SQLMachine(), arguments: flags)
    case nil: await NodeCommand.run(services: [KeyValue.self, Counter.self], arguments: flags)
    }
  }
}

/// What the nodes of this program serve in the place of the services in memory.
enum HostedService: String, CaseIterable, ExpressibleByArgument {
  case sql

  /// Takes `--service NAME` or `--service=NAME` out of a node's flags.
  static func take(from flags: inout [String]) throws -> HostedService? {
    guard let place = flags.firstIndex(where: { $0 == "--service" || $0.hasPrefix("--service=") }) else { return nil }
    let flag = flags.remove(at: place)
    let name: String
    if flag == "--service" {
      guard place < flags.count else { throw CommandFailure.usage("--service names none; there is sql") }
      name = flags.remove(at: place)
    } else {
      name = String(flag.dropFirst("--service=".count))
    }
    guard let service = HostedService(rawValue: name) else {
      throw CommandFailure.usage("--service '\(name)' is not served by this program; there is sql")
    }
    return service
  }
}
