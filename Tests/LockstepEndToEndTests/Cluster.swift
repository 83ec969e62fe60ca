import Glibc
import LockstepReflection

/// A cluster under `lockstep up --json`.
final class Cluster: Sendable {
  struct Start: Equatable {
    let node: Int
    let pid: pid_t
  }

  struct Exit: Equatable {
    let node: Int
    let pid: pid_t
    let code: Int?
    let signal: Int?
  }

  let directory: String
  let base: Int
  let nodes: Int
  let launcher: Program

  init(_ directory: String, base: Int, nodes: Int = 3, binary: String? = nil, _ flags: [String] = []) throws {
    (self.directory, self.base, self.nodes) = (directory, base, nodes)
    var arguments = ["up", "--json", "--dir", directory, "--base-port", "\(base)", "--nodes", "\(nodes)"]
    if let binary { arguments += ["--binary", binary] }
    launcher = try Program(Setup.lockstep, arguments + flags)
  }

  /// Starts one, hands it to `body` when it is ready, and stops it whatever happens.
  static func with<Result>(
    _ directory: String, base: Int? = nil, nodes: Int = 3, binary: String? = nil, _ flags: [String] = [],
    _ body: (Cluster) async throws -> Result
  ) async throws -> Result {
    let cluster = try Cluster(directory, base: try base ?? Ports.freeBase(), nodes: nodes, binary: binary, flags)
    do {
      try await cluster.waitUntilReady()
      let result = try await body(cluster)
      try await cluster.stop()
      return result
    } catch {
      await cluster.destroy()
      throw error
    }
  }

  // MARK: Life

  func waitUntilReady() async throws {
    try await wait(upTo: .seconds(30), "a leader serves; \(launcher.errors.suffix(3000))") {
      guard launcher.isRunning else { throw Failure("the launcher ended: \(launcher.errors)") }
      return events("ready").first != nil
    }
  }

  func stop() async throws {
    for pid in runningNodes.values { kill(pid, SIGCONT) }
    launcher.send(SIGTERM)
    guard try await launcher.waitForExit(.seconds(20)) == 0 else { throw Failure("up ended badly: \(launcher.errors)") }
  }

  /// For a test that has failed already.
  func destroy() async {
    launcher.send(SIGKILL)
    try? await wait(upTo: .seconds(5), "the launcher ends") { !launcher.isRunning }
    for pid in runningNodes.values { kill(pid, SIGKILL) }
  }

  func events(_ name: String) -> [JSONValue] {
    launcher.lines.compactMap { try? JSONValue(parsing: $0) }.filter { $0["event"]?.string == name }
  }

  var starts: [Start] {
    events("started").map { Start(node: $0["node"]?.integer ?? 0, pid: pid_t($0["pid"]?.integer ?? 0)) }
  }

  var exits: [Exit] {
    events("exited").map {
      Exit(
        node: $0["node"]?.integer ?? 0, pid: pid_t($0["pid"]?.integer ?? 0), code: $0["code"]?.integer,
        signal: $0["signal"]?.integer)
    }
  }

  /// By node.
  var runningNodes: [Int: pid_t] {
    let ended = Set(exits.map(\.pid))
    return Dictionary(starts.filter { !ended.contains($0.pid) }.map { ($0.node, $0.pid) }, uniquingKeysWith: { $1 })
  }

  func pid(of node: Int) throws -> pid_t {
    guard let pid = runningNodes[node] else { throw Failure("node \(node) does not run") }
    return pid
  }

  func signal(_ signal: Int32, node: Int) throws { kill(try pid(of: node), signal) }

  func waitForExit(of node: Int, after count: Int = 0, _ limit: Duration = .seconds(20)) async throws -> Exit {
    try await wait(upTo: limit, "node \(node) ends") { exits.filter { $0.node == node }.count > count }
    return exits.filter { $0.node == node }[count]
  }

  func nodeLog(_ node: Int) -> String { Files.text("\(directory)/node-\(node).log") }
  func data(_ node: Int) -> String { "\(directory)/\(node)" }

  // MARK: Calls

  func endpoint(_ node: Int) -> String { "127.0.0.1:\(base + node)" }

  /// All of them; those of a client that begins with the `first`.
  func endpoints(from first: Int = 1) -> String {
    (0..<nodes).map { endpoint((first - 1 + $0) % nodes + 1) }.joined(separator: ",")
  }

