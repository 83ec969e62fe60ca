internal import LockstepConsensus
internal import LockstepWire

// DIR/identity: one record (see Record) of kind identity, number 1, whose body is an Identity message and whose extent
// is the size of the file. It is never written to, only replaced: DIR/identity.new is written and synced, renamed, the
// directory synced. A crash leaves the old one or the new one, and perhaps an identity.new, which is removed.
//
// It says when it was made itself, by the file system's own clock of births, which nobody can set, and as which inode: a
// copy of a directory is found by that, however it was made, and also where no other node has seen what the copy lacks. A
// file system that knows no births, and one that is taken back as a whole, have nothing to find.
//
// It also names the record with which the log ended at the last clean stop: a witness that does not lie in the log's own
// blocks (TailFinder says what follows from it).

/// Reads and replaces the identity of a directory.
struct IdentityFile {
  static let name = "identity"
  let disk: any Disk
  let directory: String

  private var path: String { "\(directory)/\(Self.name)" }
  private static let salt = Checksum.of(Array("lockstep identity".utf8))

  func read() throws(StorageError) -> DiskIdentity {
    let path = path
    let file = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    defer { file.close() }
    let window = try FileWindow(file)
    func damaged(_ offset: Int, _ reason: String) -> StorageError {
      .damaged(file: path, offset: offset, reason: reason)
    }
    guard let bytes = try window.bytes(at: 0, count: RecordHeader.size),
      let header = RecordHeader(parsing: bytes, at: 0, salt: Self.salt), header.kind == .identity
    else { throw damaged(0, "no valid header in \(window.size) bytes") }
    guard header.extent == window.size, header.length == window.size,
      let body = try window.bytes(at: RecordHeader.size, count: header.paddedBody)
    else {
      throw damaged(
        min(window.size, header.extent), "the file has \(window.size) bytes, it was made with \(header.extent)")
    }
    guard Checksum.of(body, seed: Self.salt) == header.bodyChecksum else {
      throw damaged(RecordHeader.size, "the checksum is wrong")
    }
    do throws(WireError) {
      return try DiskIdentity(decoding: UnsafeRawBufferPointer(rebasing: body[..<header.bodyLength]))
    } catch { throw damaged(RecordHeader.size, "\(error)") }
  }

  /// Whether the file is another one than it says: someone has made it of the one that it was.
  func isCopy(_ identity: DiskIdentity) throws(StorageError) -> Bool {
    guard let recorded = identity.birth else { return false }
    let path = path
    let file = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    defer { file.close() }
    guard let birth = try onDisk({ () throws(DiskError) in try file.birth() }) else { return false }
    return birth != recorded
  }

  /// Of one that did not fit on the disk.
  func removeUnfinished() throws(StorageError) {
    let new = path + LogFiles.unfinished
    do throws(DiskError) { try disk.remove(new) } catch {
      guard error.reason == .notFound else { throw StorageError(error) }
    }
  }

  func replace(with identity: DiskIdentity) throws(StorageError) {
    var identity = identity
    let (path, new) = (path, path + LogFiles.unfinished)
    do throws(DiskError) {
      let file = try disk.create(new)
      defer { file.close() }
      identity.birth = try file.birth()
      let body = identity.encoded()
      let length = RecordHeader.size + RecordHeader.padded(body.count)
      var header = RecordHeader(kind: .identity, sequence: 1, offset: 0, link: 0, extent: length)
      var buffer = RecordBuffer(capacity: length)
      _ = buffer.fill(&header, body: body, salt: Self.salt)
      try file.write(buffer.bytes(length), at: 0)
      try file.sync()
      try disk.rename(new, to: path)
      try disk.syncDirectory(directory)
    } catch { throw StorageError(error) }
  }
}
