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

  func list() throws(StorageError) -> [String] { try onDisk { () throws(DiskError) in try disk.list(path) } ?? [] }

  /// Its bytes, of which nothing is believed.
  func file(_ name: SnapshotName) throws(StorageError) -> any DiskFile {
    let path = path(of: name)
    return try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
  }

  package func open(_ name: SnapshotName) throws(StorageError) -> SnapshotFile {
    try SnapshotFile(disk: disk, path: path(of: name), name: name)
  }

  package func path(of name: SnapshotName) -> String { "\(path)/\(name)" }

  /// Of another cluster, by whom or what ever it was put here: it says nothing of this node's log, and is left alone.
  package func isForeign(_ file: SnapshotFile) -> Bool { isForeign(file.header) }
  func isForeign(_ header: SnapshotHeader) -> Bool { header.cluster != cluster }

  package func begin(_ header: SnapshotHeader) throws(StorageError) -> SnapshotWriter {
    try checkFree(SnapshotName(group: header.group, index: header.last.id.index))
    return try SnapshotWriter(disk: disk, directory: path, header: header)
  }

  /// One of the own cluster's may be replaced by one that is as good, another cluster's may not: it may be all that is left
  /// of that.
  func checkFree(_ name: SnapshotName) throws(StorageError) {
    guard try names().contains(name), isForeign(name) else { return }
    throw .refused(
      path: path(of: name),
      reason: "a snapshot of another cluster stands where one is to be written, and is not replaced: move it away")
  }

  package func remove(_ name: SnapshotName) throws(StorageError) {
    let path = path(of: name)
    try onDisk { () throws(DiskError) in try disk.remove(path) }
  }

  /// Removes those of a group that are older than the last of these, and none of them; those of another cluster stay.
  /// Nothing is removed while there are fewer than `least`. Returns why some are still there: they are in nobody's
  /// way, and the next time is another try.
  package func prune(
    _ group: GroupID, keeping kept: [SnapshotName], atLeast least: Int = Self.kept
  ) throws(StorageError) -> [StorageError] {
    guard kept.count >= least, let newest = kept.max() else { return [] }
    var left: [StorageError] = []
    for name in try names(of: group) where name < newest && !kept.contains(name) {
      if isForeign(name) { continue }
      if let problem = try tryToRemove(name) { left.append(problem) }
    }
    return left
  }

  /// Throws when the disk does not even list its directory any more, and returns what else is in the way.
  package func tryToRemove(_ name: SnapshotName) throws(StorageError) -> StorageError? {
    do throws(StorageError) {
      try remove(name)
      return nil
    } catch {
      _ = try names()
      return error
    }
  }

  private func isForeign(_ name: SnapshotName) -> Bool {
    // What cannot be read is nobody's.
    do throws(StorageError) { return isForeign(try open(name)) } catch { return false }
  }
}
