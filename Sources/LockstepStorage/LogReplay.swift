package import LockstepConsensus
internal import LockstepWire

/// What recovery found, for the log of the program and for `lockstep log verify`.
package struct RecoveryReport: Sendable, Equatable {
  package var segments = 0
  package var records = 0
  /// Entries read, those that were replaced later among them.
  package var entries = 0
  /// Bytes of a batch that was never acknowledged.
  package var droppedBytes = 0
  /// For people: what was dropped, cleared or put right, file by file.
  package var notices: [String] = []

  package init() {}
}

/// A configuration entry that has not been replaced.
package struct RecoveredConfiguration: Sendable, Equatable {
  package let id: EntryID
  package let payload: [UInt8]
}

/// What each group's log had when a segment began.
struct SegmentBeginning {
  let segment: UInt64
  let last: [(group: GroupID, index: LogIndex)]

  init(_ segment: UInt64, _ groups: [GroupState]) {
    self.segment = segment
    last = groups.map { ($0.group, $0.last.index) }
  }
}

/// One batch record as it was read.
struct ReplayedPart {
  let header: LogBatchHeader
  let block: EntryBlock?
  /// Where in the file the entries begin.
  let offset: Int
}

/// Reads the whole log in order and believes nothing: every checksum, every sequence number, every link, that each
/// segment begins where the one before ended, the hash chain of every group, and the order of terms. Writes nothing.
///
/// A log may begin in the middle: the oldest segments are gone because each group has a base, recorded in a batch and
/// repeated in the header of every later segment, at or behind the last entry that was in them. The header of the first
/// segment that is there is believed for what came before it; what is behind the bases is checked as ever.
final class LogReplay {
  let files: LogFiles
  private let spacing: Int
  private let reader: LogReader
  private(set) var book: LedgerBook
  private(set) var beginnings: [SegmentBeginning] = []
  private(set) var configurations: [(group: GroupID, found: RecoveredConfiguration)] = []
  var report = RecoveryReport()
  /// Of the record read last.
  private(set) var sequence: UInt64 = 0
  private(set) var link: UInt64 = 0
  /// What another file says of how far the log was synced.
  private(set) var mark: SyncedMark
  /// No segment was read yet.
  private var isFirstThere = true

  init(files: LogFiles, spacing: Int) throws(StorageError) {
    self.files = files
    mark = try SyncedMark(files: files)
    self.spacing = spacing
    reader = LogReader(files: files)
    book = LedgerBook(cluster: files.identity.cluster)
  }

  /// `visit` sees each record when it has been checked.
  func run(
    visit: (SegmentReader, RecordHeader, [ReplayedPart]) throws(StorageError) -> Void = { (_, _, _) in }
  ) throws(StorageError) -> LogEnd {
    let numbers = try files.segments()
    var previousEnd: LogPosition?
    isFirstThere = true
    for number in numbers {
      let reader = try files.reader(number)
      report.segments += 1
      let begin = try begin(reader, number)
      try visit(reader, begin, [])
      var last = begin
      while true {
        let position = LogPosition(segment: number, offset: last.offset + last.length)
        guard position.offset + RecordHeader.size <= reader.window.size else {
          throw reader.damaged(at: last.offset, "a record that leaves no room for the end of the segment")
        }
        guard case .record(let header, let body) = try reader.record(at: position.offset),
          header.kind == .batch || header.kind == .end
        else {
          let tail = TailFinder(files: files, replay: self, reader: reader, position: position)
          let end = try tail.find(last: last, previousEnd: previousEnd, segments: numbers)
          try checkBeginning(numbers[0], until: position)
          return end
        }
        try follow(header, reader)
        let parts = header.kind == .batch ? try batch(body, header, reader, position) : []
        try visit(reader, header, parts)
        last = header
        if header.kind == .end {
          previousEnd = position
          break
        }
      }
    }
    let missing = (numbers.last ?? 0) + 1
    throw .lost(
      path: files.path(missing),
      reason: numbers.isEmpty
        ? "the log is missing, and the identity says that there was one"
        : "this segment of the log is missing: the one before it ends and says that it was there")
  }

