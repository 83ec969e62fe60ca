package import LockstepConsensus

// What a machine with its own storage keeps in a node's directory:
//
//   DIR/state-G           group G's state, made from the first command on
//   DIR/state-G-I         the same, made of a snapshot up to entry I
//   DIR/state-….part      one that is being made, or removed: nobody's
//
// A snapshot never goes into a directory in which the machine works: it gets one of its own, which has its name when it is
// whole and synced. One that comes from another node gets it after the snapshot itself has arrived, durably
// (IncomingSnapshot), and loses it before that is given up: so at every start the log begins behind it, or has its last
// entry, and one that is ahead of its log says that the log has lost its end. Of several the one of the furthest snapshot
// counts: a crash in the middle of a change leaves the state before it, or both.

/// The directories of one group's stored state. The calls block; they are made on one thread at a time.
package struct StateDirectories: Sendable {
  static let prefix = "state-"
  private static let partSuffix = ".part"
  private let disk: any Disk
  private let parent: String
  private let name: String

  package init(_ directory: String, group: GroupID, on disk: any Disk = PosixDisk()) {
    self.disk = disk
    parent = directory
    name = "\(Self.prefix)\(group)"
  }

  /// `index`: the last entry of the snapshot that it was made of; zero: of none.
  package func path(_ index: LogIndex) -> String {
    index == .zero ? "\(parent)/\(name)" : "\(parent)/\(name)-\(index)"
  }

  private func part(_ index: LogIndex) -> String { path(index) + Self.partSuffix }

  /// The one that counts; made when there is none. What nobody needs any more is removed.
  package func open() throws(StorageError) -> LogIndex {
    for entry in try list() where entry.hasSuffix(Self.partSuffix) {
      guard entry == name + Self.partSuffix || entry.hasPrefix("\(name)-") else { continue }
      let path = "\(parent)/\(entry)"
      try onDisk { () throws(DiskError) in try disk.removeDirectory(path) }
    }
    if let newest = try all().max() { return newest }
    try onDisk { () throws(DiskError) in
      try disk.createDirectory(path(.zero))
      try disk.syncDirectory(parent)
    }
    return .zero
  }

  /// An empty directory, in which the state up to this entry can be made.
  package func make(_ index: LogIndex) throws(StorageError) -> String {
    let part = part(index)
    try onDisk { () throws(DiskError) in
      if try disk.list(part) != nil { try disk.removeDirectory(part) }
      try disk.createDirectory(part)
    }
    return part
  }

  /// What is in it is whole, and synced: it counts from now on, durably.
  package func complete(_ index: LogIndex) throws(StorageError) {
    let part = part(index)
    try onDisk { () throws(DiskError) in
      try disk.syncDirectory(part)
      try disk.rename(part, to: path(index))
      try disk.syncDirectory(parent)
    }
  }

  /// What was begun is given up.
  package func discard(_ index: LogIndex) throws(StorageError) {
    try onDisk { () throws(DiskError) in
      if try disk.list(part(index)) != nil { try disk.removeDirectory(part(index)) }
    }
  }

  /// It does not count any more, durably; nobody works in it.
  package func remove(_ index: LogIndex) throws(StorageError) {
    try discard(index)
    try onDisk { () throws(DiskError) in
      try disk.rename(path(index), to: part(index))
      try disk.syncDirectory(parent)
    }
    // What is left of it is in nobody's way, and the next start tries again.
    do throws(DiskError) { try disk.removeDirectory(part(index)) } catch {}
  }

  package func removeAll(but kept: LogIndex) throws(StorageError) {
    for index in try all() where index != kept { try remove(index) }
  }

  private func all() throws(StorageError) -> [LogIndex] {
    try list().compactMap { entry in
      if entry == name { return .zero }
      guard entry.hasPrefix("\(name)-"), let index = UInt64(entry.dropFirst(name.count + 1)), index > 0 else {
        return nil
      }
      return LogIndex(index)
    }
  }

  private func list() throws(StorageError) -> [String] {
    try onDisk { () throws(DiskError) in try disk.list(parent) } ?? []
  }
}
