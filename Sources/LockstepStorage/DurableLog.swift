package import LockstepConsensus
package import LockstepWire

/// The log of a node, for all its groups: what `append` has returned from is there after any crash. `Record` draws the
/// records, `TailFinder` the files and what a crash leaves in them.
///
/// Not Sendable: it lives on the disk thread, and every call blocks. After a failed write or sync nothing is known of
/// the disk, so every later call throws; the process ends, and its next start finds out.
package final class DurableLog {
  private let directory: NodeDirectory
  private let files: LogFiles
  private let options: LogOptions
  private var book: LedgerBook
  private let reader: LogReader
  private var buffer: RecordBuffer
  private var failure: StorageError?

  // The segment that is being written, and where its next record goes.
  private var file: any DiskFile
  private var position: LogPosition
  private var extent: Int
  private var salt: UInt64
  private var next: SegmentMaker
  /// The segments that are there, in order, with the last entry that each group had when it began.
  private var beginnings: [SegmentBeginning]

  // Of the record written last.
  private var sequence: UInt64
  private var link: UInt64
  private var isSealed: Bool
  /// Of one append since this segment began: as much may be left unused at its end.
  package private(set) var longestRecord = 0
  /// Behind `sequence`, or at it: only what is synced is noted.
  private var mark: SyncedMark

  init(_ directory: NodeDirectory, replay: LogReplay, end: LogEnd, options: LogOptions) throws(StorageError) {
    self.directory = directory
    files = replay.files
    self.options = options
    book = replay.book
    reader = LogReader(files: files)
    let (disk, path) = (files.disk, files.path(end.position.segment))
    file = try onDisk { () throws(DiskError) in try disk.open(path, for: .readingAndWriting) }
    position = end.position
    extent = end.extent
    salt = files.salt(end.position.segment)
    var buffer = RecordBuffer()
    try onDisk { [file] () throws(DiskError) in try buffer.begin(at: end.position.offset, of: file) }
    self.buffer = buffer
    beginnings = replay.beginnings
    sequence = replay.sequence
    link = replay.link
    isSealed = true
    mark = replay.mark
    let number = end.position.segment + 1
    if let prepared = end.next {
      next = try SegmentMaker(files: files, number: number, existing: prepared.size)
    } else {
      next = SegmentMaker(files: files, number: number, size: options.segmentBytes)
    }
  }

  /// Bytes left in the segment that is being written.
  package var room: Int { extent - position.offset }

  /// The next segment: what it will have, and what of that the disk has still to give; nothing when it is there.
  package var nextSegment: (bytes: Int, more: Int) { next.needed }

  /// Writes all of this with one write and one sync; durable, all of it, when this returns. Entries are copied once.
  package func append(_ writes: [LogWrite]) throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    guard !writes.isEmpty else { return }
    var headers: [LogBatchHeader] = []
    headers.reserveCapacity(writes.count)
    for write in writes {
      headers.append(
        LogBatchHeader(
          group: write.group, hardState: write.hardState, first: write.blocks.first?.first ?? .zero,
          previousChain: write.blocks.first?.previousChain ?? 0, base: write.base))
    }
    try check(writes, headers)
    try stopping { () throws(StorageError) in
      let place = try write(writes, headers)
      for number in writes.indices {
        book.take(headers[number], writes[number].blocks, at: place, spacing: options.indexSpacing)
      }
    }
  }

  /// Writes the word that everything so far was synced, without a sync of its own. For idle moments of the disk: until
  /// then a damaged last batch cannot be told from a torn one.
  package func seal() throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    guard !isSealed else { return }
    try stopping { () throws(StorageError) in
      RecordHeader(kind: .seal, sequence: sequence, offset: position.offset, link: link)
        .write(to: buffer.base, salt: salt)
      try onDisk { () throws(DiskError) in
        try buffer.write(RecordHeader.size, to: file, at: position.offset, extent: extent)
      }
      isSealed = true
    }
  }

  /// Whether so much was synced since that was last noted that it should not wait for an idle moment.
  package var isMarkDue: Bool { failure == nil && mark.isDue(at: sequence) }

  /// Notes beside the log how far it is synced, without a sync of its own; see SyncedMark. On a full disk it does not, which
  /// is no harm to the log: less is known.
  package func markSynced() throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    try stopping { () throws(StorageError) in
      do throws(StorageError) { try mark.note(sequence, link: link) } catch {
        guard case .outOfSpace = error else { throw error }
      }
    }
  }

  /// A step of making the next segment, for idle moments: writes and syncs about `maximumBytes`. True when it is there.
  /// A full disk is no harm yet: it is thrown, and the log goes on in the space that it has.
  package func prepareNextSegment(maximumBytes: Int = 1 << 20, inHaste: Bool = false) throws(StorageError) -> Bool {
    if let failure { throw .stopped("\(failure)") }
    do throws(StorageError) { return try next.step(maximumBytes: maximumBytes, inHaste: inHaste) } catch {
      if case .outOfSpace = error { next.abandon() } else { failure = error }
      throw error
    }
  }

  /// Whether the oldest segment holds nothing that is behind the base of its group.
  package var hasSurplus: Bool {
    beginnings.count > 1 && failure == nil && isNothingNeeded(before: beginnings[1])
  }

  private func isNothingNeeded(before segment: SegmentBeginning) -> Bool {
    // Without a base the log begins with its first segment, whatever is in it.
    book.ledgers.contains { $0.tail.base != nil }
      && segment.last.allSatisfy { group, index in book[group].map { index <= $0.base.id.index } ?? true }
  }

  /// Where this segment is larger than segments are made now, and nothing in it is needed, the next one begins: this one
  /// can be dropped then.
  package func leaveLargeSegment() throws(StorageError) {
    if let failure { throw .stopped("\(failure)") }
    let coming = SegmentBeginning(next.number, book.states)
    guard extent > options.segmentBytes, isNothingNeeded(before: coming) else { return }
    try stopping { () throws(StorageError) in try rotate(for: 0) }
    isSealed = false
  }

  /// Gives up the oldest segment, of which nothing is needed: it becomes the next one, if that has not been begun, or is
  /// gone. One at a time, from the oldest on, each for good before the next: a crash leaves a log without a gap.
  package func dropOldestSegment() throws(StorageError) {
    guard hasSurplus else { return }
    let oldest = beginnings[0].segment
    try stopping { () throws(StorageError) in
      reader.forget(oldest)
      if try !next.recycle(oldest) {
        try onDisk { () throws(DiskError) in
          try files.disk.remove(files.path(oldest))
          try files.disk.syncDirectory(files.directory)
        }
      }
    }
    beginnings.removeFirst()
  }

  /// Entries of a group that were stored, in order, from `from` on: at most `maximumBytes` of them, but one at least.
  /// Of several entries that the log has had at an index it is the one with the term that `termAt` says. Refused for
  /// what lies before the log's base.
  package func read(
    group: GroupID, from: LogIndex, through: LogIndex, maximumBytes: Int, termAt: (LogIndex) -> Term?
  ) throws(StorageError) -> [EntryBlock] {
    if let failure { throw .stopped("\(failure)") }
    guard let ledger = book[group], from <= min(through, ledger.tail.last.index), let wanted = termAt(from) else {
      return []
    }
    guard from > ledger.base.id.index else {
      throw .refused(
        path: files.directory,
        reason: "entry \(from) is gone: the log of group \(group) begins behind entry \(ledger.base.id.index)")
    }
    let blocks = try reader.read(
      ledger, from: from, through: min(through, ledger.tail.last.index), maximumBytes: maximumBytes, until: position,
      termAt: termAt)
    guard !blocks.isEmpty else {
      throw .refused(path: files.directory, reason: "entry \(from) of term \(wanted) is not in the log")
    }
    return blocks
  }

  /// The term of an entry of the log, or of its base, which is zero at index zero; nil before it and beyond the last.
  package func term(of group: GroupID, at index: LogIndex) -> Term? {
    guard let ledger = book[group] else { return index == .zero ? .zero : nil }
    let base = ledger.base.id
    return index > base.index ? ledger.term(at: index) : index == base.index ? base.term : nil
  }

  /// Throws why the log does not go on from this snapshot, if it does not.
  package func admit(_ snapshot: SnapshotFile) throws(StorageError) {
    try SnapshotLog(ledger: book[snapshot.header.group], reader: reader, limit: position).admit(snapshot)
  }

  /// Whether the log goes on behind this entry: it is in the log, or is its base, with the same history before it.
  func goesOn(behind entry: LogBase, of group: GroupID) throws(StorageError) -> Bool {
    try SnapshotLog(ledger: book[group], reader: reader, limit: position).goesOn(behind: entry)
  }

  /// Seals, syncs, notes in the identity how far the log reaches, and closes. The lock on the directory is not the log's.
  package func close() throws(StorageError) {
    defer {
      file.close()
      next.close()
      mark.close()
      failure = failure ?? .stopped("it was closed")
    }
    guard failure == nil else { return }
    try seal()
    try stopping { () throws(StorageError) in
      try onDisk { () throws(DiskError) in try file.sync() }
      let stop = DiskIdentity.CleanStop(
        segment: position.segment, offset: position.offset, sequence: sequence, link: link)
      do throws(StorageError) { try directory.recordCleanStop(stop) } catch {
        // Less is known then, of a log that is whole.
        guard case .outOfSpace = error else { throw error }
      }
    }
  }

  private func stopping(_ body: () throws(StorageError) -> Void) throws(StorageError) {
    do throws(StorageError) { try body() } catch {
      if case .invalidWrite = error { throw error }
      failure = error
      throw error
    }
  }

  /// Refuses what recovery would refuse. Several writes may belong to one group; each follows the one before.
  private func check(_ writes: [LogWrite], _ headers: [LogBatchHeader]) throws(StorageError) {
    // Of the groups that have a further write in this batch, or are new.
    var staged: [(group: GroupID, tail: GroupTail)] = []
    for number in writes.indices {
      let group = writes[number].group
      let known = staged.lastIndex { $0.group == group }
      let (place, isThere) = book.place(of: group)
      let tail =
        known.map { staged[$0].tail }
        ?? (isThere ? book.ledgers[place].tail : GroupTail(lastChain: book.origin(of: group)))
      var entries: (first: Term, last: Term, count: Int)?
      var previous: (term: Term?, chain: UInt64?) = (nil, nil)
      let last = writes[number].blocks.last?.lastID
      if let block = writes[number].blocks.first, let first = block.terms.first, let last {
        entries = (first, last.term, writes[number].count)
        if block.first.previous == tail.last.index {
          previous = (tail.last.term, tail.lastChain)
        } else if known == nil, isThere {
          previous = book.ledgers[place].previous(to: block.first)
        }
      }
      if let problem = tail.problem(
        with: headers[number], entries: entries, previousTerm: previous.term, previousChain: previous.chain)
      {
        throw .invalidWrite("group \(group): \(problem)")
      }
      if let base = writes[number].base, let problem = try problem(with: base, of: group, isFirst: known == nil) {
        throw .invalidWrite("group \(group): \(problem)")
      }
      guard writes.count > 1 || !isThere else { return }
      var after = tail
      if let base = writes[number].base {
        after.take(base, isInLog: isThere && book.ledgers[place].holds(base.id))
      }
      after.take(headers[number], last: last, chain: writes[number].blocks.last?.lastChain ?? 0)
      if let known { staged[known].tail = after } else { staged.append((group, after)) }
    }
    let added = staged.count { !book.place(of: $0.group).isThere }
    guard book.ledgers.count + added <= LedgerBook.maximumGroups else {
      throw .invalidWrite("more than \(LedgerBook.maximumGroups) groups")
    }
  }

  /// A start would hold the log against its base, so it is done here, too. Bases are rare enough to read for them.
  private func problem(with base: LogBase, of group: GroupID, isFirst: Bool) throws(StorageError) -> String? {
    guard isFirst else { return "a new beginning of the log behind other writes of the same batch" }
    guard let ledger = book[group], ledger.holds(base.id), base != ledger.tail.base else { return nil }
    let chain = try reader.chain(of: base, in: ledger, until: position)
    return chain == base.chain ? nil : "what follows \(base.id) does not follow the new beginning of the log"
  }

  /// Builds the record and makes it durable. Returns where it stands.
  private func write(_ writes: [LogWrite], _ headers: [LogBatchHeader]) throws(StorageError) -> LogPosition {
    var sizes: [(header: Int, entries: Int)] = []
    sizes.reserveCapacity(writes.count)
    var length = 0
    for number in writes.indices {
      let size = (header: headers[number].packedSize, entries: writes[number].byteCount)
      sizes.append(size)
      length += Varint.size(UInt64(size.header + size.entries)) + size.header + size.entries
    }
    guard length <= RecordHeader.maximumBody else { throw .invalidWrite("a batch of \(length) bytes") }
    let whole = RecordHeader.size + RecordHeader.padded(length)
    longestRecord = max(longestRecord, whole)
    // The last place of a segment belongs to its end record.
    if position.offset + whole + RecordHeader.size > extent {
      try rotate(for: whole)
      longestRecord = whole
    }
    buffer.reserve(whole)
    var target = buffer.base + RecordHeader.size
    for place in writes.indices {
      target += Varint.write(UInt64(sizes[place].header + sizes[place].entries), to: target)
      target += headers[place].write(to: target)
      for block in writes[place].blocks {
        block.bytes.withUnsafeBytes { bytes in
          if let base = bytes.baseAddress { target.copyMemory(from: base, byteCount: bytes.count) }
        }
        target += block.bytes.count
      }
    }
    var header = RecordHeader(
      kind: .batch, sequence: sequence &+ 1, offset: position.offset, bodyLength: length, link: link)
    let checksum = buffer.finish(&header, salt: salt)
    try onDisk { () throws(DiskError) in
      try buffer.write(whole, to: file, at: position.offset, extent: extent)
      try file.sync()
    }
    buffer.advance(by: whole)
    defer { position.offset += whole }
    (sequence, link, isSealed) = (header.sequence, checksum, false)
    return position
  }

  /// Ends this segment and begins the next. The new header is durable before the old segment ends, and the end is
  /// durable before the new segment gets a batch: so an ended segment always has a sound one behind it.
  private func rotate(for whole: Int) throws(StorageError) {
    let ending = RecordHeader(kind: .end, sequence: sequence &+ 1, offset: position.offset, link: link)
    let number = next.number
    let newSalt = files.salt(number)
    var (header, body) = files.header(
      segment: number, sequence: sequence &+ 2, link: ending.checksum(salt: salt), extent: 0, groups: book.states)
    let begin = RecordHeader.size + RecordHeader.padded(body.count)
    let (newFile, size) = try next.take(atLeast: begin + whole + RecordHeader.size)
    header.extent = size
    var first = RecordBuffer()
    let checksum = first.fill(&header, body: body, salt: newSalt)
    try onDisk { () throws(DiskError) in
      try first.write(header.length, to: newFile, at: 0, extent: size)
      try newFile.sync()
      ending.write(to: buffer.base, salt: salt)
      try buffer.write(RecordHeader.size, to: file, at: position.offset, extent: extent)
      try file.sync()
    }
    file.close()
    first.advance(by: header.length)
    buffer = first
    file = newFile
    beginnings.append(SegmentBeginning(number, book.states))
    position = LogPosition(segment: number, offset: header.length)
    (extent, salt, sequence, link) = (size, newSalt, header.sequence, checksum)
    next = SegmentMaker(files: files, number: number + 1, size: options.segmentBytes)
  }
}
