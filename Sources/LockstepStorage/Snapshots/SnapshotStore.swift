package import LockstepConsensus
package import LockstepWire

/// The snapshots in a node's directory. The calls block; they are made on one thread at a time.
package struct SnapshotStore: Sendable {
  /// So many are kept of each group: the one before is used when the last is damaged.
  package static let kept = 2

  let disk: any Disk
  /// Of the directory.
  package let path: String
  let cluster: [UInt8]

  package init(_ directory: NodeDirectory) {
    disk = directory.disk
    path = directory.path
    cluster = directory.cluster
  }

  /// Those of a group, the last first. Nothing is known yet of what is in them.
  package func names(of group: GroupID) throws(StorageError) -> [SnapshotName] {
    try list().compactMap { SnapshotName($0) }.filter { $0.group == group }.sorted(by: >)
  }

  func list() throws(StorageError) -> [String] { try onDisk { () throws(DiskError) in try disk.list(path) } ?? [] }

  /// Its bytes, of which nothing is believed.
  func file(_ name: SnapshotName) throws(StorageError) -> any DiskFile {
    try onDisk { () throws(DiskError) in try disk.open("\(path)/\(name)", for: .reading) }
  }

  package func open(_ name: SnapshotName) throws(StorageError) -> SnapshotFile {
    try SnapshotFile(disk: disk, path: "\(path)/\(name)", name: name, cluster: cluster)
  }

  package func begin(_ header: SnapshotHeader) throws(StorageError) -> SnapshotWriter {
    try SnapshotWriter(disk: disk, directory: path, header: header)
  }

  package func remove(_ name: SnapshotName) throws(StorageError) {
    try onDisk { () throws(DiskError) in try disk.remove("\(path)/\(name)") }
  }

  /// Removes all of a group but the last two.
  package func prune(_ group: GroupID) throws(StorageError) {
    for name in try names(of: group).dropFirst(Self.kept) {
      try remove(name)
    }
  }
}
