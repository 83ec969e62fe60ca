internal import LockstepConsensus
internal import LockstepWire

// How the end of the log is told from damage. This is the point of the whole format.
//
//   log-0000000001 |segment|batch|batch|…|batch|end|0000…      durable before the next segment gets its first batch
//   log-0000000002 |segment|batch|…|batch|seal|00000000…       the tail: what is behind it is zeros, written and synced
//   log-0000000003 |0000000000000000000000000000000000…        prepared, durable before its name is; not always there
//
// A batch is one write and one sync, and the next is not written before that. So at the tail, offset T, a crash leaves:
//
//   at T                        behind it        what it is
//   zeros                       zeros            the end. The batch before T may or may not have been synced: it is
//                                                whole, so it stays, and is written again because the bytes may have
//                                                been read from a cache whose sync had failed
//   the seal                    zeros            the end, and all before it was synced
//   header, body incomplete     anything         a torn batch: no sync returned, nobody was told: dropped
//   no header (torn sector)     anything         the same
//   zeros or the seal           anything         the same, its first sector lost
//
// A seal is the header of a record without a body, its bytes at T known in advance; the next batch overwrites it. It is
// written when the disk is idle and at a clean close: it says that a batch was synced although no batch follows.
//
// The same bytes in the middle of what was synced are damage. There, something valid follows: the next batch, or the
// seal. So before anything is dropped, every aligned place up to the end of the file, and the next segment, is searched
// for a header that is valid there (its checksum has the disk's salt; bytes in an entry cannot pretend to be one). One
// is enough to refuse the start. Damage that no crash excuses is refused too: a seal of which a few bits have changed, a
// file that is longer or shorter than it was made, a missing file.
//
// A clean stop says more: the identity, another file, then names the last record (IdentityFile). What is missing up to
// there is damage, seal or not, and so is another record in its place. It is not taken back at the next start, which can
// therefore not crash between the two: records are only added, and what was synced once stays below any later end.
//
// Between two stops another file notes, in idle moments and every thousand records, how far the log is synced
// (SyncedMark). That is no promise, as nobody waits for that file, but what it says is true: what is missing up to there
// is damage as well, or an older copy of the log beside an identity that has gone on.
//
// Not to be told apart: a batch that was synced and not noted, with neither batch nor seal behind it, that rots before a
// clean stop. A seal lies in the block behind the batch, or in the same one, and what takes both leaves the same bytes.

/// The end of the log, and what must be done before it is written to again.
struct LogEnd {
  /// Where the next record goes, and the size of that file.
  var position: LogPosition
  var extent: Int
  /// The last record, in the same segment; its bytes are written again unless a seal vouches for them.
  var last: RecordHeader
  /// The record that ended the segment before, if this one holds no batch: nothing vouches for it either.
  var previousEnd: LogPosition?
  var isSealed: Bool
  /// What is not zero from `position` on, except the seal.
  var remains: Range<Int>?
  /// The segment after this one, prepared or begun, but not used.
  var next: (size: Int, remains: Range<Int>?)?
}

struct TailFinder {
  let files: LogFiles
  let replay: LogReplay
  let reader: SegmentReader
  let position: LogPosition

  /// Up to so many changed bits make a seal a rotten seal. A header that was cut short over a seal differs by four at
  /// least: the codes of the kinds do, and they come first.
  private static let rottenBits = 3

  func find(last: RecordHeader, previousEnd: LogPosition?, segments: [UInt64]) throws(StorageError) -> LogEnd {
    if let stop = files.identity.cleanStop, replay.sequence < stop.sequence {
      throw reader.damaged(
        at: position.offset,
        """
        record \(replay.sequence &+ 1) belongs here and is no longer whole: when the node last stopped, its log ended with \
        record \(stop.sequence), before byte \(stop.offset) of \(LogFiles.name(stop.segment))
        """)
    }
    if let noted = replay.mark.last, replay.sequence < noted.sequence {
      throw reader.damaged(
        at: position.offset,
        """
        record \(replay.sequence &+ 1) belongs here and is not there, or no longer whole: the log was synced up to record \
        \(noted.sequence), as \(SyncedMark.name) has noted; it is an older copy, or its disk has lost what it had synced: \
        start the node with its latest directory, or, if that is gone, on an empty one with --replace-disk
        """)
    }
    let here = try [UInt8](bytes(reader, at: position.offset))
    let seal = RecordHeader(kind: .seal, sequence: replay.sequence, offset: position.offset, link: replay.link)
      .bytes(salt: reader.salt)
    var reason = "no valid record"
    if let header = here.withUnsafeBytes({ RecordHeader(parsing: $0, at: position.offset, salt: reader.salt) }) {
      if here != seal { try excuse(header) }
      reason = "a record that does not match its checksum"
    } else if !isCutShort(here, seal) {
      let changed = zip(here, seal).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
      guard changed > Self.rottenBits else {
        throw reader.damaged(at: position.offset, "a seal of which \(changed) bits have changed")
      }
    }
    let isSealed = here == seal
    if let other = try search(reader, from: position.offset + RecordHeader.size) {
      throw reader.damaged(at: position.offset, "\(reason), but a valid one follows at byte \(other)")
    }
    var end = LogEnd(
      position: position, extent: reader.window.size, last: last,
      previousEnd: last.kind == .segment ? previousEnd : nil, isSealed: isSealed)
    let start = isSealed ? position.offset + RecordHeader.size : position.offset
    end.remains = try reader.window.lastNonZero(from: start).map { start..<$0 }
    end.next = try next(segments, reason)
    note(end, torn: !here.allSatisfy { $0 == 0 } && !isSealed)
    return end
  }

