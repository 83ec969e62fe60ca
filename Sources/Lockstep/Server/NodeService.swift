public import LockstepExecution
public import Logging
public import NIOCore
public import ServiceLifecycle

extension LockstepServer {
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
///
/// A group stops its services in reverse order: a node stands before those that call it.
public struct NodeService: ServiceLifecycle.Service {
  private let configuration: ServerConfiguration
  private let machine: HostedMachine
  private let logger: Logger
  private let eventLoopGroup: (any EventLoopGroup)?

  /// Nothing is opened before `run`. `machine` is the state before the first command; one of the group's loops does the
  /// node's work, or without a group one of its own. What the node logs does not name it: where several log to one place,
  /// each has a `logger` of its own, with metadata.
  public init(
    _ configuration: ServerConfiguration, machine: any StateMachine, logger: Logger,
    eventLoopGroup: (any EventLoopGroup)? = nil
  ) {
    self.configuration = configuration
    self.machine = .inMemory(machine)
    self.logger = logger
    self.eventLoopGroup = eventLoopGroup
  }

  /// The same with a machine that has its own storage.
  public init(
    _ configuration: ServerConfiguration, stored machine: any StoredMachine, logger: Logger,
    eventLoopGroup: (any EventLoopGroup)? = nil
  ) {
    self.configuration = configuration
    self.machine = .stored(machine)
    self.logger = logger
    self.eventLoopGroup = eventLoopGroup
  }

  /// Starts the node and serves until it was stopped, as `LockstepServer.run` does. Throws a `ServerFailure` when it cannot
  /// start, or had to stop by itself; why is logged too.
  public func run() async throws {
    let server: LockstepServer
    do throws(ServerFailure) {
      server = try await LockstepServer.start(configuration, machine, logger, eventLoopGroup)
    } catch {
      // Nobody may ever look at what a group of services throws.
      logger.critical("node \(configuration.id) cannot start: \(error.message)")
      throw error
    }
    do {
      try await server.run()
      await server.shutDown()
    } catch {
      await server.shutDown()
      throw error
    }
  }
}
