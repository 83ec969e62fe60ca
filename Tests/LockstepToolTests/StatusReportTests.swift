import Lockstep
import LockstepConsensus
import LockstepExecution
import LockstepReflection
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("status of a cluster")
struct StatusReportTests {
  private func group(_ role: String, term: UInt64 = 2, last: UInt64, at time: UInt64, applied: UInt64? = nil)
    -> GroupReport
  {
    var group = GroupReport()
    (group.role, group.term) = (RoleKind(rawValue: role), term)
    (group.lastIndex, group.durableIndex, group.appliedIndex) = (last, last, applied ?? last)
    (group.lastTimestamp, group.durableTimestamp, group.appliedTimestamp) = (time, time, applied == nil ? time : 0)
    return group
  }

  private func answer(_ id: UInt64, _ group: GroupReport, cluster: UInt8 = 1) -> StatusSurvey.Answer {
    var status = NodeReport()
    (status.node, status.groups, status.cluster) = (id, [group], [cluster])
    return StatusSurvey.Answer(endpoint: Endpoint(host: "h", port: Int(id)), result: .success(status))
  }

  private let silent = StatusSurvey.Answer(
    endpoint: Endpoint(host: "h", port: 9),
    result: .failure(CallFailure(CallStatus(.unavailable, "gone"), applied: .no)))

  @Test("lags: entries behind the leader's end, and the leader's time between the two places")
  func lags() {
    let leader = group("leader", last: 100, at: 9_000_000_000)
    let lags = StatusReport.lags(of: group("follower", last: 90, at: 8_500_000_000), behind: leader)
    #expect(lags.received == StatusReport.Lag(entries: 10, milliseconds: 500))
    #expect(lags.durable == lags.received)
    #expect(lags.applied == lags.received)
  }

  @Test("a node that is level lags by no time, even when the time is not known")
  func level() {
    let lags = StatusReport.lags(
      of: group("follower", last: 100, at: 0), behind: group("leader", last: 100, at: 5))
    #expect(lags.received == StatusReport.Lag(entries: 0, milliseconds: 0))
  }

  @Test("a node that was asked later than the leader is level, not ahead")
  func ahead() {
    let lags = StatusReport.lags(
      of: group("follower", last: 120, at: 9), behind: group("leader", last: 100, at: 5))
    #expect(lags.received == StatusReport.Lag(entries: 0, milliseconds: 0))
  }

  @Test("a time that is not known is unknown, not 0")
  func unknownTime() {
    let lags = StatusReport.lags(
      of: group("follower", last: 100, at: 5, applied: 40), behind: group("leader", last: 100, at: 5))
    #expect(lags.applied == StatusReport.Lag(entries: 60, milliseconds: nil))
  }

  @Test("without a leader all lags are unknown")
  func noLeader() {
    let report = StatusReport([answer(1, group("candidate", last: 3, at: 5)), silent])
    #expect(report.leader == nil)
    #expect(report.rows[0].lags.received == StatusReport.Lag(entries: nil, milliseconds: nil))
    #expect(report.json["leader"] == .null)
    #expect(report.json["nodes"]?[0]?["lag"]?["received"] == ["entries": nil, "milliseconds": nil])
  }

  @Test("of two that say they lead, the one of the newer term does")
  func twoLeaders() {
    let report = StatusReport([
      answer(1, group("leader", term: 4, last: 3, at: 5)), answer(2, group("leader", term: 5, last: 3, at: 5)),
    ])
    #expect(report.leader == 2)
  }

  @Test("a node of another cluster has no lag behind this one's leader")
  func otherCluster() {
    let report = StatusReport([
      answer(1, group("leader", last: 3, at: 5)), answer(2, group("follower", last: 1, at: 5), cluster: 2),
    ])
    #expect(report.rows[1].lags.received == StatusReport.Lag())
  }

