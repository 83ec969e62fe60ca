import ArgumentParser
import Glibc
import Lockstep
import LockstepCommand
import LockstepReflection

@main
struct Program: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lockstep",
    abstract: "Replicated services: start a cluster, call it, look at it.",
    discussion: """
      Results go to stdout, diagnostics to stderr. Exit codes: 0 done, 1 the call or command failed, 2 bad usage. A node \
      has codes of its own, which 'lockstep node --help' lists.

      Commands that talk to a cluster take --endpoints; by default they use the environment variable \
      LOCKSTEP_ENDPOINTS, and without that 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403; 'lockstep bench' then starts a \
      cluster of its own.
      """,
    version: VersionText.text,
    subcommands: [
      UpCommand.self, NodeSubcommand.self, CallCommand.self, WatchCommand.self, DescribeCommand.self, SQLCommand.self,
      StatusCommand.self,
      LogCommand.self, SnapshotCommand.self, BenchCommand.self, SimulateCommand.self, CheckCommand.self,
      NewCommand.self, CompletionsCommand.self, ManualCommand.self,
    ])

  static func main() async {
    let arguments: [String]
    do throws(CommandFailure) { arguments = try Self.arguments() } catch {
      Output.error(error.message)
      tellMachines(error.message, error.exitCode, Array(CommandLine.arguments.dropFirst()))
      Glibc.exit(error.exitCode)
    }
    // The next line begins another thread.
    if arguments.first == NodeSubcommand.configuration.commandName { ProcessMemory.prepare() }
    Glibc.exit(await run(arguments))
  }

  /// As they were given. `CommandLine.arguments` puts U+FFFD in the place of bytes that are no text, so that a request
  /// would store something that nobody wrote, and a path lead elsewhere.
  private static func arguments() throws(CommandFailure) -> [String] {
    var found: [String] = []
    for place in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[place] else { break }
      found.append(try text(of: UnsafeRawBufferPointer(start: argument, count: strlen(argument)), argument: place))
    }
    return found
  }

  static func text(of bytes: UnsafeRawBufferPointer, argument place: Int) throws(CommandFailure) -> String {
    do throws(UTF8.ValidationError) { _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span) } catch {
      let offset = error.byteOffsets.lowerBound
      throw .usage(
        "INVALID_ARGUMENT: argument \(place) is not valid UTF-8: byte 0x\(String(bytes[offset], radix: 16)) at offset \(offset)"
      )
    }
    return String(decoding: bytes, as: UTF8.self)
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
      guard let failure = Output.failure else { return 0 }
      Output.error("lockstep: the output cannot be written: \(systemMessage(failure))")
      return 1
    } catch let failure as CommandFailure {
      if !failure.message.isEmpty { Output.error(failure.message) }
      tellMachines(failure.message, failure.exitCode, arguments)
      return failure.exitCode
    } catch {
      let code = report(error, arguments)
      if code != 0 { tellMachines(message(for: error), code, arguments) }
      return code
    }
  }

  /// With --json there is an object on stdout in any case.
  private static func tellMachines(_ message: String, _ exitCode: Int32, _ arguments: [String]) {
    guard arguments.prefix(while: { $0 != "--" }).contains("--json"), !Output.isBegun else { return }
    Output.line(.object(["ok": false, "message": .init(message), "exitCode": .init(Int(exitCode))]))
  }

  /// Help and the version are "errors" to the parser, and go to stdout. What is left is bad usage, for which the
  /// parser's own code would be 64.
  private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
    let code = exitCode(for: error)
    var text = fullMessage(for: error)
    if code.isSuccess {
      return Output.write(text + "\n") ? 0 : 1
    }
    if code == .validationFailure, let hint = DashHint.text(arguments) { text += "\n" + hint }
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