  private func follow(_ header: RecordHeader, _ reader: SegmentReader) throws(StorageError) {
    guard header.sequence == sequence &+ 1 else {
      throw reader.damaged(
        at: header.offset, "record \(header.sequence) stands where record \(sequence &+ 1) belongs")
    }
    guard header.link == link else {
      throw reader.damaged(at: header.offset, "record \(header.sequence) does not follow the one before it")
    }
    sequence = header.sequence
    link = header.checksum(salt: reader.salt)
    if let stop = files.identity.cleanStop, stop.sequence == sequence, stop.link != link {
      throw reader.damaged(
        at: header.offset, "record \(sequence) is not the one with which the log ended when its node last stopped")
    }
    if let last = mark.last, last.sequence == sequence, last.link != link {
      throw reader.damaged(
        at: header.offset,
        """
        record \(sequence) is not the one that was synced here, as \(SyncedMark.name) has noted: the log is that of another \
        time; start the node with its latest directory, or, if that is gone, on an empty one with --replace-disk
        """)
    }
    report.records += 1
  }

  /// Checks the header of a segment. It was durable before the segment was used, so nothing excuses a broken one.
  private func begin(_ reader: SegmentReader, _ number: UInt64) throws(StorageError) -> RecordHeader {
    guard case .record(let header, let body) = try reader.record(at: 0), header.kind == .segment else {
      throw reader.damaged(
        at: 0,
        """
        no header of segment \(number) of this disk (\(reader.window.size) bytes): damaged, another file, or one before it \
        is missing
        """)
    }
    guard header.extent == reader.window.size else {
      throw reader.damaged(
        at: min(header.extent, reader.window.size),
        "the file has \(reader.window.size) bytes, it was made with \(header.extent)")
    }
    let content: SegmentHeader
    do throws(WireError) { content = try SegmentHeader(decoding: body) } catch {
      throw reader.damaged(at: 0, "\(error)")
    }
    if isFirstThere, number > 1 {
      for group in content.groups {
        guard let base = group.base, base.id.index > group.last.index || base.id.term > group.last.term else {
          continue
        }
        throw reader.damaged(
          at: 0, "group \(group.group): a log that begins behind \(base.id) and ends with \(group.last)")
      }
      (sequence, link) = (header.sequence &- 1, header.link)
      book.begin(with: content.groups)
    }
    isFirstThere = false
    let groups = book.states
    beginnings.append(SegmentBeginning(number, groups))
    try follow(header, reader)
    guard
      zip(groups, groups.dropFirst()).allSatisfy({ $0.group < $1.group }), groups.count <= LedgerBook.maximumGroups,
      content
        == SegmentHeader(
          cluster: files.identity.cluster, node: files.identity.node, disk: files.identity.disk, segment: number,
          sequence: sequence &+ 1, groups: groups)
    else {
      throw reader.damaged(at: 0, "the segment's header contradicts the log before it")
    }
    return header
  }

  private func batch(
    _ body: UnsafeRawBufferPointer, _ header: RecordHeader, _ segment: SegmentReader, _ position: LogPosition
  ) throws(StorageError) -> [ReplayedPart] {
    var parts: [ReplayedPart] = []
    try BatchBody.forEach(in: body, at: (segment.path, position.offset)) { part throws(StorageError) in
      do throws(WireError) {
        let offset = position.offset + RecordHeader.size + part.offset
        parts.append(ReplayedPart(header: part.header, block: try take(part, at: position), offset: offset))
      } catch { throw segment.damaged(at: position.offset, "\(error)") }
      return true
    }
    return parts
  }

