import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  /// Three nodes with SQL, each of which can be stopped and wiped for itself.
  private final class SQLNodes {
    let directory: TemporaryDirectory
    let base: Int
    private(set) var programs: [Int: Program] = [:]

    init() throws {
      directory = try TemporaryDirectory()
      base = try Ports.freeBase()
    }

    deinit { for program in programs.values { program.send(SIGKILL) } }

    func data(_ id: Int) -> String { "\(directory.path)/\(id)" }
    func errors(_ id: Int) -> String { programs[id]?.errors ?? "" }
    func endpoint(_ id: Int) -> String { "127.0.0.1:\(base + id)" }
    var endpoints: String { (1...3).map { endpoint($0) }.joined(separator: ",") }

    func start(_ id: Int, _ flags: String...) throws {
      let small = ["--service", "sql", "--snapshot-log-bytes", "65536", "--retain", "0", "--leader", "1"]
      programs[id] = try Program(Setup.lockstep, EndToEndTests.node(id, dir: data(id), base: base) + small + flags)
    }

    func end(_ id: Int, _ signal: Int32) async throws {
      programs[id]?.send(signal)
      let code = try await programs.removeValue(forKey: id)?.waitForExit(.seconds(30))
      if signal == SIGTERM, code != 0 { throw Failure("node \(id) ended with \(String(describing: code))") }
    }

    func sql(_ lines: [String]) async throws -> [String] {
      let finished = try await Finished.run(["sql", "--endpoints", endpoints], input: lines, limit: .seconds(60))
      guard finished.code == 0 else { throw Failure("sql: \(finished.errors)") }
      return finished.lines
    }

    /// So many rows, a statement each: much for the log, and little for the database, whose snapshots would come the later
    /// the larger it is.
    func insert(_ count: Int) async throws {
      let row = "INSERT INTO t(r, filling) VALUES (random(), substr('\(String(repeating: "x", count: 20_000))', 1, 9));"
      _ = try await sql((0..<count).map { _ in row })
    }

    /// What this node has, whatever that is.
    func count(at id: Int) async throws -> (count: Int?, index: Int) {
      let finished = try await Finished.run([
        "call", "lockstep.sql.v1.Sql/Query", #"{"sql":"SELECT count(*) FROM t"}"#, "--json", "--read", "any",
        "--endpoints", endpoint(id), "--timeout", "5s",
      ])
      let answer = try JSONValue(parsing: finished.lines.first ?? "null")
      let value = answer["reply"]?["rows"]?.array?.first?["values"]?.array?.first?["integer"]
      return (value.flatMap { Int($0.text().filter(\.isNumber)) }, answer["index"]?.integer ?? -1)
    }

    func status() async throws -> [JSONValue] {
      let finished = try await Finished.run(["status", "--json", "--endpoints", endpoints])
      return try JSONValue(parsing: finished.lines.first ?? "null")["nodes"]?.array ?? []
    }

    func waitForEqual() async throws {
      var seen: [JSONValue] = []
      try await wait(upTo: .seconds(60), "all are level: \(seen.map { $0.text() })") {
        seen = try await status()
        return seen.count == 3 && Set(seen.map { $0["digest"]?.text() ?? "-" }).count == 1
          && Set(seen.map { $0["appliedIndex"]?.text() ?? "-" }).count == 1
      }
    }

    /// The nodes that run have let go of what node 3 would need.
    func insertUntilTheLogIsGone(behind last: Int) async throws {
      for _ in 0..<60 {
        try await insert(60)
        let firsts = try await status().filter { $0["id"] != 3 }.compactMap { $0["firstIndex"]?.text() }
          .compactMap { Int($0.filter(\.isNumber)) }
        if firsts.count == 2, firsts.allSatisfy({ $0 > last + 1 }) { return }
      }
      throw Failure("the log still reaches back: \(try await status().map { $0.text() })")
    }

    func states(_ id: Int) -> [String] { Files.names(data(id)).filter { $0.hasPrefix("state-") } }
  }

  @Test(.timeLimit(.minutes(6)))
  func `a node with SQL that was away for long, or is killed on the way, or wiped, gets the database of another`()
    async throws
  {
    let nodes = try SQLNodes()
    for id in 1...3 { try nodes.start(id) }
    try await wait(upTo: .seconds(30), "a first statement") {
      (try? await nodes.sql(["CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, r INTEGER, filling TEXT);"])) != nil
    }
    // No node that is stopped here leads: what a call's answer is then, other tests ask.
    try await wait(upTo: .seconds(30), "node 1 leads") {
      let seen = try await nodes.status()
      return seen.count == 3 && seen.allSatisfy { $0["leader"] == 1 }
    }
    try await nodes.insert(20)
    try await nodes.waitForEqual()
    let before = try await nodes.count(at: 3)
    #expect(before.count == 20)

    // Away for long. The first that it asks for a snapshot does not answer; the old state does meanwhile.
    try await nodes.end(3, SIGTERM)
    try await nodes.insertUntilTheLogIsGone(behind: before.index)
    nodes.programs[2]?.send(SIGSTOP)
    try nodes.start(3)
    try await wait(upTo: .seconds(20), "it needs a snapshot: \(nodes.errors(3))") {
      nodes.errors(3).contains("it fetches a snapshot")
    }
    let meanwhile = try await nodes.count(at: 3)
    #expect(meanwhile.count == 20 && nodes.states(3) == ["state-1"], "the old state answers")
    nodes.programs[2]?.send(SIGCONT)
    for round in 0..<6 {
      try await nodes.end(3, SIGKILL)
      try nodes.start(3)
      // At another moment each time.
      let word = [".part", ".arrived-", "state-1-", "installed"][round % 4]
      _ = try? await wait(upTo: .seconds(5), word) {
        Files.names(nodes.data(3)).contains { $0.contains(word) } || nodes.errors(3).contains(word)
      }
    }
    try await nodes.waitForEqual()
    let all = try await nodes.count(at: 3)
    #expect(try await nodes.count(at: 1).count == all.count)
    #expect(all.count ?? 0 >= 80)
    #expect(nodes.states(3).count == 1 && nodes.states(3)[0].hasPrefix("state-1-"), "\(nodes.states(3))")

    // It is a state like any other: after a restart, and for a majority with one other.
    try await nodes.end(3, SIGTERM)
    try nodes.start(3)
    try await nodes.end(2, SIGTERM)
    try await wait(upTo: .seconds(30), "1 and 3 go on") { (try? await nodes.insert(1)) != nil }
    try nodes.start(2)
    try await nodes.waitForEqual()

    // Wiped.
    try await nodes.end(3, SIGKILL)
    Files.remove(nodes.data(3))
    try nodes.start(3, "--replace-disk")
    try await wait(upTo: .seconds(60), "node 3 votes: \(nodes.errors(3))") {
      let seen = try await nodes.status()
      return seen.count == 3 && seen.allSatisfy { $0["kind"] == "voter" && $0["learners"] == [] }
    }
    try await nodes.waitForEqual()
    #expect(nodes.errors(3).contains("installed the snapshot up to entry"))
    #expect(try await nodes.count(at: 3).count == (all.count ?? 0) + 1)
    try await nodes.end(2, SIGKILL)
    try await wait(upTo: .seconds(30), "1 and 3 go on") { (try? await nodes.insert(1)) != nil }
    for id in [1, 3] { try await nodes.end(id, SIGTERM) }
  }
}
