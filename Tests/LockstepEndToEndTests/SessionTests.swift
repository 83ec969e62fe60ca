import Glibc
import LockstepReflection
import Synchronization
import Testing

extension EndToEndTests {
  /// What was sent under each sequence of a session, and what came of it.
  private struct Sent {
    let session: UInt64
    let sequence: Int
    let answer: JSONValue
  }

  private final class Sending: Sendable {
    let sent = Mutex<[Sent]>([])
    let isOver = Atomic(false)
    var count: Int { sent.withLock { $0.count } }
  }

  /// Adds one and one, under one sequence after the other.
  private static func add(in session: UInt64, _ endpoints: String, _ sending: Sending) async throws {
    var next = 1
    while !sending.isOver.load(ordering: .relaxed) {
      let sequences = next..<next + 50
      // Short time-outs: what is under way at a kill stays unknown, and is resolved in the end.
      let lines = sequences.map { add(session, $0, timeout: "400ms") }
      let finished = try await Finished.run(
        ["call", "-", "--concurrency", "16", "--endpoints", endpoints], input: lines, limit: .seconds(120))
      guard finished.lines.count == lines.count else { throw Failure("\(finished.code): \(finished.errors)") }
      let answers = try finished.lines.map { try JSONValue(parsing: $0) }
      sending.sent.withLock { sent in
        sent += zip(sequences, answers).map { Sent(session: session, sequence: $0, answer: $1) }
      }
      next += 50
    }
  }

  @Test(.timeLimit(.minutes(15)))
  func
    `a counter equals the acknowledged adds, with every unknown one resolved, over kill -9 of the leader and of all`()
    async throws
  {
    let rounds = Setup.rounds(quick: 3, full: 20)
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path) { cluster in
      var sessions: [UInt64] = []
      for _ in 0..<4 { sessions.append(try await Self.openSession(cluster)) }
      let sending = Sending()
      let endpoints = cluster.endpoints()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for session in sessions {
          group.addTask { try await Self.add(in: session, endpoints, sending) }
        }
        for round in 0..<rounds {
          let count = sending.count
          try await wait(upTo: .seconds(30), "calls go on") { sending.count > count + 400 }
          try await wait(upTo: .seconds(20), "all nodes run") { cluster.runningNodes.count == 3 }
          let all = round % 3 == 2
          let leader = try await cluster.leader()
          let pids = all ? Array(cluster.runningNodes.values) : [try cluster.pid(of: leader)]
          for pid in pids { kill(pid, SIGKILL) }
        }
        let count = sending.count
        try await wait(upTo: .seconds(30), "calls go on") { sending.count > count + 400 }
        sending.isOver.store(true, ordering: .relaxed)
        try await group.waitForAll()
      }
      var outcomes: [String: Int] = [:]
      var carriedOut = 0
      for sent in sending.sent.withLock({ $0 }) {
        let outcome = try await Self.outcome(sent, cluster)
        outcomes[outcome, default: 0] += 1
        if outcome == "acknowledged" || outcome == "committed" { carriedOut += 1 }
      }
      let line = try await cluster.calls([#"{"method":"lockstep.counter.v1.Counter/Get","request":{"name":"n"}}"#])
      #expect(line[0]["reply"]?["value"]?.string == String(carriedOut), "\(outcomes)")
      #expect(outcomes["acknowledged", default: 0] > 400 * rounds && outcomes["lost"] == nil, "\(outcomes)")
      try await cluster.waitForEqualNodes()
      Setup.say("\(rounds) kills, of all nodes each third time: \(outcomes)")
    }
  }

  private static func openSession(_ cluster: Cluster) async throws -> UInt64 {
    let opened = try await Finished.run(["call", "--open-session", "--endpoints", cluster.endpoints()])
    return try #require(UInt64(opened.lines.first ?? ""), "\(opened.errors)")
  }

  private static func add(_ session: UInt64, _ sequence: Int, timeout: String) -> String {
    #"{"method":"lockstep.counter.v1.Counter/Add","request":{"name":"n","delta":1},"session":\#(session),"#
      + #""sequence":\#(sequence),"timeout":"\#(timeout)"}"#
  }

  private static func outcome(_ sent: Sent, _ cluster: Cluster) async throws -> String {
    if sent.answer.isOK { return "acknowledged" }
    if sent.answer["applied"] == "no" { return "refused" }
    let call = "\(sent.session):\(sent.sequence)"
    let method = "lockstep.counter.v1.Counter/Add"
    let resolved = try await Finished.run(["call", method, "--resolve", call, "--endpoints", cluster.endpoints()])
    let answer = try JSONValue(parsing: resolved.lines.first ?? "null")
    let outcome = answer["outcome"]?.string ?? "nothing: \(resolved.errors)"
    if outcome == "committed" { #expect(answer["reply"]?["value"] != nil, "\(answer.text())") }
    if outcome == "never" {
      let late = try await cluster.calls([add(sent.session, sent.sequence, timeout: "5s")])
      #expect(late[0]["code"] == "ABORTED" && late[0]["applied"] == "no", "\(late[0].text())")
    }
    return outcome
  }
}
