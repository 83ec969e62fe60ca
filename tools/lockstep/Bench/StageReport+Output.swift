import Lockstep
import LockstepReflection
import LockstepRequests
import LockstepWire

// MARK: JSON

extension StageReport {
  var json: JSONValue { .object(["nodes": .array(members.map(\.json))]) }
}

extension StageReport.Member {
  fileprivate var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init(key: "node", value: node.map { .init($0) } ?? .null),
      .init(key: "endpoint", value: .init(endpoint.description)),
      .init(key: "role", value: role.map { .init($0) } ?? .null),
      .init(key: "seconds", value: figures.map { .init($0.seconds) } ?? .null),
      .init(key: "stages", value: figures == nil ? .null : .object(stages)),
    ]
    for row in StageReport.rates {
      members.append(.init(key: row.key, value: rounded(row.value(self), to: 10)))
    }
    if let problem { members.append(.init(key: "problem", value: .init(problem))) }
    return .object(members)
  }

  private var stages: [JSONValue.Member] {
    StageReport.rows.map { row in
      var members = [JSONValue.Member(key: "mean_us", value: rounded(row.mean(self), to: 1000))]
      if let time = row.time(self) { members.append(.init(key: "count", value: .init(time.count))) }
      return .init(key: row.name, value: .object(members))
    }
  }

  private func rounded(_ value: Double?, to digits: Double) -> JSONValue {
    value.map { .init(($0 * digits).rounded() / digits) } ?? .null
  }
}

// MARK: Text

extension StageReport {
  fileprivate struct Row: Sendable {
    let name: String
    var label: String { isPart ? "  " + name : name }
    /// Of the row above it.
    let isPart: Bool
    /// Nil: it is not counted, but a difference.
    let time: @Sendable (Member) -> Time?
    let mean: @Sendable (Member) -> Double?

    static func counted(_ stage: Stage, isPart: Bool = false) -> Row {
      Row(
        name: stage.rawValue, isPart: isPart, time: { $0.figures?.times[stage] },
        mean: { $0.figures?.times[stage]?.mean })
    }
  }

  fileprivate static let rows: [Row] = [
    .counted(.queue), .counted(.append), .counted(.quorum), .counted(.sync, isPart: true),
    .counted(.disk, isPart: true),
    Row(name: Stage.replicate.rawValue, isPart: true, time: { $0.replicate }, mean: { $0.replicate?.mean }),
    Row(name: "network", isPart: true, time: { _ in nil }, mean: { $0.network }),
    .counted(.apply), .counted(.reply),
  ]

  fileprivate struct Rate: Sendable {
    let key: String
    let label: String
    let value: @Sendable (Member) -> Double?
  }

  fileprivate static let rates: [Rate] = [
    Rate(key: "commands_per_batch", label: "commands a batch") { $0.commandsPerBatch },
    Rate(key: "entries_per_sync", label: "entries a sync") { $0.ratio(.entries, per: .syncs) },
    Rate(key: "syncs_per_s", label: "syncs a second") { $0.perSecond(.syncs) },
    Rate(key: "turns_per_s", label: "turns a second") { $0.perSecond(.turns) },
    Rate(key: "written_bytes_per_s", label: "log bytes a second") { $0.perSecond(.bytes) },
    Rate(key: "frames_per_s", label: "frames to nodes a second") { $0.perSecond(.frames) },
  ]

  /// Lines, each with its newline.
  var text: String {
    var lines = [["MEAN µs OF A COMMAND"] + members.map(\.heading)]
    for row in Self.rows {
      lines.append([row.label] + members.map { cell(row.mean($0), $0) })
    }
    lines.append([])
    for rate in Self.rates { lines.append([rate.label] + members.map { cell(rate.value($0), $0) }) }
    let widths = (0...members.count).map { column in
      lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    let table = lines.map { line in
      line.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + space : space + cell
      }.joined(separator: "  ")
    }
    let remarks = members.compactMap { member in
      member.problem.map { "\(member.endpoint): nothing is known of its stages: \($0)" }
    }
    return (table + [""] + remarks + [Self.reading]).joined(separator: "\n") + "\n"
  }

  private static let reading =
    "A command is queued, appended, waits for its quorum, is applied and answered, one after the other. The indented\n"
    + "rows are what the quorum waits for: each node's own sync (disk: the part of it at the disk) and, at the same time,\n"
    + "replicate: from the leader to that node and back, sync included; network is what that is without the sync."

  /// `-`: there was none of it.
  private func cell(_ value: Double?, _ member: Member) -> String {
    guard member.figures != nil else { return StatusTable.unknown }
    guard let value else { return "-" }
    if value >= 99.95 { return grouped(Int(value.rounded())) }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}

extension StageReport.Member {
  fileprivate var heading: String {
    guard let node else { return endpoint.description }
    return "node \(node) (\(role ?? StatusTable.unknown))"
  }
}
