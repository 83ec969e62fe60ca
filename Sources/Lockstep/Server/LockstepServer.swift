import Dispatch
import Glibc
import LockstepConsensus
import LockstepDriver
public import LockstepExecution
import LockstepStorage
import LockstepTransport
import LockstepWire
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// One running node: the only place where threads start. One event loop does everything but wait for the disk, which
/// has a thread of its own, and write snapshots, which has another.
public final class LockstepServer: Sendable {
  private let loop: NIOLoopBound<Running>
  /// Its own; nil: the loop is one of somebody else's.
  private let group: MultiThreadedEventLoopGroup?
  private let eventLoop: any EventLoop
  private let end: End

  /// The parts that live on the loop.
  private final class Running {
    let server: ServerLoop
    init(_ server: ServerLoop) { self.server = server }
  }

  /// How it ended, and who waits for that.
  private final class End: Sendable {
    private struct State {
      var outcome: Result<Void, ServerFailure>?
      var waiters: [CheckedContinuation<Result<Void, ServerFailure>, Never>] = []
    }
    private let state = Mutex(State())

    /// The first outcome counts.
    func finish(_ outcome: Result<Void, ServerFailure>) {
      let waiters = state.withLock { state in
        guard state.outcome == nil else { return [CheckedContinuation<Result<Void, ServerFailure>, Never>]() }
        state.outcome = outcome
        defer { state.waiters = [] }
        return state.waiters
      }
      for waiter in waiters { waiter.resume(returning: outcome) }
    }

    func wait() async -> Result<Void, ServerFailure> {
      await withCheckedContinuation { waiter in
        let outcome = state.withLock { state in
          if state.outcome == nil { state.waiters.append(waiter) }
          return state.outcome
        }
        if let outcome { waiter.resume(returning: outcome) }
      }
    }
  }

  private init(
    loop: NIOLoopBound<Running>, group: MultiThreadedEventLoopGroup?, eventLoop: any EventLoop, end: End
  ) {
    self.loop = loop
    self.group = group
    self.eventLoop = eventLoop
    self.end = end
  }

  /// Opens the directory, recovers what is there, binds the ports and begins to serve. Returns when the ports are open;
  /// an election may be still to come.
  ///
  /// - Parameters:
  ///   - configuration: what the node needs to know.
  ///   - machine: the state before the first command.
  ///   - logger: what the node has to say goes there.
  ///   - eventLoopGroup: one of its loops does all of the node's work but disk and snapshots, and is kept busy by it; nil:
  ///     a loop of the node's own.
  public static func start(
    _ configuration: ServerConfiguration, machine: any StateMachine, logger: Logger,
    eventLoopGroup: (any EventLoopGroup)? = nil
  ) async throws(ServerFailure) -> LockstepServer {
    try await start(configuration, .inMemory(machine), logger, eventLoopGroup)
  }

  /// The same with a machine that has its own storage, which is a directory in the node's.
  public static func start(
    _ configuration: ServerConfiguration, stored machine: any StoredMachine, logger: Logger,
    eventLoopGroup: (any EventLoopGroup)? = nil
  ) async throws(ServerFailure) -> LockstepServer {
    try await start(configuration, .stored(machine), logger, eventLoopGroup)
  }

  package static func start(
    _ configuration: ServerConfiguration, _ machine: HostedMachine, _ logger: Logger,
    _ eventLoopGroup: (any EventLoopGroup)? = nil
  ) async throws(ServerFailure) -> LockstepServer {
    try configuration.validate()
    let (disk, configuration) = try budget(configuration, logger)
    let stored = try StoredState.open(configuration, on: disk, machine, logger)
    let group = eventLoopGroup == nil ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
    guard let eventLoop = (eventLoopGroup ?? group)?.next() else { preconditionFailure("there is no loop") }
    let isOwn = group != nil
    let end = End()
    let box = UnsafeTransfer(stored)
    let outcome = await withCheckedContinuation {
      (ready: CheckedContinuation<Result<NIOLoopBound<Running>, ServerFailure>, Never>) in
      eventLoop.execute {
        // Threads of others keep the schedule that they have.
        if isOwn { ThreadSchedule.withoutPreempting() }
        assemble(configuration, box.value, logger, eventLoop, end) { ready.resume(returning: $0) }
      }
    }
    let loop: NIOLoopBound<Running>
    do throws(ServerFailure) { loop = try outcome.get() } catch {
      // Whoever tries again finds the directory and the ports free.
      _ = await end.wait()
      await shutDown(group)
      throw error
    }
    let server = LockstepServer(loop: loop, group: group, eventLoop: eventLoop, end: end)
    logger.notice(
      "node \(configuration.id) serves clients on \(configuration.listen), peers on \(configuration.peerListen), data in \(configuration.directory)"
    )
    return server
  }