  func call(
    _ method: String, _ request: JSONValue, at endpoints: String? = nil, _ flags: [String] = []
  ) async throws -> (result: JSONValue, code: Int32) {
    let finished = try await Finished.run(
      [
        "call", method, request.text(), "--json", "--endpoints", endpoints ?? self.endpoints(),
      ] + flags)
    return (try JSONValue(parsing: finished.lines.first ?? "null"), finished.code)
  }

  func put(_ key: String, _ value: String, at endpoints: String? = nil, _ flags: [String] = []) async throws
    -> JSONValue
  {
    try await call(Line.kv + "Put", ["key": .string(key), "value": .string(value)], at: endpoints, flags).result
  }

  func get(_ key: String, at endpoints: String? = nil, _ flags: [String] = []) async throws -> JSONValue {
    try await call(Line.kv + "Get", ["key": .string(key)], at: endpoints, flags).result
  }

  /// Many calls, answered in their order.
  func calls(_ lines: [String], concurrency: Int = 64, limit: Duration = .seconds(120)) async throws -> [JSONValue] {
    let finished = try await Finished.run(
      ["call", "-", "--concurrency", "\(concurrency)", "--endpoints", endpoints()], input: lines, limit: limit)
    guard finished.code == 0, finished.lines.count == lines.count else {
      throw Failure("\(lines.count) calls, \(finished.lines.count) answers, code \(finished.code): \(finished.errors)")
    }
    return try finished.lines.map { try JSONValue(parsing: $0) }
  }

  // MARK: Status

  /// In the order of the nodes; those that do not answer have no id, and come last.
  func status() async throws -> [JSONValue] {
    let finished = try await Finished.run(["status", "--json", "--endpoints", endpoints()])
    let nodes = try JSONValue(parsing: finished.lines.first ?? "null")["nodes"]?.array ?? []
    return nodes.sorted { $0["id"]?.integer ?? .max < $1["id"]?.integer ?? .max }
  }

  /// Of each node its term, and the last index of its log.
  func terms() async throws -> [(term: Int?, last: Int?)] {
    try await status().map { ($0["term"]?.integer, $0["lastIndex"]?.integer) }
  }

  /// The node that leads in the newest term.
  func leader() async throws -> Int {
    var found: Int?
    try await wait(upTo: .seconds(20), "somebody leads") {
      let leaders = try await status().filter { $0["role"]?.string == "leader" }
      found = leaders.max { $0["term"]?.integer ?? 0 < $1["term"]?.integer ?? 0 }?["id"]?.integer
      return found != nil
    }
    return found ?? 0
  }

  /// All nodes have applied the same log to its end, and have come to the same state.
  func waitForEqualNodes(_ limit: Duration = .seconds(30)) async throws {
    var seen: [JSONValue] = []
    try await wait(upTo: limit, "all nodes are level: \(seen.map { $0.text() })") {
      seen = try await status()
      let states = seen.map { [$0["lastIndex"], $0["appliedIndex"], $0["digest"]].map { $0?.text() ?? "-" } }
      return seen.count == nodes && Set(states).count == 1 && states[0][0] == states[0][1] && states[0][2] != "-"
    }
  }

  /// VmRSS in KiB.
  static func residentMemory(_ pid: pid_t) -> Int {
    let line = Files.text("/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("VmRSS") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
  }
}

/// Lines for `call -`.
enum Line {
  static let kv = "lockstep.kv.v1.KeyValue/"

  static func put(_ key: String, _ value: String, timeout: String = "5s") -> String {
    let request: JSONValue = ["key": .string(key), "value": .string(value)]
    return "{\"method\":\"\(kv)Put\",\"timeout\":\"\(timeout)\",\"request\":\(request.text())}"
  }

  static func get(_ key: String, read: String = "linearizable", timeout: String = "10s") -> String {
    let request: JSONValue = ["key": .string(key)]
    return "{\"method\":\"\(kv)Get\",\"read\":\"\(read)\",\"timeout\":\"\(timeout)\",\"request\":\(request.text())}"
  }
}

extension JSONValue {
  var isOK: Bool { self["ok"] == .bool(true) }
  var isTrue: Bool { self == .bool(true) }

  /// Protobuf's JSON writes 64-bit integers as strings.
  var integer: Int? {
    switch self {
    case .number(let text), .string(let text): Int(text)
    default: nil
    }
  }
}
