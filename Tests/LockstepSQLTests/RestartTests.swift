import Foundation
import Lockstep
import LockstepRequests
import Logging
import SwiftProtobuf
import Synchronization
import Testing

@testable import LockstepSQL

/// A node of one, on real files.
private final class OneNode {
  let directory: TemporaryDirectory
  let notes = Notes()
  private var server: LockstepServer?
  private let ports = (Int.random(in: 12_000..<16_000), Int.random(in: 16_001..<20_000))

  final class Notes: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    func contains(_ text: String) -> Bool { lines.withLock { $0.contains { $0.contains(text) } } }
  }

  private struct Handler: LogHandler {
    let notes: Notes
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { notes.add("\(event.message)") }
  }

  init() throws { directory = try TemporaryDirectory() }

  var path: String { "\(directory.path)/1" }
  var state: String { "\(path)/state-1" }

  func start(_ path: String? = nil, isMoved: Bool = false) async throws {
    let peer = Endpoint(host: "127.0.0.1", port: ports.1)
    var configuration = ServerConfiguration(
      id: 1, directory: path ?? self.path, listen: Endpoint(host: "127.0.0.1", port: ports.0), peerListen: peer,
      members: [.init(id: 1, peerEndpoint: peer)])
    configuration.segmentBytes = 1 << 20
    configuration.tickMilliseconds = 5
    configuration.snapshotLogBytes = 64 << 10
    configuration.isDirectoryMoved = isMoved
    let notes = notes
    server = try await LockstepServer.start(
      configuration, stored: SQLMachine(), logger: Logger(label: "node", factory: { _ in Handler(notes: notes) }))
  }

  func stop() async throws {
    server?.stop()
    try await server?.waitUntilStopped()
    server = nil
  }

  private func call<Reply: SwiftProtobuf.Message>(_ method: String, _ request: some SwiftProtobuf.Message) async throws
    -> Reply
  {
    let client = LockstepClient(endpoints: [Endpoint(host: "127.0.0.1", port: ports.0)])
    defer { Task { await client.close() } }
    let bytes: [UInt8] = try request.serializedBytes()
    return try Reply(serializedBytes: await client.call("lockstep.sql.v1.Sql/\(method)", bytes).payload)
  }

  func execute(_ sql: String...) async throws {
    var request = Lockstep_Sql_V1_ExecuteRequest()
    request.statements = sql.map { sql in .with { $0.sql = sql } }
    let _: Lockstep_Sql_V1_ExecuteReply = try await call("Execute", request)
  }

  func query(_ sql: String) async throws -> [String] {
    var request = Lockstep_Sql_V1_QueryRequest()
    request.sql = sql
    let reply: Lockstep_Sql_V1_QueryReply = try await call("Query", request)
    return reply.rows.map { $0.values.map { $0.listed }.joined(separator: "|") }
  }

  func files(_ prefix: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix(prefix) }
  }
}

@Suite("SQL: where the machine is at a start", .serialized)
struct RestartTests {
  private func refusal(_ start: () async throws -> Void) async throws -> ServerFailure? {
    do { try await start() } catch let failure as ServerFailure { return failure }
    return nil
  }

  @Test("behind the log's end, or with nothing at all, it is given what it lacks")
  func behind() async throws {
    let node = try OneNode()
    try await node.start()
    try await node.execute("CREATE TABLE t(a, at DEFAULT CURRENT_TIMESTAMP)", "INSERT INTO t(a) VALUES (random())")
    for _ in 0..<5 { try await node.execute("INSERT INTO t(a) VALUES (random())") }
    let rows = try await node.query("SELECT a, at FROM t ORDER BY rowid")
    try await node.stop()
    try await node.start()
    #expect(try await node.query("SELECT a, at FROM t ORDER BY rowid") == rows)
    try await node.stop()
    try FileManager.default.removeItem(atPath: node.state)
    try await node.start()
    #expect(try await node.query("SELECT a, at FROM t ORDER BY rowid") == rows, "time and chance as they were")
    try await node.stop()
  }

  @Test("ahead of the log's end it is refused: the log has lost what it had promised")
  func future() async throws {
    let node = try OneNode()
    try await node.start()
    try await node.execute("CREATE TABLE t(a)")
    try await node.stop()
    let old = "\(node.directory.path)/old"
    try FileManager.default.copyItem(atPath: node.path, toPath: old)
    try await node.start()
    for _ in 0..<5 { try await node.execute("INSERT INTO t VALUES (1)") }
    try await node.stop()
    try FileManager.default.removeItem(atPath: "\(old)/state-1")
    try FileManager.default.copyItem(atPath: node.state, toPath: "\(old)/state-1")
    let failure = try await refusal { try await node.start(old, isMoved: true) }
    #expect(failure?.kind == .damaged && failure?.message.contains("its end was lost") == true)
  }

  @Test("behind the log's beginning it is made anew of the newest snapshot; without one it is refused")
  func gap() async throws {
    let node = try OneNode()
    try await node.start()
    try await node.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    // In the log, and not in the database, whose snapshots would come the later the larger it is.
    let filling = String(repeating: "x", count: 100_000)
    let first = try node.files("log-").min()
    var count = 0
    while try count < 5000 && (node.files("log-").min() == first || node.files("snapshot-").count < 2) {
      try await node.execute("INSERT INTO t(b) VALUES (random()) -- \(filling)")
      count += 1
    }
    try #require(try node.files("log-").min() != first, "the log begins further on")
    let rows = try await node.query("SELECT count(*), sum(b % 1000), min(b) FROM t")
    try await node.stop()
    try FileManager.default.removeItem(atPath: node.state)
    try await node.start()
    #expect(node.notes.contains("it was made anew of the snapshot up to entry"))
    #expect(try await node.query("SELECT count(*), sum(b % 1000), min(b) FROM t") == rows)
    try await node.execute("INSERT INTO t(b) VALUES (1)")
    try await node.stop()
    for name in try node.files("state-") + node.files("snapshot-") {
      try FileManager.default.removeItem(atPath: "\(node.path)/\(name)")
    }
    let failure = try await refusal { try await node.start() }
    #expect(failure?.kind == .damaged && failure?.message.contains("no whole snapshot") == true)
  }

  @Test("a database that is damaged ends the start with a code of its own kind, and is named")
  func damaged() async throws {
    let node = try OneNode()
    try await node.start()
    try await node.execute("CREATE TABLE t(a)")
    try await node.stop()
    // Where SQLite's own log is still there, all of the database may be in that.
    for name in try FileManager.default.contentsOfDirectory(atPath: node.state) where name.hasPrefix("data.db-") {
      try FileManager.default.removeItem(atPath: "\(node.state)/\(name)")
    }
    try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: "\(node.state)/data.db"))
    let failure = try await refusal { try await node.start() }
    #expect(failure?.kind == .damaged, "\(failure.map { "\($0.kind) \($0)" } ?? "it starts")")
    #expect(failure?.message.contains("data.db") == true)
  }
}
