import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  @Test(.timeLimit(.minutes(3)))
  func `a wiped node comes back with --replace-disk, votes, and makes a majority with one other`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    func data(_ id: Int) -> String { "\(directory.path)/\(id)" }
    func start(_ id: Int, _ flags: String...) throws -> Program {
      try Program(Setup.lockstep, Self.node(id, dir: data(id), base: base) + flags)
    }
    let endpoints = (1...3).map { "127.0.0.1:\(base + $0)" }.joined(separator: ",")
    func call(_ method: String, _ request: JSONValue) async throws -> JSONValue {
      let finished = try await Finished.run([
        "call", Line.kv + method, request.text(), "--json", "--timeout", "2s", "--endpoints", endpoints,
      ])
      return try JSONValue(parsing: finished.lines.first ?? "null")
    }
    func status() async throws -> (nodes: [JSONValue], problems: String) {
      let finished = try await Finished.run(["status", "--json", "--endpoints", endpoints])
      let report = try JSONValue(parsing: finished.lines.first ?? "null")
      return (report["nodes"]?.array ?? [], report["problems"]?.text() ?? "")
    }
    var programs = try (1...3).map { try start($0) }
    defer { for program in programs { program.send(SIGKILL) } }
    try await wait(upTo: .seconds(20), "a first write") { try await call("Put", ["key": "a", "value": "1"]).isOK }

    // kill -9, rm -rf, and a start as if nothing had happened: refused, and told what to do.
    programs[1].send(SIGKILL)
    _ = try await programs[1].waitForExit()
    Files.remove(data(2))
    programs[1] = try start(2)
    try await wait(upTo: .seconds(10), "node 2 is told what to do: \(programs[1].errors)") {
      programs[1].errors.contains("refuses this node: node 2 comes with another disk than it had")
        && programs[1].errors.contains("with --replace-disk on an empty directory")
    }
    try await wait(upTo: .seconds(10), "the status names it") {
      let problems = try await status().problems
      return problems.contains("node 2 is refused for its disk by node") && problems.contains("--replace-disk")
    }
    programs[1].send(SIGTERM)
    #expect(try await programs[1].waitForExit() == 0)
    let used = try await Finished.run(Self.node(2, dir: data(2), base: base) + ["--replace-disk"])
    #expect(used.code == 12 && used.errors.contains("--replace-disk is for an empty directory"), "\(used.errors)")

    Files.remove(data(2))
    programs[1] = try start(2, "--replace-disk")
    var seen: [JSONValue] = []
    try await wait(upTo: .seconds(20), "node 2 votes: \(seen.map { $0.text() }) \(programs[1].errors)") {
      seen = try await status().nodes
      return seen.count == 3 && seen.allSatisfy { $0["kind"] == "voter" && $0["learners"] == [] }
    }
    #expect(programs[1].errors.contains("2 is a learner, and votes when caught up"))

    // And it is worth one: without node 3.
    programs[2].send(SIGKILL)
    _ = try await programs[2].waitForExit()
    try await wait(upTo: .seconds(20), "1 and 2 go on") { try await call("Put", ["key": "b", "value": "2"]).isOK }
    for (key, value) in [("a", "1"), ("b", "2")] {
      let answer = try await call("Get", ["key": .string(key)])
      #expect(answer["reply"]?["value"] == .string(value), "\(answer.text())")
    }
    programs[2] = try start(3)
    try await wait(upTo: .seconds(20), "all are level") {
      let nodes = try await status().nodes
      return nodes.count == 3 && Set(nodes.map { $0["digest"]?.text() ?? "-" }).count == 1
        && Set(nodes.map { $0["appliedIndex"]?.text() ?? "-" }).count == 1
    }
    for program in programs {
      program.send(SIGTERM)
      #expect(try await program.waitForExit() == 0)
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `up --replace-disk hands the word to that node alone`() async throws {
    let directory = try TemporaryDirectory()
    let base = try Ports.freeBase()
    try await Cluster.with(directory.path, base: base) { cluster in
      #expect(try await cluster.put("a", "1").isOK)
      try await cluster.waitForEqualNodes()
    }
    Files.remove(directory.path + "/3")
    try await Cluster.with(directory.path, base: base, ["--replace-disk", "3"]) { cluster in
      try await wait(upTo: .seconds(20), "node 3 votes") {
        try await cluster.status().allSatisfy { $0["kind"] == "voter" && $0["learners"] == [] }
      }
      try cluster.signal(SIGSTOP, node: 1)
      try await wait(upTo: .seconds(20), "2 and 3 go on") {
        try await cluster.put("b", "2", at: cluster.endpoint(2), ["--timeout", "2s"]).isOK
      }
      try cluster.signal(SIGCONT, node: 1)
      try await cluster.waitForEqualNodes()
    }
  }
}
