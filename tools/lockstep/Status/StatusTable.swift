import Lockstep
import LockstepConsensus
import LockstepRequests
import LockstepWire

/// A status report for people: aligned, a line a node.
struct StatusTable {
  private static let heading = [
    "NODE", "ENDPOINT", "ROLE", "TERM", "LAST", "DURABLE", "COMMIT", "APPLIED", "RECEIVED LAG", "DURABLE LAG",
    "APPLIED LAG", "DIGEST",
  ]
  static let unknown = "unknown"

  private let report: StatusReport
  private let isColoured: Bool

  init(_ report: StatusReport, isColoured: Bool) {
    self.report = report
    self.isColoured = isColoured
  }

  /// Lines, each with its newline.
  var text: String {
    let answered = report.rows.filter { $0.status != nil }
    let lines = [Self.heading] + answered.map(cells)
    let widths = Self.heading.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    var result = ""
    for (position, cells) in lines.enumerated() {
      var line = ""
      for (cell, width) in zip(cells, widths) {
        line += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      while line.last == " " { line.removeLast() }
      result += paint(line, position == 0 ? nil : answered[position - 1]) + "\n"
    }
    for row in answered {
      guard let install = row.group?.install else { continue }
      result += "node \(row.status?.node ?? 0) \(Self.text(install))\n"
    }
    for row in answered {
      guard let status = row.status, let disk = status.disk, disk.missing > 0 else { continue }
      result += "node \(status.node) \(Self.text(disk))\n"
    }
    for row in report.rows where row.status == nil {
      let line = "\(row.endpoint): unreachable: \(row.error ?? "no answer")"
      result += (isColoured ? "\u{1b}[31m\(line)\u{1b}[0m" : line) + "\n"
    }
    return result + "leader: \(report.leader.map(String.init) ?? Self.unknown)\n"
  }

  private func cells(_ row: StatusReport.Row) -> [String] {
    let node = row.status.flatMap { $0.node == 0 ? nil : String($0.node) } ?? Self.unknown
    guard let group = row.group else {
      return [node, row.endpoint.description] + Array(repeating: Self.unknown, count: Self.heading.count - 2)
    }
    return [
      node, row.endpoint.description, Self.role(group, of: row.status?.node ?? 0), "\(group.term)",
      "\(group.lastIndex)", "\(group.durableIndex)", "\(group.commitIndex)", "\(group.appliedIndex)",
      Self.text(row.lags.received), Self.text(row.lags.durable), Self.text(row.lags.applied), hexadecimal(group.digest),
    ]
  }

  /// Nearly all vote: what is said is who does not.
  private static func role(_ group: GroupReport, of node: UInt64) -> String {
    let role = group.role?.rawValue ?? unknown
    guard let kind = group.kind(of: node), kind != "voter" else { return role }
    return "\(role) (\(kind))"
  }

  static func text(_ lag: StatusReport.Lag) -> String {
    guard let entries = lag.entries else { return unknown }
    return "\(entries) (\(lag.milliseconds.map { "\($0) ms" } ?? unknown))"
  }

  static func text(_ install: InstallReport) -> String {
    let which = install.index == 0 ? "a snapshot" : "the snapshot of entry \(install.index)"
    var parts = ["receives \(which) from node \(install.source)"]
    if let percent = install.percent { parts.append("\(percent) % of \(text(mebibytes: install.totalBytes))") }
    if let reason = install.waitsFor {
      parts.append("waits for: \(reason)")
    } else {
      parts.append("\(text(mebibytes: install.bytesPerSecond)) a second")
      if let seconds = install.secondsLeft { parts.append("\(seconds) s left") }
    }
    return parts.joined(separator: ", ")
  }

  static func text(_ disk: DiskSpaceReport) -> String {
    """
    has no room for commands: it takes \(text(mebibytes: disk.used)) of \(text(mebibytes: disk.limit)), its file \
    system has \(text(mebibytes: disk.available)) left, \(text(mebibytes: disk.missing)) are missing
    """
  }

  private static func text(mebibytes bytes: UInt64) -> String {
    bytes >= 10 << 30 ? "\(bytes >> 30) GiB" : bytes >= 10 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
  }

  private func paint(_ line: String, _ row: StatusReport.Row?) -> String {
    guard isColoured else { return line }
    guard let row else { return "\u{1b}[1m\(line)\u{1b}[0m" }
    return row.status?.node == report.leader ? "\u{1b}[32m\(line)\u{1b}[0m" : line
  }
}