  @Test("a node that does not answer is listed, with the reason")
  func unreachable() {
    let report = StatusReport([silent])
    #expect(!report.isAnyReachable)
    let text = #"{"nodes":[{"id":null,"endpoint":"h:9","error":"gone"}],"leader":null,"problems":[]}"#
    #expect(report.json.text() == text)
  }

  @Test("what a node does not know is null")
  func unknownNumbers() {
    let node = StatusReport([answer(1, group("follower", last: 3, at: 5))]).json["nodes"]?[0]
    for key in ["leader", "incarnation", "version", "residentBytes"] { #expect(node?[key] == .null, "\(key)") }
    #expect(node?["lastIndex"] == 3)
    #expect(node?["digest"] == "0000000000000000")
  }

  @Test("the table is aligned, and says unknown")
  func table() {
    let report = StatusReport([answer(1, group("candidate", last: 3, at: 5)), silent])
    let lines = StatusTable(report, isColoured: false).text.split(separator: "\n").map(String.init)
    #expect(lines.count == 4)
    let column = try? #require(lines[0].ranges(of: "ROLE").first?.lowerBound)
    #expect(column.map { lines[1][$0...].hasPrefix("candidate") } == true)
    #expect(lines[1].contains("unknown"))
    #expect(lines[2] == "h:9: unreachable: gone")
    #expect(lines[3] == "leader: unknown")
  }

  @Test("a snapshot on its way is told: from whom, how far, how fast, how long yet, or what it waits for")
  func install() {
    var install = InstallReport(source: 2)
    #expect(StatusTable.text(install) == "receives a snapshot from node 2, 0 KiB a second")
    (install.index, install.bytes, install.totalBytes, install.bytesPerSecond) = (700, 30 << 20, 120 << 20, 20 << 20)
    var group = group("follower", last: 3, at: 5)
    group.install = install
    let report = StatusReport([answer(3, group)])
    let told = "node 3 receives the snapshot of entry 700 from node 2, 25 % of 120 MiB, 20 MiB a second, 5 s left"
    #expect(StatusTable(report, isColoured: false).text.split(separator: "\n").contains(Substring(told)))
    let json = report.json["nodes"]?[0]?["install"]
    #expect(json?["percent"] == 25 && json?["secondsLeft"] == 5 && json?["waitsFor"] == .null && json?["index"] == 700)
    install.waitsFor = "a connection to node 2"
    #expect(StatusTable.text(install).hasSuffix("25 % of 120 MiB, waits for: a connection to node 2"))
    #expect(StatusReport([answer(3, self.group("leader", last: 3, at: 5))]).json["nodes"]?[0]?["install"] == .null)
  }

  @Test("a disk without room for commands is told: what is used, what may be, and what is missing")
  func disk() {
    func told(_ missing: UInt64) -> StatusReport {
      var disk = DiskSpaceReport(used: 500 << 20, limit: 512 << 20, available: 70 << 30)
      disk.missing = missing
      var status = NodeReport()
      (status.node, status.groups, status.disk) = (2, [group("leader", last: 3, at: 5)], disk)
      return StatusReport([.init(endpoint: Endpoint(host: "h", port: 2), result: .success(status))])
    }
    let line =
      "node 2 has no room for commands: it takes 500 MiB of 512 MiB, its file system has 70 GiB left, 12 MiB are missing"
    #expect(StatusTable(told(12 << 20), isColoured: false).text.split(separator: "\n").contains(Substring(line)))
    #expect(!StatusTable(told(0), isColoured: false).text.contains("room"))
    #expect(told(7).json["nodes"]?[0]?["disk"]?["missingBytes"] == 7)
    #expect(StatusReport([answer(1, group("leader", last: 3, at: 5))]).json["nodes"]?[0]?["disk"] == .null)
  }

  @Test("colours only when asked for")
  func colours() {
    let report = StatusReport([answer(1, group("leader", last: 3, at: 5))])
    #expect(!StatusTable(report, isColoured: false).text.contains("\u{1b}"))
    #expect(StatusTable(report, isColoured: true).text.contains("\u{1b}[32m"))
  }
}