  /// A header that is valid and no seal: that of the next record, torn, or nothing that a crash leaves.
  private func excuse(_ header: RecordHeader) throws(StorageError) {
    guard header.kind == .batch, header.sequence == replay.sequence &+ 1, header.link == replay.link else {
      throw reader.damaged(
        at: position.offset,
        "the header of a \(header.kind) record with number \(header.sequence), where \(replay.sequence &+ 1) belongs")
    }
    guard header.length <= reader.window.size - position.offset else {
      throw reader.damaged(at: position.offset, "a record that reaches beyond the end of the file")
    }
  }

  /// Some bytes of a write, and zeros.
  private func isCutShort(_ bytes: [UInt8], _ whole: [UInt8]) -> Bool {
    let count = bytes.withUnsafeBytes { $0.lastNonZero ?? 0 }
    return bytes[..<count] == whole.prefix(count)
  }

  /// Bytes of a write that was cut short, and zeros, which may have been written over some of it, cut short as well.
  private func isPart(_ bytes: [UInt8], of whole: [UInt8]) -> Bool {
    zip(bytes, whole).allSatisfy { $0 == 0 || $0 == $1 }
  }

  /// The segment after the tail holds nothing, or the header of a rotation that was interrupted.
  private func next(_ segments: [UInt64], _ reason: String) throws(StorageError) -> (size: Int, remains: Range<Int>?)? {
    let number = position.segment + 1
    guard segments.contains(number) else { return nil }
    if segments.contains(number + 1) {
      throw reader.damaged(at: position.offset, "\(reason), but \(LogFiles.name(number + 1)) is there")
    }
    let next = try files.reader(number)
    guard let last = try next.window.lastNonZero(from: 0) else { return (next.window.size, nil) }
    let ending = RecordHeader(
      kind: .end, sequence: replay.sequence &+ 1, offset: position.offset, link: replay.link)
    var (expected, body) = files.header(
      segment: number, sequence: replay.sequence &+ 2, link: ending.checksum(salt: reader.salt),
      extent: next.window.size, groups: replay.book.states)
    var buffer = RecordBuffer()
    _ = buffer.fill(&expected, body: body, salt: next.salt)
    let here = try [UInt8](bytes(next, at: 0))
    if let header = here.withUnsafeBytes({ RecordHeader(parsing: $0, at: 0, salt: next.salt) }) {
      guard header == expected else {
        throw reader.damaged(
          at: position.offset, "\(reason), but \(next.path) begins after record \(header.sequence &- 2)")
      }
    } else if !isPart(here, of: [UInt8](buffer.bytes(RecordHeader.size))) {
      throw next.damaged(at: 0, "neither unused nor the beginning of segment \(number) of this disk")
    }
    if let other = try search(next, from: RecordHeader.size) {
      throw reader.damaged(at: position.offset, "\(reason), but a valid one follows in \(next.path) at byte \(other)")
    }
    return (next.window.size, 0..<last)
  }

  /// The first aligned place with a valid header.
  private func search(_ reader: SegmentReader, from start: Int) throws(StorageError) -> Int? {
    let window = reader.window
    var place = start
    while place + RecordHeader.size <= window.size {
      let count = min(1 << 20, (window.size - place) & ~(RecordHeader.size - 1))
      guard let bytes = try window.bytes(at: place, count: count) else { return nil }
      if let last = bytes.lastNonZero {
        for offset in stride(from: 0, to: last, by: RecordHeader.size) {
          let header = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + RecordHeader.size])
          if RecordHeader(parsing: header, at: place + offset, salt: reader.salt) != nil { return place + offset }
        }
      }
      place += count
    }
    return nil
  }

  private func bytes(_ reader: SegmentReader, at offset: Int) throws(StorageError) -> UnsafeRawBufferPointer {
    guard let bytes = try reader.window.bytes(at: offset, count: RecordHeader.size) else {
      throw reader.damaged(at: offset, "the file ends here, after \(reader.window.size) bytes")
    }
    return bytes
  }

  private func note(_ end: LogEnd, torn: Bool) {
    if let remains = end.remains {
      replay.report.droppedBytes += remains.count
      replay.report.notices.append(
        torn
          ? "\(reader.path): \(remains.count) bytes of a write that was never acknowledged, from byte \(position.offset)"
          : "\(reader.path): \(remains.count) bytes in unused space, from byte \(remains.lowerBound)")
    }
    if let next = end.next, next.remains != nil {
      replay.report.notices.append("\(files.path(position.segment + 1)): begun, but not used")
    }
  }
}