  /// The disk with its bounds, and what is configured made to fit into them.
  private static func budget(
    _ configuration: ServerConfiguration, _ logger: Logger
  ) throws(ServerFailure) -> (BudgetedDisk, ServerConfiguration) {
    do throws(StorageError) {
      let budget = DiskBudget(bytes: configuration.diskBudget)
      let disk = try BudgetedDisk(PosixDisk(), directory: configuration.directory, budget: budget)
      let space = budget.space
      if configuration.diskBudget != nil {
        logger.notice("the directory may take \(space.limit) bytes (--disk-budget), and takes \(space.used)")
      }
      return (disk, configuration.fitted(to: space.limit))
    } catch { throw ServerFailure(error) }
  }

  /// Hands the lead over if this node has it, answers what it was asked, refuses what still comes as not carried out,
  /// finishes what is on its way to the disk, closes everything, and lets `waitUntilStopped` return: within a fraction of a
  /// second, or a few seconds where nobody takes the lead or calls cannot be answered. May be called from anywhere; a
  /// second time, it closes at once.
  public func stop() { eventLoop.execute { self.loop.value.server.stop() } }

  /// Returns when the node was stopped, and throws when it had to stop by itself. The process should end after that.
  public func waitUntilStopped() async throws(ServerFailure) { try await end.wait().get() }

  /// Of a node that has stopped, and that nobody asks for anything any more: its thread.
  func shutDown() async { await Self.shutDown(group) }

  private static func shutDown(_ group: MultiThreadedEventLoopGroup?) async {
    guard let group else { return }
    await withCheckedContinuation { done in group.shutdownGracefully(queue: .global()) { _ in done.resume() } }
  }

  // MARK: Assembly, on the loop

