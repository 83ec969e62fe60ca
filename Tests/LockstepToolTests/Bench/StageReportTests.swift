import Lockstep
import LockstepConsensus
import LockstepExecution
import LockstepReflection
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("where a command's time goes")
struct StageReportTests {
  private func answer(
    _ node: UInt64, _ role: String, incarnation: UInt64 = 1, uptime: UInt64 = 1000,
    _ stages: [(stage: String, peer: UInt64, count: UInt64, nanoseconds: UInt64)], _ counters: [String: UInt64] = [:]
  ) -> StatusSurvey.Answer {
    var status = NodeReport()
    var group = GroupReport()
    group.role = RoleKind(rawValue: role)
    (status.node, status.incarnation, status.uptimeMilliseconds) = (node, incarnation, uptime)
    (status.groups, status.version) = ([group], "0.9")
    status.stages = stages.map {
      StageFigures(
        name: $0.stage, peer: $0.peer, count: $0.count, totalNanoseconds: $0.nanoseconds, maximumNanoseconds: 9)
    }
    status.counters = counters.sorted { $0.key < $1.key }.map { CounterFigure(name: $0.key, value: $0.value) }
    return StatusSurvey.Answer(endpoint: Endpoint(host: "h", port: Int(node)), result: .success(status))
  }

  private let silent = StatusSurvey.Answer(
    endpoint: Endpoint(host: "h", port: 3),
    result: .failure(CallFailure(CallStatus(.unavailable, "gone"), applied: .no)))

  /// Two seconds of a leader and a follower, and a node that says nothing.
  private var report: StageReport {
    StageReport(
      [
        answer(
          1, "leader", [("queue", 0, 10, 1000), ("sync", 0, 10, 5000), ("quorum", 0, 0, 0)],
          ["syncs": 5, "entries": 50, "batches": 1, "turns": 100]),
        answer(2, "follower", [("sync", 0, 1, .max - 99), ("queue", 0, 0, 0)], ["syncs": 0, "entries": 0]), silent,
      ],
      [
        answer(
          1, "leader", uptime: 3000,
          [
            ("queue", 0, 30, 61_000), ("sync", 0, 10, 5000), ("quorum", 0, 4, 1_000_000_000),
            ("replicate", 2, 8, 64_000),
            ("a later version's", 0, 1, 1),
          ], ["syncs": 15, "entries": 250, "batches": 11, "turns": 500, "bytes": 7]),
        answer(
          2, "follower", uptime: 3000, [("sync", 0, 11, 39_900), ("queue", 0, 0, 0)], ["syncs": 0, "entries": 0]),
        silent,
      ])
  }

  @Test("means are of what was counted between the two questions, also when a total has wrapped around")
  func differences() {
    let (leader, follower, third) = (report.members[0], report.members[1], report.members[2])
    #expect(leader.figures?.seconds == 2 && leader.role == "leader" && leader.node == 1)
    #expect(leader.figures?.times[.queue]?.mean == 3 && leader.figures?.times[.queue]?.count == 20)
    #expect(leader.ratio(.entries, per: .syncs) == 20 && leader.perSecond(.syncs) == 5)
    #expect(leader.perSecond(.turns) == 200 && leader.commandsPerBatch == 2)
    #expect(follower.figures?.times[.sync]?.mean == 4)
    #expect(follower.replicate?.mean == 8 && follower.network == 4 && leader.replicate == nil)
    #expect(third.figures == nil && third.node == nil && third.problem == "gone")
  }

  @Test("what is not known is nil: no sample, no sync, a counter that was not there, a difference that cannot be")
  func unknown() {
    let (leader, follower) = (report.members[0], report.members[1])
    #expect(leader.figures?.times[.sync]?.mean == nil && leader.figures?.times[.reply] == nil)
    #expect(leader.perSecond(.bytes) == nil && leader.network == nil)
    #expect(follower.ratio(.entries, per: .syncs) == nil && follower.commandsPerBatch == nil)
    let slower = StageReport(
      [answer(1, "leader", [("replicate", 1, 0, 0), ("sync", 0, 0, 0)])],
      [answer(1, "leader", [("replicate", 1, 1, 1000), ("sync", 0, 1, 2000)])])
    #expect(slower.members[0].replicate?.mean == 1 && slower.members[0].network == nil)
  }

  @Test("a node that was started anew, and one whose version counts nothing, have no figures")
  func restarted() {
    let row: [(stage: String, peer: UInt64, count: UInt64, nanoseconds: UInt64)] = [("sync", 0, 1, 1)]
    let report = StageReport(
      [answer(1, "leader", row), answer(2, "follower", [])],
      [answer(1, "leader", incarnation: 2, row), answer(2, "follower", [])])
    #expect(report.members.allSatisfy { $0.figures == nil })
    #expect(report.members[0].problem?.contains("started anew") == true)
    #expect(report.members[1].problem?.contains("counts no stages") == true)
  }

  @Test("JSON: null for what is unknown, and never 0")
  func json() throws {
    let nodes = try JSONValue(parsing: report.json.text())["nodes"]
    #expect(nodes?[0]?["node"] == 1 && nodes?[0]?["role"] == "leader" && nodes?[0]?["problem"] == nil)
    #expect(nodes?[0]?["stages"]?["queue"] == ["mean_us": 3, "count": 20])
    #expect(nodes?[0]?["stages"]?["sync"] == ["mean_us": nil, "count": 0])
    #expect(nodes?[0]?["stages"]?["reply"] == ["mean_us": nil])
    #expect(nodes?[0]?["entries_per_sync"] == 20 && nodes?[0]?["written_bytes_per_s"] == .null)
    #expect(nodes?[1]?["stages"]?["replicate"] == ["mean_us": 8, "count": 8])
    #expect(nodes?[1]?["stages"]?["network"] == ["mean_us": 4])
    #expect(nodes?[2]?["node"] == .null && nodes?[2]?["stages"] == .null && nodes?[2]?["entries_per_sync"] == .null)
    #expect(nodes?[2]?["endpoint"] == "h:3" && nodes?[2]?["problem"] == "gone")
  }

  @Test("a table for people: a row a stage, a column a node")
  func text() {
    let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(lines[0] == "MEAN µs OF A COMMAND      node 1 (leader)  node 2 (follower)      h:3")
    #expect(lines[1] == "queue                                 3.0                  -  unknown")
    #expect(lines.contains("quorum                            250,000                  -  unknown"))
    #expect(lines.contains("  network                               -                4.0  unknown"))
    #expect(lines.contains("entries a sync                       20.0                  -  unknown"))
    #expect(lines.contains("h:3: nothing is known of its stages: gone"))
    #expect(lines.contains { $0.hasPrefix("A command is queued, appended") })
    // No space at the end of a line.
    #expect(lines.allSatisfy { $0.last != " " })
  }
}
