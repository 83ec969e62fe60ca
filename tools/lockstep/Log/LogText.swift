import FoundationEssentials
import LockstepConsensus
import LockstepReflection
import LockstepStorage
import LockstepWire

/// A log's contents, for people and as JSON.
enum LogText {
  static let heading = "GROUP  INDEX       TERM    KIND           BYTES     SESSION:SEQUENCE      TIME"

  static func text(_ entry: LogInspector.Entry, _ batch: LogInspector.Batch) -> String {
    let header = entry.header
    let cells: [(text: String, width: Int)] = [
      ("\(batch.group)", 7), ("\(header.id.index)", 12), ("\(header.id.term)", 8), (name(header.kind), 15),
      ("\(header.payload.count)", 10), (header.session == 0 ? "-" : "\(header.session):\(header.sequence)", 22),
      (time(header.timestamp), 0),
    ]
    return cells.map { cell in
      cell.text + String(repeating: " ", count: max(cell.width == 0 ? 0 : 1, cell.width - cell.text.count))
    }.joined()
  }

  static func json(
    _ entry: LogInspector.Entry, _ batch: LogInspector.Batch, _ record: LogInspector.Record
  ) -> JSONValue {
    let header = entry.header
    return .object([
      "group": .init(batch.group.rawValue), "index": .init(header.id.index.rawValue),
      "term": .init(header.id.term.rawValue), "kind": .init(name(header.kind)),
      "timestamp": header.timestamp == 0 ? .null : .init(header.timestamp), "session": .init(header.session),
      "sequence": .init(header.sequence), "machineVersion": .init(header.machineVersion),
      "payloadBytes": .init(header.payload.count), "chain": .init(hexadecimal(header.chain)),
      "file": .init(record.file), "offset": .init(entry.offset),
    ])
  }

  static func text(_ summary: LogInspector.Summary) -> String {
    let report = summary.report
    var text = "node \(summary.identity.node), incarnation \(summary.identity.incarnation): "
    text += "\(report.entries) entries in \(report.records) records and \(report.segments) files are sound; "
    text += summary.isSealed ? "the log was at rest when its node ended\n" : "its node ended in the middle of work\n"
    for group in summary.groups {
      text += "group \(group.group): last index \(group.last.index) of term \(group.last.term), "
      if let base = group.base { text += "begins behind index \(base.id.index) of term \(base.id.term), " }
      text += "commit \(group.hardState.commit), term \(group.hardState.term), chain \(hexadecimal(group.lastChain))\n"
    }
    for notice in report.notices { text += "note: \(notice)\n" }
    return text
  }

  static func json(_ summary: LogInspector.Summary) -> JSONValue {
    let groups = summary.groups.map { group in
      JSONValue.object([
        "group": .init(group.group.rawValue), "lastIndex": .init(group.last.index.rawValue),
        "lastTerm": .init(group.last.term.rawValue), "term": .init(group.hardState.term.rawValue),
        "commitIndex": .init(group.hardState.commit.rawValue), "chain": .init(hexadecimal(group.lastChain)),
        "baseIndex": .init(group.base?.id.index.rawValue ?? 0), "baseTerm": .init(group.base?.id.term.rawValue ?? 0),
      ])
    }
    let (identity, report) = (summary.identity, summary.report)
    return .object([
      "ok": true, "node": .init(identity.node.rawValue), "cluster": .init(hexadecimal(identity.cluster)),
      "disk": .init(hexadecimal(identity.disk)), "incarnation": .init(identity.incarnation),
      "segments": .init(report.segments), "records": .init(report.records), "entries": .init(report.entries),
      "droppedBytes": .init(report.droppedBytes), "sealed": .init(summary.isSealed), "groups": .array(groups),
      "notices": .array(report.notices.map { .init($0) }),
    ])
  }

  static func json(_ error: StorageError) -> JSONValue {
    let (file, offset) = place(of: error)
    return .object(["ok": false, "file": file, "offset": offset, "error": .init("\(error)")])
  }

  static func place(of error: StorageError) -> (file: JSONValue, offset: JSONValue) {
    switch error {
    case .damaged(let path, let place, _): (.init(path), .init(place))
    case .lost(let path, _), .refused(let path, _), .locked(let path, _): (.init(path), .null)
    case .disk(let error), .outOfSpace(let error): (.init(error.path), error.offset.map { .init($0) } ?? .null)
    case .invalidWrite, .stopped: (.null, .null)
    }
  }

  static func name(_ kind: EntryKind) -> String {
    switch kind {
    case .command: "command"
    case .noOperation: "no operation"
    case .configuration: "configuration"
    case .session: "session"
    }
  }

  private static func time(_ nanoseconds: UInt64) -> String {
    nanoseconds == 0 ? "unknown" : Date(timeIntervalSince1970: Double(nanoseconds) / 1e9).formatted(.iso8601)
  }
}
