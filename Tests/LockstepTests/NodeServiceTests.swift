import LockstepExecution
import LockstepServices
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing

@testable import Lockstep

/// A service of a user's own: it waits for the end, and notes that it has come.
private final class OtherService: ServiceLifecycle.Service {
  private let ended = Atomic(false)
  var hasEnded: Bool { ended.load(ordering: .relaxed) }

  func run() async throws {
    try await gracefulShutdown()
    ended.store(true, ordering: .relaxed)
  }
}

/// A service that calls the node before it in the group, as the article *Writing a Service* shows one.
private final class Caller: ServiceLifecycle.Service {
  private let node: Endpoint
  private let begun = Atomic(0)
  var calls: Int { begun.load(ordering: .relaxed) }

  init(node: Endpoint) { self.node = node }

  func run() async throws {
    // A graceful shutdown does not cancel a call, and this does.
    await cancelWhenGracefulShutdown {
      await withLockstepClient(endpoints: [self.node]) { client in
        while !Task.isCancelled {
          self.begun.add(1, ordering: .relaxed)
          _ = try? await client.put("k", "v", timeout: .seconds(60))
          try? await Task.sleep(for: .milliseconds(10))
        }
      }
    }
  }
}

extension Servers {
  @Suite("Nodes in a process of one's own")
  struct Services {
    private func service(_ cluster: Cluster, on group: (any EventLoopGroup)? = nil) throws -> NodeService {
      NodeService(
        cluster.configuration(1), machine: try ServiceMachine(services: [KeyValue.self]),
        logger: cluster.logs.logger("1"))
    }

    /// Runs it until it has answered a call, ends it, and waits for it; what it threw.
    private func run(
      _ cluster: Cluster, _ body: @escaping @Sendable () async throws -> Void,
      end: (Task<Void, any Error>) async -> Void
    ) async throws {
      let running = Task { try await body() }
      do {
        let endpoint = cluster.endpoint(1)
        try await eventually("the node serves") {
          (try? await withLockstepClient(endpoints: [endpoint]) { try await $0.put("k", "v") }) != nil
        }
      } catch {
        running.cancel()
        try await running.value
        throw error
      }
      await end(running)
      try await running.value
    }

    @Test("a node is a service beside others: with a ServiceGroup that shuts down gracefully it stops in order")
    func group() async throws {
      let cluster = try Cluster(1)
      let other = OtherService()
      let group = ServiceGroup(services: [try service(cluster), other], logger: cluster.logs.logger("group"))
      try await run(cluster) {
        try await group.run()
      } end: { _ in
        await group.triggerGracefulShutdown()
      }
      #expect(other.hasEnded)
      // All is free again.
      try await cluster.start(1)
      try await cluster.waitForLeader()
      #expect(try await cluster.client(1).get("k") == "v")
      try await cluster.end()
    }

    @Test(
      "a service that waits in a call ends with a graceful shutdown, where it has said so, and the node after it",
      .timeLimit(.minutes(1)))
    func caller() async throws {
      // One node of three, alone: a call that reaches it waits for its time-out.
      let cluster = try Cluster(3)
      let caller = Caller(node: cluster.endpoint(1))
      let group = ServiceGroup(services: [try service(cluster), caller], logger: cluster.logs.logger("group"))
      let running = Task { try await group.run() }
      var calls = -1
      try await eventually("a call waits: \(cluster.logs.text)") {
        // None more has begun since a while ago: it is not one that finds nobody.
        defer { calls = caller.calls }
        try await Task.sleep(for: .milliseconds(200))
        return cluster.logs.contains("serves clients") && caller.calls == calls
      }
      let began = ContinuousClock.now
      await group.triggerGracefulShutdown()
      try await running.value
      #expect(ContinuousClock.now - began < .seconds(20))
      try await cluster.end()
    }

    @Test("a node whose task is cancelled stops in order")
    func cancelled() async throws {
      let cluster = try Cluster(1)
      let node = try service(cluster)
      try await run(cluster) {
        try await node.run()
      } end: {
        $0.cancel()
      }
      try await cluster.start(1)
      try await cluster.waitForLeader()
      #expect(try await cluster.client(1).get("k") == "v")
      try await cluster.end()
    }

    @Test("a node that cannot start says why")
    func refused() async throws {
      let cluster = try Cluster(1)
      try await cluster.start(1)
      let node = try service(cluster)
      let failure = await #expect(throws: ServerFailure.self) { try await node.run() }
      let message = try #require(failure?.message)
      #expect(cluster.logs.contains("1 critical: node 1 cannot start: \(message)"), "\(cluster.logs.text)")
      try await cluster.end()
    }
  }
}
