import LockstepConsensus
package import LockstepWire

/// Reads one snapshot file and believes nothing. Not Sendable, and every call blocks.
package final class SnapshotFile {
  package let path: String
  package let header: SnapshotHeader
  package let fileBytes: Int
  private let salt: UInt64
  private let file: any DiskFile
  private let window: FileWindow
  private var offset: Int
  private var sequence: UInt64 = 1
  private var link: UInt64
  private var read = SnapshotTrailer(chunks: 0, bytes: 0)
  /// The trailer has been read, and nothing follows it.
  package private(set) var isAtEnd = false

  /// A file that somebody names: of any cluster, and with any name. One that a snapshot is given must be its own.
  package convenience init(disk: any Disk, path: String) throws(StorageError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    try self.init(disk: disk, path: path, name: parts.last.flatMap { SnapshotName(String($0)) })
  }

  /// Opens the file and reads its header.
  convenience init(disk: any Disk, path: String, name: SnapshotName?) throws(StorageError) {
    try self.init(try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }, path: path, name: name)
  }

  /// Reads the header of a file that is open, and has it closed in the end.
  init(_ file: any DiskFile, path: String, name: SnapshotName?) throws(StorageError) {
    self.path = path
    func damaged(_ reason: String) -> StorageError { .damaged(file: path, offset: 0, reason: reason) }
    var isRefused = true
    defer { if isRefused { file.close() } }
    let window = try FileWindow(file)
    if name == nil, try !Self.claimsToBeOne(window) {
      throw .refused(path: path, reason: "not a snapshot: it does not begin as one does")
    }
    guard let claimed = try Self.claimedHeader(window) else { throw damaged("no header of a snapshot") }
    let salt = SnapshotFormat.salt(claimed)
    guard let bytes = try window.bytes(at: 0, count: RecordHeader.size),
      let record = RecordHeader(parsing: bytes, at: 0, salt: salt), record.kind == .snapshot, record.sequence == 1,
      record.link == 0, let body = try window.bytes(at: RecordHeader.size, count: record.paddedBody),
      Checksum.of(body, seed: salt) == record.bodyChecksum
    else { throw damaged("its header does not match its checksum") }
    if let name, claimed.group != name.group || claimed.last.id.index != name.index {
      throw damaged("it holds group \(claimed.group) up to entry \(claimed.last.id.index), and its name says another")
    }
    isRefused = false
    self.salt = salt
    self.file = file
    self.window = window
    header = claimed
    fileBytes = window.size
    offset = record.length
    link = record.checksum(salt: salt)
  }

  deinit { file.close() }

  private static func claimsToBeOne(_ window: FileWindow) throws(StorageError) -> Bool {
    guard let start = try window.bytes(at: 0, count: RecordHeader.size) else { return false }
    let kind = UInt32(RecordKind.snapshot.rawValue) &* 0x0101_0101
    return UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)) == RecordHeader.magic
      && start.loadUnaligned(fromByteOffset: 4, as: UInt32.self) == kind
  }

  /// What the first record says, before its checksum, which is salted with it, is looked at.
  private static func claimedHeader(_ window: FileWindow) throws(StorageError) -> SnapshotHeader? {
    guard let start = try window.bytes(at: 0, count: RecordHeader.size) else { return nil }
    let length = Int(UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 24, as: UInt32.self)))
    guard let body = try window.bytes(at: RecordHeader.size, count: length) else { return nil }
    do throws(WireError) { return try SnapshotHeader(decoding: body) } catch { return nil }
  }

  /// Up to here all that was read holds.
  var verifiedBytes: Int { offset }

  /// What it is, once all of it has been read.
  package var stored: StoredSnapshot { StoredSnapshot(header: header, fileBytes: fileBytes) }

  /// The next piece of the state, which is checked; nil when that was all, and the file ends as it should.
  package func next() throws(StorageError) -> [UInt8]? { try advance().map { [UInt8]($0) } }

  /// The same, as it stands in the window until the next call.
  private func advance() throws(StorageError) -> UnsafeRawBufferPointer? {
    guard !isAtEnd else { return nil }
    guard let bytes = try window.bytes(at: offset, count: RecordHeader.size),
      let record = RecordHeader(parsing: bytes, at: offset, salt: salt)
    else { throw damaged("no record, after \(read.chunks) chunks") }
    guard record.sequence == sequence &+ 1, record.link == link else {
      throw damaged("record \(record.sequence) does not follow the one before it")
    }
    guard let padded = try window.bytes(at: offset + RecordHeader.size, count: record.paddedBody),
      Checksum.of(padded, seed: salt) == record.bodyChecksum
    else { throw damaged("a record that does not match its checksum") }
    let body = UnsafeRawBufferPointer(rebasing: padded[..<record.bodyLength])
    switch record.kind {
    case .chunk where !body.isEmpty:
      read.chunks += 1
      read.bytes += UInt64(body.count)
      sequence = record.sequence
      link = record.checksum(salt: salt)
      offset += record.length
      return body
    case .snapshotEnd:
      try end(record, body)
      return nil
    default: throw damaged("a record of kind \(record.kind)")
    }
  }

  private func end(_ record: RecordHeader, _ body: UnsafeRawBufferPointer) throws(StorageError) {
    let trailer: SnapshotTrailer
    do throws(WireError) { trailer = try SnapshotTrailer(decoding: body) } catch { throw damaged("\(error)") }
    guard trailer == read else {
      throw damaged(
        "\(read.chunks) chunks with \(read.bytes) bytes, it was made with \(trailer.chunks) and \(trailer.bytes)")
    }
    guard record.extent == window.size else {
      throw damaged("the file has \(window.size) bytes, it was made with \(record.extent)")
    }
    if let last = try window.lastNonZero(from: offset + record.length) {
      throw .damaged(file: path, offset: last - 1, reason: "something stands behind the end of the snapshot")
    }
    isAtEnd = true
  }

  /// Reads all of it. Throws what does not hold first.
  package func verify() throws(StorageError) -> SnapshotTrailer {
    while try advance() != nil {}
    return read
  }

  /// Reads on until this part of the file, at least, holds.
  func verify(through end: Int) throws(StorageError) {
    while verifiedBytes < end, try advance() != nil {}
  }

  private func damaged(_ reason: String) -> StorageError { .damaged(file: path, offset: offset, reason: reason) }
}
