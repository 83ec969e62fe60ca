import ArgumentParser
import Glibc
import Lockstep

@main
struct Program: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lockstep",
    abstract: "Replicated services: start a cluster, call it, look at it.",
    discussion: """
      Results go to stdout, diagnostics to stderr. Exit codes: 0 done, 1 the call or command failed, 2 bad usage. A node \
      has codes of its own, which 'lockstep node' lists.

      Commands that talk to a cluster take --endpoints; by default they use the environment variable \
      LOCKSTEP_ENDPOINTS, and without that 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403; 'lockstep bench' then starts a \
      cluster of its own.
      """,
    version: LockstepVersion.current,
    subcommands: [
      UpCommand.self, NodeSubcommand.self, CallCommand.self, DescribeCommand.self, StatusCommand.self, LogCommand.self,
      BenchCommand.self, SimulateCommand.self, CheckCommand.self,
    ])

  static func main() async {
    Glibc.exit(await run(Array(CommandLine.arguments.dropFirst())))
  }

  /// Runs one command to its end; what it returns is the exit code.
  static func run(_ arguments: [String]) async -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return 0
    } catch let failure as CommandFailure {
      if !failure.message.isEmpty { Output.error(failure.message) }
      return failure.exitCode
    } catch {
      return report(error)
    }
  }

  /// Help and the version are "errors" to the parser, and go to stdout. What is left is bad usage, for which the
  /// parser's own code would be 64.
  private static func report(_ error: any Error) -> Int32 {
    let code = exitCode(for: error)
    let text = fullMessage(for: error)
    if code.isSuccess {
      return Output.write(text + "\n") ? 0 : 1
    }
    Output.error(text)
    return code == .validationFailure ? 2 : code.rawValue
  }
}

/// Why a command could not do what it was asked for, said to a person.
struct CommandFailure: Error, Equatable {
  let message: String
  let exitCode: Int32

  /// `message` is what stderr gets; empty when everything has been said already.
  static func failed(_ message: String) -> CommandFailure { CommandFailure(message: message, exitCode: 1) }
  static func usage(_ message: String) -> CommandFailure { CommandFailure(message: message, exitCode: 2) }
}
