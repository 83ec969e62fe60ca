package import LockstepConsensus
import LockstepWire

// DIR/snapshot-G-I.part         a snapshot file that is coming from another node, from its beginning on
// DIR/snapshot-G-I.arrived-T    beside snapshot-G-I, an empty file: that one has come, from a node whose term was T, and the
//                               log need not begin behind it yet
//
// When all of it is there, was checked and is durable, the mark is made, and when that is durable the part gets the name of
// any other snapshot. A crash leaves a part, which goes on behind its last whole record: all chunks of one snapshot are
// linked, and files of one snapshot of a machine in memory are equal on all nodes, so that the rest may come from another one.
// (Two databases with the same rows may differ in their pages: then the links do not fit, and it begins anew.) Or a mark
// without a snapshot, which means nothing. Or both: then the next start has the log begin behind it (InstallRecovery). The mark goes
// when the log does: without it a snapshot that is ahead of its log says that the log has lost its end.

/// A snapshot that is coming from another node. Not Sendable, and every call blocks.
package final class IncomingSnapshot {
  private static let partSuffix = ".part"
  private static let arrivedSuffix = ".arrived-"
  /// What is synced at once: what a sync of the log may have to wait for.
  private static let syncedBytes = 8 << 20

  package let name: SnapshotName
  /// From the beginning of the file on.
  package private(set) var received: Int
  private let disk: any Disk
  private let directory: String
  private let cluster: [UInt8]
  private let file: any DiskFile
  private var unsynced = 0

  private var path: String { Self.partPath(directory, name) }

  private static func partPath(_ directory: String, _ name: SnapshotName) -> String {
    "\(directory)/\(name)\(partSuffix)"
  }

  static func markPath(_ directory: String, _ name: SnapshotName, _ term: Term) -> String {
    "\(directory)/\(name)\(arrivedSuffix)\(term)"
  }

  /// Nil for the name of anything else.
  static func part(_ name: String) -> SnapshotName? {
    name.hasSuffix(partSuffix) ? SnapshotName(String(name.dropLast(partSuffix.count))) : nil
  }

  /// Nil for the name of anything else.
  static func arrived(_ name: String) -> (name: SnapshotName, term: Term)? {
    guard let dot = name.firstIndex(of: "."), name[dot...].hasPrefix(arrivedSuffix),
      let snapshot = SnapshotName(String(name[..<dot])), let term = UInt64(name[dot...].dropFirst(arrivedSuffix.count))
    else { return nil }
    return (snapshot, Term(term))
  }

  /// One of which nothing is there yet.
  init(_ name: SnapshotName, disk: any Disk, directory: String, cluster: [UInt8]) throws(StorageError) {
    (self.name, self.disk, self.directory, self.cluster) = (name, disk, directory, cluster)
    let path = Self.partPath(directory, name)
    file = try onDisk { () throws(DiskError) in try disk.create(path) }
    received = 0
  }

  /// One that was begun before: what is whole of it stays.
  init(resuming name: SnapshotName, disk: any Disk, directory: String, cluster: [UInt8]) throws(StorageError) {
    (self.name, self.disk, self.directory, self.cluster) = (name, disk, directory, cluster)
    let path = Self.partPath(directory, name)
    // The last byte comes again: there must be something to ask for even when all is there.
    received = max(0, try Self.whole(name, disk, path, cluster) - 1)
    file = try onDisk { () throws(DiskError) in try disk.open(path, for: .readingAndWriting) }
  }

  deinit { file.close() }

  /// What has come of another cluster's snapshot is nothing.
  private static func file(
    _ name: SnapshotName, _ disk: any Disk, _ path: String, _ cluster: [UInt8]
  ) throws(StorageError) -> SnapshotFile {
    let file = try SnapshotFile(disk: disk, path: path, name: name)
    guard file.header.cluster == cluster else {
      throw .damaged(file: path, offset: 0, reason: "it is a snapshot of another cluster")
    }
    return file
  }

  /// How much of the file is whole records, each the one that follows the one before it.
  private static func whole(
    _ name: SnapshotName, _ disk: any Disk, _ path: String, _ cluster: [UInt8]
  ) throws(StorageError) -> Int {
    var read: SnapshotFile?
    do throws(StorageError) {
      let file = try Self.file(name, disk, path, cluster)
      read = file
      _ = try file.verify()
      return file.fileBytes
    } catch {
      guard case .damaged = error else { throw error }
      return read?.verifiedBytes ?? 0
    }
  }

  /// The next bytes of the file.
  package func append(_ bytes: [UInt8]) throws(StorageError) {
    let offset = received
    try onDisk { [file] () throws(DiskError) in try file.write(bytes, at: offset) }
    received += bytes.count
    unsynced += bytes.count
    guard unsynced >= Self.syncedBytes else { return }
    try sync()
  }

  /// For who reads it while it comes; `total`: the bytes of the whole file.
  package func arriving(total: Int) throws(StorageError) -> ArrivingFile {
    let path = path
    let reader = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    return ArrivingFile(reader, path: path, name: name, received: received, total: total)
  }

  private func sync() throws(StorageError) {
    try onDisk { [file] () throws(DiskError) in try file.sync() }
    unsynced = 0
  }

  /// All of it is there, and is to be read, which checks it. It is on the disk when this returns.
  package func open() throws(StorageError) -> SnapshotFile {
    try sync()
    return try Self.file(name, disk, path, cluster)
  }

  /// It was read to its end and holds. It has arrived, durably, when this returns.
  package func arrive(in term: Term) throws(StorageError) {
    let (part, path, mark) = (path, "\(directory)/\(name)", Self.markPath(directory, name, term))
    try onDisk { () throws(DiskError) in
      for old in try disk.list(directory) ?? [] where Self.arrived(old)?.name == name {
        try disk.remove("\(directory)/\(old)")
      }
      try disk.create(mark).close()
      try disk.syncDirectory(directory)
      try disk.rename(part, to: path)
      try disk.syncDirectory(directory)
    }
  }

  package func discard() throws(StorageError) {
    let path = path
    try onDisk { () throws(DiskError) in try disk.remove(path) }
  }
}