  private func take(_ part: BatchBody.Part, at position: LogPosition) throws(WireError) -> EntryBlock? {
    let header = part.header
    let (place, isThere) = book.place(of: header.group)
    guard isThere || book.ledgers.count < LedgerBook.maximumGroups else { throw WireError("too many groups") }
    let ledger =
      isThere ? book.ledgers[place] : GroupLedger(group: header.group, origin: book.origin(of: header.group))
    var block: EntryBlock?
    var previous: (term: Term?, chain: UInt64?) = (nil, nil)
    if !part.region.isEmpty {
      previous = ledger.previous(to: header.first)
      if previous.chain == nil, header.first >= ledger.start {
        previous.chain = try chain(before: header.first, in: ledger, at: position)
      }
      block = try EntryBlock(
        slicing: part.region, first: header.first, previousTerm: previous.term ?? .zero,
        previousChain: header.previousChain)
    }
    let entries = block.flatMap { block in
      block.terms.first.flatMap { first in block.terms.last.map { (first: first, last: $0, count: block.count) } }
    }
    if let problem = ledger.tail.problem(
      with: header, entries: entries, previousTerm: previous.term, previousChain: previous.chain)
    {
      throw WireError("group \(header.group): \(problem)")
    }
    book.take(header, block.map { [$0] } ?? [], at: position, spacing: spacing)
    if let block { try noteConfigurations(in: block, of: header.group) }
    if let base = header.base, let last = book[header.group]?.tail.last {
      configurations.removeAll { item in
        item.group == header.group && (item.found.id.index <= base.id.index || item.found.id.index > last.index)
      }
    }
    return block
  }

  /// The log holds all that is behind the bases, and it follows them.
  private func checkBeginning(_ first: UInt64, until limit: LogPosition) throws(StorageError) {
    if first > 1, book.ledgers.allSatisfy({ $0.tail.base == nil }) {
      throw .lost(
        path: files.path(first - 1),
        reason: "this segment of the log is missing: no base says that the log begins with \(LogFiles.name(first))")
    }
    for ledger in book.ledgers {
      let base = ledger.base
      guard ledger.start <= base.id.index.next else {
        throw .lost(
          path: files.path(first - 1),
          reason: """
            this segment of the log is missing: the log of group \(ledger.group) begins behind entry \
            \(base.id.index), and \(LogFiles.name(first)) goes on behind entry \(ledger.start.previous)
            """)
      }
      guard let problem = try self.problem(with: base, of: ledger, until: limit) else { continue }
      let place = ledger.point(before: base.id.index.next)?.position ?? LogPosition(segment: first, offset: 0)
      throw .damaged(
        file: files.path(place.segment), offset: place.offset,
        reason: "group \(ledger.group): the log, which begins behind \(base.id), \(problem)")
    }
  }

  private func problem(
    with base: LogBase, of ledger: GroupLedger, until limit: LogPosition
  ) throws(StorageError) -> String? {
    if let term = ledger.term(at: base.id.index), term != base.id.term { return "has term \(term) there" }
    let chain = try reader.chain(of: base, in: ledger, until: limit)
    return chain == base.chain ? nil : "does not follow that entry: the hash chain breaks"
  }

  /// The chain hash of an entry that is not the last: entries behind it are being replaced, which is rare enough to
  /// read it again.
  private func chain(
    before first: LogIndex, in ledger: GroupLedger, at limit: LogPosition
  ) throws(WireError) -> UInt64? {
    let index = first.previous
    do throws(StorageError) {
      let blocks = try reader.read(
        ledger, from: index, through: index, maximumBytes: 0, until: limit, termAt: ledger.term(at:))
      return blocks.first?.lastChain
    } catch { throw WireError("\(error)") }
  }

  private func noteConfigurations(in block: EntryBlock, of group: GroupID) throws(WireError) {
    configurations.removeAll { $0.group == group && $0.found.id.index >= block.first }
    report.entries += block.count
    var found: [RecoveredConfiguration] = []
    try block.forEach(in: block.slice) { header, bytes throws(WireError) in
      guard header.kind == .configuration else { return }
      found.append(RecoveredConfiguration(id: header.id, payload: [UInt8](bytes[header.payload])))
    }
    configurations += found.map { (group, $0) }
  }
}
