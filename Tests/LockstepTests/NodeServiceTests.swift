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
      await #expect(throws: ServerFailure.self) { try await node.run() }
      try await cluster.end()
    }
  }
}
