package import LockstepConsensus
package import LockstepWire

/// What the log held for a group.
package struct RecoveredGroup: Sendable {
  package let group: GroupID
  package let hardState: HardState
  /// The log begins behind this; at index 0 it is the beginning of all.
  package let base: LogBase
  package let last: EntryID
  package let lastChain: UInt64
  /// Of the entries behind the base.
  package let terms: [Log.TermRun]
  /// Configuration entries behind the base, in order.
  package let configurations: [RecoveredConfiguration]
  /// The latest entries, without a gap up to the last.
  package let tail: [EntryBlock]
  /// Committed up to here, at least, by what others acknowledged to this node while it led. Not beyond the last entry.
  package let acknowledged: LogIndex
}

extension DurableLog {
  /// Reads the log of this directory, puts its tail right and is ready to append.
  package static func open(
    _ directory: NodeDirectory, options: LogOptions = LogOptions()
  ) throws(StorageError) -> (log: DurableLog, groups: [RecoveredGroup], report: RecoveryReport) {
    let files = directory.files
    let replay = try LogReplay(files: files, spacing: options.indexSpacing)
    let end = try replay.run()
    try Repair(files: files, replay: replay, end: end).run()
    let log = try DurableLog(directory, replay: replay, end: end, options: options)
    let acknowledged = try directory.acknowledged()
    var groups: [RecoveredGroup] = []
    for ledger in replay.book.ledgers {
      groups.append(
        RecoveredGroup(
          group: ledger.group, hardState: ledger.tail.hardState, base: ledger.base, last: ledger.tail.last,
          lastChain: ledger.tail.lastChain, terms: ledger.termsBehindBase,
          configurations: replay.configurations.filter { $0.group == ledger.group }.map(\.found),
          tail: try log.tail(of: ledger, maximumBytes: options.recoveredBytes),
          acknowledged: ledger.committed(by: acknowledged)))
    }
    return (log, groups, replay.report)
  }

  private func tail(of ledger: GroupLedger, maximumBytes: Int) throws(StorageError) -> [EntryBlock] {
    let last = ledger.tail.last.index
    let first = ledger.base.id.index.next
    guard last >= first, let from = ledger.tailStart(maximumBytes: maximumBytes) else { return [] }
    return try read(
      group: ledger.group, from: max(from, first), through: last, maximumBytes: .max, termAt: ledger.term(at:))
  }
}

extension GroupLedger {
  /// How far what was noted of others shows that this very log is committed.
  ///
  /// Noted is only what this node had committed while it led (PeerMemory): entry `index`, in term `term` or before. That
  /// stays true whatever becomes of the disks by which it was found out: when one of them is replaced, its promise is
  /// forgotten, and what it helped to commit is committed all the same (Replica+Replacement, 3). A disk of this node that
  /// was replaced has left nothing here, as the note is read with the disk's id.
  ///
  /// Whether this log has those entries, its last one says: if that is of the term of the note, or a later one, its leader
  /// had them (Leader Completeness, Raft figure 3), and so has this log, as far as it goes (Log Matching). It does not
  /// matter whether it begins behind a snapshot, as its base is an entry as well. The term beside the log does not say it:
  /// an older copy of the log takes over later terms with its next vote, and may end with entries that were replaced.
  func committed(by noted: [Acknowledged]) -> LogIndex {
    let proven = noted.filter { $0.group == group && $0.term <= tail.last.term }
    return min(tail.last.index, proven.map(\.index).max() ?? .zero)
  }

  /// The earliest point with at most so much log behind it, as far as one segment's offsets tell.
  func tailStart(maximumBytes: Int) -> LogIndex? {
    guard let final = points.last else { return nil }
    var start = final
    for point in points.reversed() {
      guard point.position.segment == final.position.segment,
        final.position.offset - point.position.offset <= maximumBytes
      else { break }
      start = point
    }
    return start.index
  }
}

/// Makes the disk agree with what was recovered, before anything is built on it. What is repaired is told by what was
/// found, so a crash in the middle leaves a log that recovers to the same; a second recovery changes nothing.
private struct Repair {
  let files: LogFiles
  let replay: LogReplay
  let end: LogEnd

  func run() throws(StorageError) {
    // Also when it reads as zeros and has its size: an earlier process may have put both into the cache before its sync
    // failed, and the device then still has the header of a rotation that never was, or a shorter file.
    if let next = end.next {
      let used = min(next.size, max(RecordHeader.size, next.remains?.upperBound ?? 0))
      try write(to: end.position.segment + 1) { file throws(DiskError) in
        try file.zero(0..<used)
        try file.zero(max(used, next.size - RecordHeader.size)..<next.size)
      }
    }
    // Nothing says whether these were synced. They were read, perhaps from a cache that the disk never saw: after a
    // failed sync the kernel calls the pages clean. Written again they are dirty, and the sync below means something.
    if let previous = end.previousEnd, !end.isSealed {
      try rewrite(LogPosition(segment: previous.segment, offset: previous.offset), length: RecordHeader.size)
    }
    if !end.isSealed || end.remains != nil {
      if !end.isSealed {
        try rewrite(LogPosition(segment: end.position.segment, offset: end.last.offset), length: end.last.length)
      }
      let number = end.position.segment
      let seal = RecordHeader(
        kind: .seal, sequence: replay.sequence, offset: end.position.offset, link: replay.link
      ).bytes(salt: files.salt(number))
      try write(to: number) { file throws(DiskError) in
        if let remains = end.remains { try file.zero(remains) }
        try file.write(seal, at: end.position.offset)
      }
    }
    let (disk, directory) = (files.disk, files.directory)
    try onDisk { () throws(DiskError) in try disk.syncDirectory(directory) }
  }

  private func rewrite(_ place: LogPosition, length: Int) throws(StorageError) {
    let reader = try files.reader(place.segment)
    guard let bytes = try reader.window.bytes(at: place.offset, count: length) else {
      throw reader.damaged(at: place.offset, "the file has become shorter")
    }
    try write(to: place.segment) { file throws(DiskError) in try file.write(bytes, at: place.offset) }
  }

  private func write(
    to segment: UInt64, _ body: (any DiskFile) throws(DiskError) -> Void
  ) throws(StorageError) {
    let (disk, path) = (files.disk, files.path(segment))
    try onDisk { () throws(DiskError) in
      let file = try disk.open(path, for: .readingAndWriting)
      defer { file.close() }
      try body(file)
      try file.sync()
    }
  }
}

extension DiskFile {
  func write(_ bytes: [UInt8], at offset: Int) throws(DiskError) {
    var failure: DiskError?
    bytes.withUnsafeBytes { buffer in
      do throws(DiskError) { try write(buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