  private static func assemble(
    _ configuration: ServerConfiguration, _ stored: StoredState, _ logger: Logger, _ eventLoop: any EventLoop,
    _ end: End,
    _ ready: @escaping (Result<NIOLoopBound<Running>, ServerFailure>) -> Void
  ) {
    let later = NIOLoopBoundBox<Running?>(nil, eventLoop: eventLoop)
    let store = stored.store
    let log = RepeatingLog(logger) { NIODeadline.now().uptimeNanoseconds }
    let told = NIOLoopBound(log, eventLoop: eventLoop)
    let snapshots = SnapshotThread(
      store: stored.snapshots,
      finished: { result in eventLoop.execute { later.value?.server.snapshotFinished(result) } },
      isSlow: { text in eventLoop.execute { told.value.log(.warning, "pace of snapshots", "", text) } },
      failed: { error in eventLoop.execute { later.value?.server.diskFailed(error) } })
    let applier: any Applier
    let installer: any StateInstaller
    let states: StoredStates?
    let queries: QueryThreads?
    let chains: [GroupID: UInt64]
    switch stored.state {
    case .inMemory(let executor, let first):
      let threads = QueryThreads { eventLoop.execute { later.value?.server.applierReady(.first) } }
      threads.start([nil, nil])
      applier = ImmediateApplier(executor, longQueries: threads)
      installer = MemoryInstaller(inBackground: TransferQueue.inBackground) { file throws(StorageError) in
        ImmediateApplier(try StateRecovery.executor(from: file, first: first), longQueries: threads)
      }
      (states, queries, chains) = (nil, threads, [:])
    case .stored(let opened, let readers, let machine, let directories):
      @Sendable func begin(_ executor: StoredExecutor, _ readers: [any StoredStateReader]) -> StoredApplier {
        let applier = StoredApplier(executor, of: machine) {
          eventLoop.execute { later.value?.server.applierReady(.first) }
        }
        applier.start(readers)
        return applier
      }
      let begun = begin(opened.executor, readers)
      let made = StoredStates(begun, in: opened.directory, of: directories, machine: machine) {
        executor, _ throws(StoredMachineFailure) in
        begin(executor, try StoredApplier.readers(of: executor))
      }
      (applier, installer, states, queries) = (begun, made, made, nil)
      chains = opened.chain.map { [.first: $0] } ?? [:]
    }
    let transfers = TransferQueue(store: stored.snapshots, eventLoop: eventLoop, installer: installer)
    let disk = DiskThread(
      worker: stored.worker,
      finished: { result in eventLoop.execute { later.value?.server.diskFinished(result) } },
      ended: { error in
        snapshots.stop()
        transfers.stop()
        states?.stop()
        queries?.stop()
        store.close()
        end.finish(error.map { .failure(ServerFailure($0)) } ?? .success(()))
      },
      standsStill: { time in
        logger.warning(
          "the disk has not finished a write for \(time.nanoseconds / 1_000_000) ms, and this node stands still with it; the others go on without it; look at the device under the node's directory"
        )
      })
    let peers = PeerPort(
      identity: stored.identity, addresses: stored.addresses, memory: stored.memory, eventLoop: eventLoop, log: log,
      store: PeerPort.Store(
        peers: { peers, done in
          disk.submit(
            .task {
              do throws(StorageError) {
                try store.store(peers)
                done(nil)
              } catch { done(error) }
            })
        },
        acknowledged: { acknowledged, failed in
          disk.submit(.task { do throws(StorageError) { try store.store(acknowledged) } catch { failed(error) } })
        }), maximumReplyBytes: configuration.driver.replyBytes)
    let receiver = SnapshotReceiver(
      peers: peers, queue: transfers, tickMilliseconds: configuration.tickMilliseconds,
      bytesPerSecond: configuration.snapshotBytesPerSecond,
      notice: { log.log($0, tickMilliseconds: configuration.tickMilliseconds) })
    let sender = SnapshotSender(queue: transfers, log: log)
    (peers.receiver, peers.sender) = (receiver, sender)
    do throws(WireError) {
      let node = try Node(
        configuration.node(stored.identity),
        recovered: stored.groups, appliers: [applier],
        stored: stored.snapshot.map { [$0] } ?? [], chains: chains, links: peers, disk: disk, snapshots: snapshots,
        installs: receiver,
        observe: { event in
          log.log(event, tickMilliseconds: configuration.tickMilliseconds)
          if case .configured = event { later.value?.server.peers.disksAreNamed() }
        },
        clock: { NIODeadline.now().uptimeNanoseconds })
      let running = Running(
        ServerLoop(
          configuration: configuration, identity: stored.identity, eventLoop: eventLoop, logger: logger, disk: disk,
          peers: peers, receiver: receiver, sender: sender, node: node,
          failed: { failure in
            logger.critical("\(failure.message)")
            end.finish(.failure(failure))
          }))
      later.value = running
      bind(configuration, running, peers, eventLoop) { failure in
        disk.start()
        snapshots.start()
        if let failure {
          running.server.stop()
          ready(.failure(failure))
          return
        }
        running.server.start()
        ready(.success(NIOLoopBound(running, eventLoop: eventLoop)))
      }
    } catch {
      disk.start()
      snapshots.start()
      disk.stop()
      ready(.failure(ServerFailure(.damaged, "the recovered log cannot be used: \(error)")))
    }
  }

  private static func bind(
    _ configuration: ServerConfiguration, _ running: Running, _ peers: PeerPort, _ eventLoop: any EventLoop,
    _ done: @escaping (ServerFailure?) -> Void
  ) {
    func failure(_ endpoint: Endpoint, _ error: any Error) -> ServerFailure {
      let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      return ServerFailure(.listen, "cannot listen on \(endpoint): \(reason)")
    }
    peers.bind(configuration.peerListen) { result in
      if case .failure(let error) = result {
        done(failure(configuration.peerListen, error))
        return
      }
      running.server.clients.bind(configuration.listen, on: eventLoop) { result in
        if case .failure(let error) = result {
          done(failure(configuration.listen, error))
        } else {
          done(nil)
        }
      }
    }
  }
}
