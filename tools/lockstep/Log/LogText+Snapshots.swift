import LockstepConsensus
import LockstepReflection
import LockstepStorage
import LockstepWire

/// What was found of a node's snapshots, for people and as JSON.
extension LogText {
  static func text(_ audit: SnapshotAudit) -> String {
    var text = ""
    for file in audit.files {
      if let problem = file.problem {
        text += "\(file.name): not to be used: \(problem)\n"
      } else if let last = file.header?.last.id {
        text += "\(file.name): up to index \(last.index) of term \(last.term), \(file.bytes) bytes, all of it holds\n"
      }
    }
    for start in audit.starts {
      switch start.from {
      case .snapshot(let name): text += "group \(start.group) would start from \(name), and the log behind it\n"
      case .firstEntry: text += "group \(start.group) would start from its first entry\n"
      case .impossible(let error): text += "group \(start.group) cannot start: \(error)\n"
      }
    }
    return text
  }

  /// The log is sound: `ok` is whether the snapshots are.
  static func json(_ summary: LogInspector.Summary, _ audit: SnapshotAudit) -> JSONValue {
    var members = [JSONValue.Member(key: "ok", value: .init(audit.problem == nil))]
    if let problem = audit.problem { members += Self.members(of: problem) }
    if case .object(let log) = json(summary) { members += log.filter { $0.key != "ok" } }
    members.append(JSONValue.Member(key: "snapshots", value: .array(audit.files.map(json))))
    members.append(JSONValue.Member(key: "starts", value: .array(audit.starts.map(json))))
    return .object(members)
  }

  private static func json(_ file: SnapshotAudit.File) -> JSONValue {
    var members = [
      JSONValue.Member(key: "ok", value: .init(file.problem == nil)),
      JSONValue.Member(key: "group", value: .init(file.name.group.rawValue)),
      JSONValue.Member(key: "index", value: .init(file.name.index.rawValue)),
      JSONValue.Member(key: "bytes", value: .init(file.bytes)),
    ]
    if let problem = file.problem {
      members += Self.members(of: problem)
    } else {
      members.append(JSONValue.Member(key: "file", value: .init(file.path)))
    }
    return .object(members)
  }

  private static func json(_ start: SnapshotAudit.Start) -> JSONValue {
    let from: (beginning: String, index: JSONValue) =
      switch start.from {
      case .snapshot(let name): ("snapshot", .init(name.index.rawValue))
      case .firstEntry: ("first entry", .null)
      case .impossible: ("none", .null)
      }
    return .object(["group": .init(start.group.rawValue), "from": .init(from.beginning), "index": from.index])
  }

  private static func members(of problem: StorageError) -> [JSONValue.Member] {
    guard case .object(let members) = json(problem) else { return [] }
    return members.filter { $0.key != "ok" }
  }
}
