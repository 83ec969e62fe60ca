package import LockstepConsensus
package import LockstepWire

/// What is wrong with the snapshots in a node's directory, and what a start would begin with.
package struct SnapshotAudit: Sendable, Equatable {
  package struct File: Sendable, Equatable {
    package let name: SnapshotName
    package let path: String
    /// Nil: not even that can be read.
    package let header: SnapshotHeader?
    package let bytes: Int
    /// Nil: it is whole, and the log goes on from it.
    package let problem: StorageError?
  }

  package enum Beginning: Sendable, Equatable {
    case snapshot(SnapshotName)
    case firstEntry
    case impossible(StorageError)
  }

  package struct Start: Sendable, Equatable {
    package let group: GroupID
    package let from: Beginning
  }

  /// By group, the last of each first.
  package fileprivate(set) var files: [File] = []
  /// By group.
  package fileprivate(set) var starts: [Start] = []

  /// What is to be told first: what keeps a group from starting, else what is wrong with a snapshot.
  package var problem: StorageError? {
    for case .impossible(let error) in starts.map(\.from) { return error }
    return files.lazy.compactMap(\.problem).first
  }
}

extension LogInspector {
  /// Checks the log as `verify` does, and after that all snapshots, whole. What is wrong with the log is thrown.
  package func audit() throws(StorageError) -> (summary: Summary, snapshots: SnapshotAudit) {
    let (replay, end) = try replay { _ in }
    let store = SnapshotStore(files)
    var audit = SnapshotAudit()
    let names = try store.names()
    let reader = LogReader(files: files)
    for group in Set(names.map(\.group) + replay.book.ledgers.map(\.group)).sorted() {
      let log = SnapshotLog(ledger: replay.book[group], reader: reader, limit: end.position)
      let arrived = try store.arrived(of: group).map(\.name)
      let found = names.filter { $0.group == group }.map {
        Self.look($0, store, arrived.contains($0) ? nil : log)
      }
      audit.files += found
      audit.starts.append(SnapshotAudit.Start(group: group, from: Self.beginning(group, found, store, log)))
    }
    return (summary(replay, end), audit)
  }

  /// Without a log: a start has it begin behind this one, which has just come from another node.
  private static func look(_ name: SnapshotName, _ store: SnapshotStore, _ log: SnapshotLog?) -> SnapshotAudit.File {
    let path = store.path(of: name)
    var (header, bytes): (SnapshotHeader?, Int) = (nil, 0)
    do throws(StorageError) {
      let file = try store.open(name)
      (header, bytes) = (file.header, file.fileBytes)
      _ = try file.verify()
      guard !store.isForeign(file) else { throw .refused(path: path, reason: "a snapshot of another cluster") }
      try log?.admit(file)
      return SnapshotAudit.File(name: name, path: path, header: header, bytes: bytes, problem: nil)
    } catch {
      return SnapshotAudit.File(name: name, path: path, header: header, bytes: bytes, problem: error)
    }
  }

  /// As StateRecovery goes through them.
  private static func beginning(
    _ group: GroupID, _ files: [SnapshotAudit.File], _ store: SnapshotStore, _ log: SnapshotLog
  ) -> SnapshotAudit.Beginning {
    var failure: StorageError?
    for file in files {
      guard let problem = file.problem else { return .snapshot(file.name) }
      if let header = file.header, store.isForeign(header) { continue }
      if let end = store.end(problem, of: file.name, log: log.last) { return .impossible(end) }
      failure = failure ?? problem
    }
    guard let base = log.ledger?.base.id.index, base > .zero else { return .firstEntry }
    return .impossible(failure ?? store.nothingReaches(base, of: group))
  }
}
