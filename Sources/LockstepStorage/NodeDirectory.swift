package import LockstepConsensus
package import LockstepWire

// The directory of a node, and the order in which it is made:
//
//   DIR/lock             held while a process works here
//   DIR/log-0000000001   first, under log-0000000001.new until it is whole: zeros behind a segment header
//   DIR/identity         last, by rename: with it the node exists
//   DIR/log-…            the further segments of the log
//   DIR/snapshot-…       the state as of an entry; see SnapshotFormat
//   DIR/synced-…         how far the log was synced, once there was something to note; see SyncedMark
//   DIR/state-…          what a machine with its own storage keeps; see StateDirectories
//   DIR/acknowledged     when others have acknowledged something to this node; see AcknowledgementFile
//
// A crash before the identity is there leaves a lock, a log without a batch, files that end in .new: they are removed
// and the making starts again. Whatever else is there without an identity is refused: a log with data whose identity is
// gone must not be taken for a new node, which would vote again in terms in which it has voted.

/// A node's directory, locked: who the node is, and what it has seen of its peers.
package final class NodeDirectory {
  package let path: String
  package private(set) var identity: DiskIdentity
  package let disk: any Disk
  private let lock: any DiskLock
  private var failure: StorageError?
  /// Opened when it is needed first.
  private var acknowledgements: AcknowledgementFile?

  private static let lockName = "lock"

  private init(disk: any Disk, path: String, identity: DiskIdentity, lock: any DiskLock) {
    self.disk = disk
    self.path = path
    self.identity = identity
    self.lock = lock
  }

  package var cluster: [UInt8] { identity.cluster }
  package var node: NodeID { identity.node }
  package var diskID: [UInt8] { identity.disk }
  /// One more at each start.
  package var incarnation: UInt64 { identity.incarnation }
  /// Another one at each start, drawn at random.
  package var start: UInt64 { identity.start }
  package var peers: [DiskIdentity.Peer] { identity.peers }
  /// It was made in place of another one that the node had.
  package var isDiskReplaced: Bool { identity.isDiskReplaced }

  var files: LogFiles { LogFiles(disk: disk, directory: path, identity: identity) }

  /// Opens the directory of a node, or makes it when there is none or an empty one. A new incarnation is durable when
  /// this returns.
  ///
  /// - Parameters:
  ///   - cluster: 16 bytes; nil takes the directory's own, and `cluster(of: members)` for a new one.
  ///   - members: those that the cluster began with. Their addresses may change from start to start, their ids not.
  ///   - newDiskID: 16 random bytes. Those of a new directory tell the peers, under an old node id, of a lost disk; by
  ///     those of each start the peers tell two copies of one directory apart, which count their starts alike.
  ///   - replacesDisk: a new directory comes in place of another one that the node had, and that is lost: it says so for
  ///     good. Refused for one that is there, unless it was made so.
  ///   - isMoved: a copy of a directory is taken, this once: whoever says so knows that it is the latest.
  package static func open(
    disk: any Disk, path: String, cluster: [UInt8]?, node: NodeID, members: [DiskIdentity.Member],
    newDiskID: () -> [UInt8], replacesDisk: Bool = false, isMoved: Bool = false, options: LogOptions = LogOptions()
  ) throws(StorageError) -> NodeDirectory {
    let members = members.sorted { $0.node < $1.node }
    if try onDisk({ () throws(DiskError) in try disk.list(path) }) == nil {
      try onDisk { () throws(DiskError) in try disk.createDirectory(path) }
    }
    let lock = try onDisk { () throws(DiskError) in try disk.lock("\(path)/\(lockName)", exclusive: true) }
    do throws(StorageError) {
      let names = try onDisk { () throws(DiskError) in try disk.list(path) } ?? []
      for name in names where isUnfinished(name) {
        try onDisk { () throws(DiskError) in try disk.remove("\(path)/\(name)") }
      }
      let file = IdentityFile(disk: disk, directory: path)
      var identity: DiskIdentity
      if names.contains(IdentityFile.name) {
        identity = try file.read()
        try admit(identity, path: path, cluster: cluster, node: node, members: members, names: names)
        if replacesDisk, !identity.isDiskReplaced {
          throw .refused(
            path: "\(path)/\(IdentityFile.name)",
            reason:
              "--replace-disk is for an empty directory, and this is one in which node \(node) has worked: start it without --replace-disk, or, if what it has promised is to be given up, remove the directory first"
          )
        }
        let files = LogFiles(disk: disk, directory: path, identity: identity)
        let (isIdentityCopied, isMarkCopied) = (try file.isCopy(identity), try SyncedMark.isCopy(files))
        if isMoved {
          try SyncedMark.adopt(files)
        } else if isIdentityCopied || isMarkCopied {
          throw .refused(
            path: "\(path)/\(IdentityFile.name)",
            reason:
              "the directory is a copy, and what node \(node) has promised since it was made may be missing in it; start the node with its own directory, or, if this one was moved here while the node was stopped and is its latest, once with --moved-directory"
          )
        }
      } else {
        try clear(disk: disk, path: path, names: names)
        identity = DiskIdentity(
          cluster: cluster ?? Self.cluster(of: members), node: node, disk: newDiskID(), incarnation: 0,
          initialMembers: members, peers: [], isDiskReplaced: replacesDisk)
        guard identity.cluster.count == 16, identity.disk.count == 16, node.rawValue > 0 else {
          throw .refused(path: path, reason: "a cluster and a disk have 16 bytes, a node a number above 0")
        }
        try makeLog(LogFiles(disk: disk, directory: path, identity: identity), options)
      }
      identity.initialMembers = members
      identity.incarnation &+= 1
      identity.start = startID(newDiskID())
      try file.replace(with: identity)
      return NodeDirectory(disk: disk, path: path, identity: identity, lock: lock)
    } catch {
      lock.release()
      throw error
    }
  }

  /// A cluster's id when nobody has given it one: the same on all nodes that are started with the same members.
  package static func cluster(of members: [DiskIdentity.Member]) -> [UInt8] {
    var bytes: [UInt8] = []
    for member in members.sorted(by: { $0.node < $1.node }) {
      bytes += Array("\(member.node)=\(member.address)\n".utf8)
    }
    return [1, 2].flatMap { seed in
      withUnsafeBytes(of: Checksum.of(bytes, seed: seed).littleEndian) { [UInt8]($0) }
    }
  }

  /// Stores who the other nodes are; durable when this returns. Out of space: they are who they were, and it may be tried
  /// again.
  package func store(peers: [DiskIdentity.Peer]) throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    guard peers != identity.peers else { return }
    var changed = identity
    changed.peers = peers
    try replaceIdentity(with: changed)
  }

  /// Notes where the log ends; called when all of it was synced and nothing more will be written. It stays in the
  /// identity for good, with a start as with a crash: records are only ever added, so it never says too much.
  func recordCleanStop(_ stop: DiskIdentity.CleanStop) throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    guard identity.cleanStop != stop else { return }
    var changed = identity
    changed.cleanStop = stop
    try replaceIdentity(with: changed)
  }

  private func replaceIdentity(with changed: DiskIdentity) throws(StorageError) {
    let file = IdentityFile(disk: disk, directory: path)
    do throws(StorageError) { try file.replace(with: changed) } catch {
      // On a full disk the one before it is as it was, and nothing is in doubt.
      guard case .outOfSpace = error else {
        failure = error
        throw error
      }
      do throws(StorageError) { try file.removeUnfinished() } catch { failure = error }
      throw error
    }
    identity = changed
  }

  /// How far other nodes have acknowledged, as far as it was stored.
  package func acknowledged() throws(StorageError) -> [Acknowledged] {
    if let acknowledgements { return acknowledgements.acknowledged }
    let names = try onDisk { () throws(DiskError) in try disk.list(path) } ?? []
    guard names.contains(AcknowledgementFile.name) else { return [] }
    let file = try AcknowledgementFile(disk: disk, directory: path, id: diskID)
    acknowledgements = file
    return file.acknowledged
  }

  /// Writes it without waiting for the disk: it survives the end of the process, and that of the machine as a rule.
  package func store(acknowledged: [Acknowledged]) throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    if acknowledgements == nil {
      acknowledgements = try AcknowledgementFile(disk: disk, directory: path, id: diskID)
    }
    try acknowledgements?.replace(with: acknowledged)
  }

  /// Gives the directory back. The log must have been closed.
  package func close() {
    failure = failure ?? .stopped("the directory was closed")
    acknowledgements?.close()
    lock.release()
  }

  /// The identity of a stopped node, for a reader that changes nothing.
  static func read(
    disk: any Disk, path: String
  ) throws(StorageError) -> (files: LogFiles, lock: any DiskLock) {
    guard let names = try onDisk({ () throws(DiskError) in try disk.list(path) }), names.contains(lockName) else {
      throw .refused(path: path, reason: "not the directory of a node")
    }
    let lock = try onDisk { () throws(DiskError) in try disk.lock("\(path)/\(lockName)", exclusive: false) }
    do throws(StorageError) {
      guard names.contains(IdentityFile.name) else {
        throw .lost(path: "\(path)/\(IdentityFile.name)", reason: "the identity is missing")
      }
      let identity = try IdentityFile(disk: disk, directory: path).read()
      return (LogFiles(disk: disk, directory: path, identity: identity), lock)
    } catch {
      lock.release()
      throw error
    }
  }

  private static func admit(
    _ identity: DiskIdentity, path: String, cluster: [UInt8]?, node: NodeID, members: [DiskIdentity.Member],
    names: [String]
  ) throws(StorageError) {
    guard identity.node == node else {
      throw .refused(
        path: path,
        reason: "the directory of node \(identity.node), not of node \(node); start node \(node) with its own (--dir)")
    }
    if let cluster, cluster != identity.cluster {
      throw .refused(
        path: path,
        reason: """
          a node of cluster \(hex(identity.cluster)), not of \(hex(cluster)); start it as it was made (--cluster), or \
          with a directory of this cluster (--dir)
          """)
    }
    let known = identity.initialMembers.map(\.node)
    guard known == members.map(\.node) else {
      throw .refused(
        path: path,
        reason:
          "the cluster began with the members \(list(known)), not with \(list(members.map(\.node))); start it with those (--members)"
      )
    }
    guard identity.incarnation < .max else { throw .refused(path: path, reason: "no incarnation is left") }
    guard try !LogFiles.segments(in: names, directory: path).isEmpty else {
      throw .lost(
        path: "\(path)/\(LogFiles.name(1))", reason: "the log is missing, and the identity says that there was one")
    }
  }

  private static func isUnfinished(_ name: String) -> Bool {
    name.hasSuffix(LogFiles.unfinished)
      && (name.hasPrefix("log-") || name.hasPrefix(IdentityFile.name) || name.hasPrefix(SnapshotName.prefix))
  }

  /// Without an identity: removes what an interrupted making has left, refuses anything more before it has removed any.
  private static func clear(disk: any Disk, path: String, names: [String]) throws(StorageError) {
    let harmless = [lockName, "lost+found"]
    var remains: [String] = []
    for name in names where !isUnfinished(name) && !harmless.contains(name) {
      let isNodes =
        name.hasPrefix("log-") || SnapshotName(name) != nil || name == AcknowledgementFile.name
        || SyncedMark.isOne(name)
      guard isNodes else {
        throw .refused(
          path: "\(path)/\(name)",
          reason: "found without an identity: not a new directory; name an empty one (--dir)")
      }
      guard name == LogFiles.name(1), try holdsNoBatch(disk, "\(path)/\(name)") else {
        throw .lost(
          path: "\(path)/\(IdentityFile.name)",
          reason: "the identity is missing, and there is \(path)/\(name), with data, or damaged")
      }
      remains.append(name)
    }
    for name in remains { try onDisk { () throws(DiskError) in try disk.remove("\(path)/\(name)") } }
  }

  /// True for a segment with nothing behind its header, as the making of a directory leaves it: it gets its name when it
  /// is whole and synced. What is damaged may have been more, so nothing in it is believed before its checksums are.
  private static func holdsNoBatch(_ disk: any Disk, _ path: String) throws(StorageError) -> Bool {
    let file = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    defer { file.close() }
    let window = try FileWindow(file)
    guard let start = try window.bytes(at: 0, count: RecordHeader.size) else { return false }
    let length = Int(UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 24, as: UInt32.self)))
    guard let body = try window.bytes(at: RecordHeader.size, count: length) else { return false }
    let claimed: SegmentHeader
    do throws(WireError) { claimed = try SegmentHeader(decoding: body) } catch { return false }
    // The salt is made of the disk's id, which the body says.
    let salt = RecordHeader.salt(disk: claimed.disk, segment: 1)
    guard let bytes = try window.bytes(at: 0, count: RecordHeader.size),
      let header = RecordHeader(parsing: bytes, at: 0, salt: salt), header.kind == .segment, header.sequence == 1,
      let padded = try window.bytes(at: RecordHeader.size, count: header.paddedBody),
      Checksum.of(padded, seed: salt) == header.bodyChecksum
    else { return false }
    return try window.lastNonZero(from: header.length) == nil
  }

  private static func makeLog(_ files: LogFiles, _ options: LogOptions) throws(StorageError) {
    let parent = files.directory.lastIndex(of: "/").map { String(files.directory[..<$0]) } ?? "."
    try onDisk { () throws(DiskError) in try files.disk.syncDirectory(parent.isEmpty ? "/" : parent) }
    var (header, body) = files.header(segment: 1, sequence: 1, link: 0, extent: 0, groups: [])
    let room = 2 * RecordHeader.size + RecordHeader.padded(body.count)
    var maker = SegmentMaker(files: files, number: 1, size: max(room, options.firstSegmentBytes))
    header.extent = maker.size
    var buffer = RecordBuffer()
    _ = buffer.fill(&header, body: body, salt: files.salt(1))
    let first = [UInt8](buffer.bytes(header.length))
    defer { maker.close() }
    var isMade = false
    while !isMade {
      isMade = try maker.step(maximumBytes: 4 << 20) { file throws(DiskError) in try file.write(first, at: 0) }
    }
  }

  /// 0 is no id: it stands for a version that drew none.
  private static func startID(_ random: [UInt8]) -> UInt64 {
    max(1, random.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
  }

  private static func list(_ nodes: [NodeID]) -> String { nodes.map(\.description).joined(separator: ", ") }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
