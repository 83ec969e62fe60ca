import Foundation
import Glibc
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepServices
import LockstepWire
import Logging
import SwiftProtobuf
import Synchronization
import Testing

@testable import Lockstep

/// All tests that start servers, one after the other: they share two disks and two cores with each other otherwise, and
/// elections have deadlines.
@Suite("Servers", .serialized)
enum Servers {}

/// The one place where tests wait: asks again and again until it is so, and gives up after a while.
func eventually(
  within seconds: Double = 8, _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(5))
  }
  let isSo = try await condition()
  try #require(isSo, what, sourceLocation: sourceLocation)
}

/// Ports outside of the range from which the kernel gives ports away.
enum FreePorts {
  private static let last = Mutex(21_000 + Int(getpid()) % 5_000)

  static func next() -> Int {
    while true {
      let port = last.withLock { last in
        last = last >= 31_000 ? 21_000 : last + 1
        return last
      }
      let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(probe) }
      if bindLoopback(probe, port) { return port }
    }
  }
}

func withLoopback(_ port: Int, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Bool {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  return withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      call($0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
    }
  }
}

func bindLoopback(_ descriptor: Int32, _ port: Int) -> Bool { withLoopback(port) { bind(descriptor, $0, $1) } }

/// What the nodes of a test have logged.
final class LogBook: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  func contains(_ text: String) -> Bool { lines.withLock { $0.contains { $0.contains(text) } } }
  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  func logger(_ name: String) -> Logger {
    var logger = Logger(label: name, factory: { Handler(book: self, name: $0) })
    logger.logLevel = .debug
    return logger
  }

  private struct Handler: LogHandler {
    let book: LogBook
    let name: String
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { book.add("\(name) \(event.level): \(event.message)") }
  }
}

/// Nodes of one cluster in this process: real sockets, real files, short ticks.
final class Cluster {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
  let logs = LogBook()
  let count: UInt64
  let preferredLeader: UInt64?
  private(set) var ports: [(client: Int, peer: Int)] = []
  private(set) var servers: [UInt64: LockstepServer] = [:]
  private var clients: [LockstepClient] = []

