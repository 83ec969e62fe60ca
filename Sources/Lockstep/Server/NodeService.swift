public import LockstepExecution
public import Logging
public import ServiceLifecycle

extension Server {
  /// Serves until the node has stopped: it is told to when the task is cancelled, or when the `ServiceGroup` that it is
  /// part of shuts down gracefully, and stops in order (`stop`). Throws when it had to stop by itself.
  public func run() async throws(ServerFailure) {
    let failure = await withTaskCancellationOrGracefulShutdownHandler { () -> ServerFailure? in
      do throws(ServerFailure) {
        try await waitUntilStopped()
        return nil
      } catch { return error }
    } onCancelOrGracefulShutdown: {
      self.stop()
    }
    if let failure { throw failure }
  }
}

/// A node beside other services in one process.
///
/// ```swift
/// let node = NodeService(configuration, machine: try ServiceMachine(services: [Bank.self]), logger: logger)
/// try await ServiceGroup(services: [node, web], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
public struct NodeService: ServiceLifecycle.Service {
  private let configuration: ServerConfiguration
  private let machine: HostedMachine
  private let logger: Logger

  /// Nothing is opened before `run`. `machine` is the state before the first command.
  public init(_ configuration: ServerConfiguration, machine: any StateMachine, logger: Logger) {
    self.configuration = configuration
    self.machine = .inMemory(machine)
    self.logger = logger
  }

  /// The same with a machine that has its own storage.
  public init(_ configuration: ServerConfiguration, stored machine: any StoredMachine, logger: Logger) {
    self.configuration = configuration
    self.machine = .stored(machine)
    self.logger = logger
  }

  /// Starts the node and serves until it was stopped, as `Server.run` does. Throws a `ServerFailure` when it cannot start,
  /// or had to stop by itself.
  public func run() async throws {
    try await Server.start(configuration, machine, logger).run()
  }
}
