package import LockstepConsensus
package import LockstepWire

/// The snapshots in a node's directory. The calls block; they are made on one thread at a time.
package struct SnapshotStore: Sendable {
  /// So many are kept of each group: the one before is used when the last is damaged.
  package static let kept = 2

  private let disk: any Disk
  /// Of the directory.
  package let path: String
  private let cluster: [UInt8]

  package init(_ directory: NodeDirectory) { self.init(directory.files) }

  init(_ files: LogFiles) {
    disk = files.disk
    path = files.directory
    cluster = files.identity.cluster
  }

  /// Those of a group, the last first. Nothing is known yet of what is in them.
  package func names(of group: GroupID) throws(StorageError) -> [SnapshotName] {
    try names().filter { $0.group == group }
  }

  func names() throws(StorageError) -> [SnapshotName] { try Self.names(in: path, on: disk).reversed() }

  /// Those in a directory, by group, the first of each first.
  package static func names(in directory: String, on disk: any Disk) throws(StorageError) -> [SnapshotName] {
    let names = try onDisk { () throws(DiskError) in try disk.list(directory) } ?? []
    return names.compactMap { SnapshotName($0) }.sorted()
  }

  package func open(_ name: SnapshotName) throws(StorageError) -> SnapshotFile {
    try SnapshotFile(disk: disk, path: path(of: name), name: name)
  }

  package func path(of name: SnapshotName) -> String { "\(path)/\(name)" }

  /// Of another cluster, by whom or what ever it was put here: it says nothing of this node's log, and is left alone.
  package func isForeign(_ file: SnapshotFile) -> Bool { isForeign(file.header) }
  func isForeign(_ header: SnapshotHeader) -> Bool { header.cluster != cluster }

  package func begin(_ header: SnapshotHeader) throws(StorageError) -> SnapshotWriter {
    try SnapshotWriter(disk: disk, directory: path, header: header)
  }

  package func remove(_ name: SnapshotName) throws(StorageError) {
    let path = path(of: name)
    try onDisk { () throws(DiskError) in try disk.remove(path) }
  }

  /// Removes all of a group but the last two.
  package func prune(_ group: GroupID) throws(StorageError) {
    for name in try names(of: group).dropFirst(Self.kept) {
      try remove(name)
    }
  }
}