extension SnapshotStore {
  /// The one that is coming, if one was begun that reaches as far as `atLeast`; what was begun of others is removed.
  package func incoming(of group: GroupID, atLeast: LogIndex) throws(StorageError) -> IncomingSnapshot? {
    let parts = try list().compactMap { IncomingSnapshot.part($0) }.filter { $0.group == group }.sorted()
    var found: IncomingSnapshot?
    for name in parts {
      let part = try IncomingSnapshot(resuming: name, disk: disk, directory: path, cluster: cluster)
      if found == nil, name.index >= atLeast, part.received > 0 { found = part } else { try part.discard() }
    }
    return found
  }

  /// What was begun and is of no use to a log that reaches so far.
  func removeParts(of group: GroupID, through last: LogIndex) throws(StorageError) {
    for name in try list() {
      guard let part = IncomingSnapshot.part(name), part.group == group, part.index <= last else { continue }
      try onDisk { () throws(DiskError) in try disk.remove("\(path)/\(name)") }
    }
  }

  package func receive(_ name: SnapshotName) throws(StorageError) -> IncomingSnapshot {
    try checkFree(name)
    return try IncomingSnapshot(name, disk: disk, directory: path, cluster: cluster)
  }

  /// Those that have come, and may not have taken the log's place yet; the last first. The snapshot itself may be missing.
  func arrived(of group: GroupID) throws(StorageError) -> [(name: SnapshotName, term: Term)] {
    try list().compactMap { IncomingSnapshot.arrived($0) }.filter { $0.name.group == group }
      .sorted { $0.name > $1.name }
  }

  /// The log begins, durably, behind what has arrived: what is older is of no use any more.
  package func replaceOlder(_ group: GroupID, by index: LogIndex) throws(StorageError) {
    try settle(group) { $0 == index }
    // What cannot be removed is in nobody's way, and goes after the next snapshot.
    _ = try prune(group, keeping: [SnapshotName(group: group, index: index)], atLeast: 1)
  }

  /// What has arrived is a snapshot like any other: the log begins behind it, or holds its last entry. `isOfUse`: the
  /// log has gone on without it otherwise, and it goes before its mark does.
  package func settle(_ group: GroupID, isOfUse: (LogIndex) -> Bool) throws(StorageError) {
    for (name, term) in try arrived(of: group) {
      let isThere = try names(of: group).contains(name)
      if isThere, !isOfUse(name.index) {
        try remove(name)
        try onDisk { () throws(DiskError) in try disk.syncDirectory(path) }
      }
      let mark = IncomingSnapshot.markPath(path, name, term)
      try onDisk { () throws(DiskError) in
        try disk.remove(mark)
        try disk.syncDirectory(path)
      }
    }
  }
}
