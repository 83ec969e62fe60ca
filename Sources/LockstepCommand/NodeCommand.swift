import ArgumentParser
import Glibc
import Lockstep
public import LockstepExecution
import Logging

/// A node as a program: flags in, a node in the foreground, an exit code out.
public enum NodeCommand {
  /// Runs the state machine as one node with the flags of `arguments`, until a signal ends it or it cannot go on; then
  /// the process exits with one of the codes of `NodeExitCode`. `machine` is the state before the first command.
  public static func run(
    machine: @autoclosure () throws -> any StateMachine,
    arguments: [String] = Array(CommandLine.arguments.dropFirst())
  ) async -> Never {
    await run(arguments) { .inMemory(try machine()) }
  }

  /// The same with a machine that has its own storage.
  public static func run(
    stored machine: any StoredMachine, arguments: [String] = Array(CommandLine.arguments.dropFirst())
  ) async -> Never {
    await run(arguments) { .stored(machine) }
  }

  private static func run(_ arguments: [String], _ machine: () throws -> HostedMachine) async -> Never {
    ProcessMemory.prepare()
    let options: NodeOptions
    do {
      options = try NodeOptions.parse(try NodeConfigurationFile.expand(arguments))
    } catch let failure as NodeOptions.ValidationFailure {
      fail(.usage, failure.message)
    } catch {
      let code = NodeOptions.exitCode(for: error)
      var text = NodeOptions.fullMessage(for: error)
      if code == .success {
        let codes = NodeExitCode.allCases.map { "  \($0.rawValue)\t\($0.meaning)" }
        text += "\nEXIT CODES:\n" + codes.joined(separator: "\n")
      } else if let hint = DashHint.text(arguments) {
        text += "\n" + hint
      }
      write(text + "\n", to: code == .success ? STDOUT_FILENO : STDERR_FILENO)
      exit(code == .success ? 0 : NodeExitCode.usage.rawValue)
    }
    do {
      let configuration = try options.configuration()
      guard let level = Logger.Level(rawValue: options.logLevel) else {
        let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        throw NodeOptions.ValidationFailure("--log-level '\(options.logLevel)' is none of \(levels)")
      }
      let machine = try machine()
      var logger = Logger(label: "lockstep", factory: { StreamLogHandler.standardError(label: $0) })
      logger.logLevel = level
      logger[metadataKey: "node"] = "\(configuration.id)"
      try await serve(configuration, machine, logger, stopOnStdinClose: options.stopOnStdinClose)
      exit(NodeExitCode.stopped.rawValue)
    } catch let failure as ServerFailure {
      fail(NodeExitCode(failure.kind), failure.message)
    } catch let failure as NodeOptions.ValidationFailure {
      fail(.usage, failure.message)
    } catch {
      fail(.failed, "\(error)")
    }
  }

  private static func serve(
    _ configuration: ServerConfiguration, _ machine: HostedMachine, _ logger: Logger, stopOnStdinClose: Bool
  ) async throws(ServerFailure) {
    // A peer or client that is gone shows as an error of the write, not as a signal that ends the process.
    signal(SIGPIPE, SIG_IGN)
    ProcessFiles.raiseLimit()
    try ParentDirectories.make(above: configuration.directory)
    let server = try await LockstepServer.start(configuration, machine, logger)
    let signals = await StopSignals.watch { number in
      logger.notice("stopping: signal \(number)")
      server.stop()
    }
    let input = stopOnStdinClose ? EndOfInput { Self.inputHasEnded(logger, server) } : nil
    defer {
      signals.cancel()
      input?.cancel()
    }
    try await server.waitUntilStopped()
  }

  private static func inputHasEnded(_ logger: Logger, _ server: LockstepServer) {
    logger.notice("stopping: standard input has ended")
    server.stop()
  }

  private static func fail(_ code: NodeExitCode, _ message: String) -> Never {
    write("lockstep: \(message)\n", to: STDERR_FILENO)
    exit(code.rawValue)
  }

  private static func write(_ text: String, to file: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = Glibc.write(file, bytes.baseAddress.unsafelyUnwrapped + sent, bytes.count - sent)
        if count <= 0 { return }
        sent += count
      }
    }
  }
}
