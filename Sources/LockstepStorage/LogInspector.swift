package import LockstepConsensus
package import LockstepWire

/// Reads a stopped node's log and changes nothing: `lockstep log inspect` and `lockstep log verify`.
package final class LogInspector {
  package struct Entry: Sendable, Equatable {
    package let header: EntryHeader
    /// Where in the file the entry's bytes begin.
    package let offset: Int
  }

  package struct Batch: Sendable, Equatable {
    package let group: GroupID
    package let hardState: HardState
    package let entries: [Entry]
  }

  package struct Record: Sendable, Equatable {
    package let file: String
    package let offset: Int
    /// With header and padding.
    package let length: Int
    package let kind: RecordKind
    package let sequence: UInt64
    package let batches: [Batch]
  }

  package struct Summary: Sendable, Equatable {
    package let identity: DiskIdentity
    /// What the next start would say; nothing of it has been done.
    package let report: RecoveryReport
    package let groups: [GroupState]
    /// The log ends in a seal: all of it is known to have been synced.
    package let isSealed: Bool
  }

  let files: LogFiles
  private let lock: any DiskLock

  /// Refused while a node works in the directory; keeps one from starting until `close`.
  package init(disk: any Disk, path: String) throws(StorageError) {
    (files, lock) = try NodeDirectory.read(disk: disk, path: path)
  }

  package func close() { lock.release() }

  /// Checks all of the log. Throws what does not hold first, with its file and offset; that is also what would keep the node
  /// from starting.
  package func verify() throws(StorageError) -> Summary {
    try walk { _ in }
  }

  /// Hands each record to `body` when it has been checked, in the order of the log.
  @discardableResult
  package func walk(_ body: (Record) -> Void) throws(StorageError) -> Summary {
    let (replay, end) = try replay(body)
    return summary(replay, end)
  }

  func replay(_ body: (Record) -> Void) throws(StorageError) -> (LogReplay, LogEnd) {
    let replay = try LogReplay(files: files, spacing: LogOptions().indexSpacing)
    let end = try replay.run { reader, header, parts throws(StorageError) in
      var batches: [Batch] = []
      for part in parts { batches.append(try Self.batch(part, reader, header)) }
      body(
        Record(
          file: reader.path, offset: header.offset, length: header.length, kind: header.kind,
          sequence: header.sequence, batches: batches))
    }
    return (replay, end)
  }

  func summary(_ replay: LogReplay, _ end: LogEnd) -> Summary {
    Summary(identity: files.identity, report: replay.report, groups: replay.book.states, isSealed: end.isSealed)
  }

  private static func batch(
    _ part: ReplayedPart, _ reader: SegmentReader, _ record: RecordHeader
  ) throws(StorageError) -> Batch {
    var entries: [Entry] = []
    if let block = part.block {
      do throws(WireError) {
        try block.forEach(in: block.slice) { header, bytes throws(WireError) in
          entries.append(Entry(header: header, offset: part.offset + block.ends[entries.count] - bytes.count))
        }
      } catch { throw reader.damaged(at: record.offset, "\(error)") }
    }
    return Batch(group: part.header.group, hardState: part.header.hardState, entries: entries)
  }
}
