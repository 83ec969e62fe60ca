package import LockstepConsensus
package import LockstepWire

/// A snapshot file that is there, whole and durable.
package struct StoredSnapshot: Sendable, Equatable {
  package let header: SnapshotHeader
  /// Of the file.
  package let fileBytes: Int

  package init(header: SnapshotHeader, fileBytes: Int) {
    self.header = header
    self.fileBytes = fileBytes
  }

  package var last: EntryID { header.last.id }
  package var name: SnapshotName { SnapshotName(group: header.group, index: header.last.id.index) }
}

/// Writes one snapshot file, chunk by chunk. Not Sendable: whoever has it calls from one thread, and every call blocks.
package final class SnapshotWriter {
  /// What is synced at once: what a sync of the log may have to wait for.
  private static let syncedBytes = 4 << 20

  private let disk: any Disk
  private let directory: String
  private let header: SnapshotHeader
  private let salt: UInt64
  private let file: any DiskFile
  private var buffer = RecordBuffer()
  private var offset = 0
  private var sequence: UInt64 = 0
  private var link: UInt64 = 0
  private var trailer = SnapshotTrailer(chunks: 0, bytes: 0)
  private var unsynced = 0
  private var isOver = false

  private var path: String {
    "\(directory)/\(SnapshotName(group: header.group, index: header.last.id.index))"
  }
  private var unfinished: String { path + LogFiles.unfinished }

  package init(disk: any Disk, directory: String, header: SnapshotHeader) throws(StorageError) {
    self.disk = disk
    self.directory = directory
    self.header = header
    salt = SnapshotFormat.salt(header)
    let name = "\(directory)/\(SnapshotName(group: header.group, index: header.last.id.index))\(LogFiles.unfinished)"
    let names = try onDisk { () throws(DiskError) in try disk.list(directory) } ?? []
    // Of one that was given up.
    if names.contains(where: { "\(directory)/\($0)" == name }) {
      try onDisk { () throws(DiskError) in try disk.remove(name) }
    }
    file = try onDisk { () throws(DiskError) in try disk.create(name) }
    do throws(StorageError) { try add(.snapshot, header.encoded()) } catch {
      abandon()
      throw error
    }
  }

  /// Of state, so far.
  package var bytes: UInt64 { trailer.bytes }

  /// The next piece of the state.
  package func append(_ chunk: [UInt8]) throws(StorageError) {
    try add(.chunk, chunk)
    trailer.chunks += 1
    trailer.bytes += UInt64(chunk.count)
    guard unsynced >= Self.syncedBytes else { return }
    try onDisk { () throws(DiskError) in try file.sync() }
    unsynced = 0
  }

  /// That was all. The file is there under its name, and durable, when this returns.
  package func finish() throws(StorageError) -> StoredSnapshot {
    let body = trailer.encoded()
    let end = offset + RecordHeader.size + RecordHeader.padded(body.count)
    let extent = (end + RecordBuffer.block - 1) / RecordBuffer.block * RecordBuffer.block
    try add(.snapshotEnd, body, extent: extent)
    let (path, unfinished) = (path, unfinished)
    try onDisk { () throws(DiskError) in
      try file.sync()
      file.close()
      isOver = true
      try disk.rename(unfinished, to: path)
      try disk.syncDirectory(directory)
    }
    return StoredSnapshot(header: header, fileBytes: extent)
  }

  /// Nothing is left of it, if the disk still does what it is told.
  package func abandon() {
    guard !isOver else { return }
    isOver = true
    file.close()
    do throws(DiskError) { try disk.remove(unfinished) } catch { return }
  }

  private func add(_ kind: RecordKind, _ body: [UInt8], extent: Int = 0) throws(StorageError) {
    sequence += 1
    var record = RecordHeader(kind: kind, sequence: sequence, offset: offset, link: link, extent: extent)
    link = buffer.fill(&record, body: body, salt: salt)
    try onDisk { () throws(DiskError) in try buffer.write(record.length, to: file, at: offset, extent: .max) }
    buffer.advance(by: record.length)
    offset += record.length
    unsynced += record.length
  }
}
