import Glibc
import Lockstep
import Synchronization

/// A cluster that lives as long as a benchmark: real processes on a real disk, in a temporary directory.
struct OwnCluster: Sendable {
  let nodes: Int
  /// The temporary directory's parent, and what kind of file system that is.
  let place: String
  let fileSystem: String
  let endpoints: [Endpoint]

  /// Starts one, in which node 1 leads, hands it to `body` when it serves, and stops and removes it whatever happens: an
  /// error, a signal, a node that cannot run.
  static func with<Result: Sendable>(
    nodes: Int, nodeFlags: [String] = [], _ body: @escaping @Sendable (OwnCluster) async throws -> Result
  ) async throws -> Result {
    let program = try UpCommand.ownProgram()
    let directory = try ClusterDirectory.temporary(nodes: nodes)
    let outcome: Swift.Result<Result, any Error>
    do { outcome = .success(try await run(program, directory, nodeFlags, body)) } catch { outcome = .failure(error) }
    // What was measured stays measured.
    do { try directory.remove() } catch { Output.error("lockstep: \(error)") }
    return try outcome.get()
  }

  private static func run<Result: Sendable>(
    _ program: String, _ directory: ClusterDirectory, _ nodeFlags: [String],
    _ body: @escaping @Sendable (OwnCluster) async throws -> Result
  ) async throws -> Result {
    let plan = LaunchPlan(
      nodes: directory.nodes, basePort: try FreePorts.base(nodes: directory.nodes), program: program,
      isOwnProgram: true, directory: directory.path, cluster: directory.name, leader: 1, nodeFlags: nodeFlags)
    let place = directory.path.lastIndex(of: "/").map { String(directory.path[..<$0]) } ?? "."
    let cluster = OwnCluster(
      nodes: directory.nodes, place: place, fileSystem: FileSystem.type(of: directory.path), endpoints: plan.endpoints)
    let (ready, isReady) = AsyncStream<Void>.makeStream()
    let launcher = Launcher(plan: plan, directory: directory, restarts: true) { event in
      if case .ready = event { isReady.yield() }
    }
    let stop = launcher.stopper
    let work = Task { () async throws -> Result? in
      defer { stop() }
      for await _ in ready { return try await body(cluster) }
      return nil
    }
    // Without a result: `body` may be in the middle of anything, but the process is about to end.
    defer { isReady.finish() }
    if let signal = try await launcher.run() {
      throw CommandFailure.failed("signal \(signal) came before the end: there is no result")
    }
    guard let result = try await work.value else { throw CommandFailure.failed("the cluster did not start") }
    return result
  }
}