  init(_ count: UInt64, preferredLeader: UInt64? = nil) throws {
    self.count = count
    self.preferredLeader = preferredLeader
    for _ in 0..<count { ports.append((FreePorts.next(), FreePorts.next())) }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  func directory(_ id: UInt64) -> String { "\(path)/\(id)" }
  func endpoint(_ id: UInt64) -> Endpoint { Endpoint(host: "127.0.0.1", port: ports[Int(id) - 1].client) }
  func peerEndpoint(_ id: UInt64) -> Endpoint { Endpoint(host: "127.0.0.1", port: ports[Int(id) - 1].peer) }

  func configuration(_ id: UInt64) -> ServerConfiguration {
    var configuration = ServerConfiguration(
      id: id, directory: directory(id), listen: endpoint(id), peerListen: peerEndpoint(id),
      members: (1...count).map { ServerConfiguration.Member(id: $0, peerEndpoint: peerEndpoint($0)) },
      preferredLeader: preferredLeader)
    configuration.segmentBytes = 1 << 20
    configuration.maximumRequestBytes = 64 << 10
    configuration.tickMilliseconds = 5
    // Twice the default: a busy machine is not to bring about elections that no test is about.
    configuration.limits.electionTicks = 120
    configuration.limits.diskTicks = 240
    configuration.limits.preferredLeaderTicks = 20
    configuration.limits.transferPauseTicks = 180
    return configuration
  }

  func start(_ id: UInt64, _ change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
    var configuration = configuration(id)
    change(&configuration)
    servers[id] = try await LockstepServer.start(
      configuration, machine: ServiceMachine(services: [KeyValue.self, Counter.self]), logger: logs.logger("node\(id)"))
  }

  func startAll(_ change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
    for id in 1...count where servers[id] == nil { try await start(id, change) }
  }

  /// Whatever it ended with.
  func stop(_ id: UInt64) async throws {
    guard let server = servers.removeValue(forKey: id) else { return }
    server.stop()
    try? await server.waitUntilStopped()
  }

  func stopAll(but id: UInt64) async throws {
    for other in servers.keys.sorted() where other != id { try await stop(other) }
  }

  func server(_ id: UInt64) throws -> LockstepServer { try #require(servers[id]) }

  /// A client of these nodes, in this order; of all when none are named.
  func client(_ ids: UInt64...) -> LockstepClient {
    let client = LockstepClient(endpoints: (ids.isEmpty ? Array(1...count) : ids).map(endpoint))
    clients.append(client)
    return client
  }

  func status(_ id: UInt64) async -> GroupReport? {
    guard servers[id] != nil else { return nil }
    let client = LockstepClient(endpoints: [endpoint(id)])
    defer { Task { await client.close() } }
    return try? await client.status(timeout: .seconds(1)).groups.first
  }

  /// The node that leads, in its own opinion and with a committed entry of its term.
  func leader() async -> UInt64? {
    for id in servers.keys.sorted() where await status(id)?.role == .leader { return id }
    return nil
  }

  @discardableResult
  func waitForLeader(not former: UInt64? = nil, is wanted: UInt64? = nil) async throws -> UInt64 {
    var found: UInt64 = 0
    try await eventually("somebody leads: \(logs.text)") {
      guard let id = await leader(), id != former, wanted == nil || id == wanted else { return false }
      // A follower hears of its leader a moment after the leader does. One that is cut off campaigns.
      for other in servers.keys.sorted() {
        if let status = await status(other), status.role == .follower, status.leader != id { return false }
      }
      found = id
      return true
    }
    return found
  }

  /// A follower hears of its leader a moment after the leader does, is connected to it a moment later, and answers
  /// UNAVAILABLE until then.
  func waitUntilKnown(_ leader: UInt64, at ids: UInt64...) async throws {
    try await eventually("nodes \(ids) know that \(leader) leads, and pass calls on to it") {
      for id in ids {
        guard await status(id)?.leader == leader else { return false }
        let client = LockstepClient(endpoints: [endpoint(id)])
        defer { Task { await client.close() } }
        do { _ = try await client.get("") } catch { return false }
      }
      return true
    }
  }

  func end() async throws {
    for client in clients { await client.close() }
    for server in servers.values { server.stop() }
    for server in servers.values { try? await server.waitUntilStopped() }
    try FileManager.default.removeItem(atPath: path)
  }

  /// A cluster that leads, for `body`, and that is gone after it.
  static func with(
    _ count: UInt64, preferredLeader: UInt64? = nil, _ change: (inout ServerConfiguration) -> Void = { _ in },
    _ body: (Cluster) async throws -> Void
  ) async throws {
    let cluster = try Cluster(count, preferredLeader: preferredLeader)
    do {
      try await cluster.startAll(change)
      try await cluster.waitForLeader()
      try await body(cluster)
    } catch {
      try await cluster.end()
      throw error
    }
    try await cluster.end()
  }

  /// One whose leader does not give up the lead for at least two seconds after its followers have gone.
  static func patient(_ count: UInt64, _ body: (Cluster) async throws -> Void) async throws {
    // Named, the first leader need not wait that long.
    try await with(
      count, preferredLeader: 1,
      {
        $0.limits.electionTicks = 400
        $0.limits.diskTicks = 800
      }, body)
  }
}

extension LockstepClient {
  func options(_ read: Consistency = .linearizable, timeout: Duration = .seconds(5)) -> CallOptions {
    CallOptions(consistency: read, timeout: timeout)
  }

  @discardableResult
  func put(_ key: String, _ value: String, timeout: Duration = .seconds(5)) async throws -> Reply {
    let request = Lockstep_Kv_V1_PutRequest.with {
      $0.key = key
      $0.value = value
    }
    return try await call("lockstep.kv.v1.KeyValue/Put", request.serializedBytes(), options: options(timeout: timeout))
  }

  func get(
    _ key: String, _ read: Consistency = .linearizable, timeout: Duration = .seconds(5)
  ) async throws -> String? {
    let request = Lockstep_Kv_V1_GetRequest.with { $0.key = key }
    let reply = try await call(
      "lockstep.kv.v1.KeyValue/Get", request.serializedBytes(), options: options(read, timeout: timeout))
    let found = try Lockstep_Kv_V1_GetReply(serializedBytes: reply.payload)
    return found.found ? found.value : nil
  }

  func add(_ name: String, _ delta: Int64, timeout: Duration = .seconds(5)) async throws -> Int64 {
    let request = Lockstep_Counter_V1_AddRequest.with {
      $0.name = name
      $0.delta = delta
    }
    let reply = try await call(
      "lockstep.counter.v1.Counter/Add", request.serializedBytes(), options: options(timeout: timeout))
    return try Lockstep_Counter_V1_AddReply(serializedBytes: reply.payload).value
  }
}

/// What the body throws as a call's failure; an issue when it succeeds.
func failure(
  _ what: Comment = "the call fails", sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async throws -> CallFailure {
  do { try await body() } catch let failure as CallFailure { return failure }
  Issue.record(what, sourceLocation: sourceLocation)
  return CallFailure(CallStatus(.ok, ""), applied: .yes)
}

/// The exit code with which a start fails.
func startFailure(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async throws -> ServerFailure {
  do { try await body() } catch let failure as ServerFailure { return failure }
  Issue.record("the start fails", sourceLocation: sourceLocation)
  return ServerFailure(.other, "no failure")
}
