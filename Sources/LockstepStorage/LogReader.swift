internal import LockstepConsensus
internal import LockstepWire

/// Reads entries back from the segments, for a follower that is far behind and for a machine that starts.
final class LogReader {
  /// A block that is handed out holds at most this, unless a single entry is larger.
  private static let blockBytes = 1 << 20
  private let files: LogFiles
  /// The segment that was read last: a follower catches up from one and the same for a while.
  private var latest: (number: UInt64, reader: SegmentReader)?

  init(files: LogFiles) { self.files = files }

  /// The entries from `from` on whose term is what `termAt` says: one with another term was replaced. Stops before
  /// `limit`, after `through`, at `maximumBytes` (but not before the first entry), or where `termAt` knows no more.
  func read(
    _ ledger: GroupLedger, from: LogIndex, through: LogIndex, maximumBytes: Int, until limit: LogPosition,
    termAt: (LogIndex) -> Term?
  ) throws(StorageError) -> [EntryBlock] {
    guard from > .zero, from <= through, let point = ledger.point(before: from) else { return [] }
    var collector = Collector(
      from: from, through: through, maximumBytes: maximumBytes, blockBytes: Self.blockBytes, firstTerm: termAt(from),
      previousTerm: termAt(from.previous) ?? .zero)
    try forEachPart(from: point.position, until: limit) { part, place throws(StorageError) in
      guard part.header.group == ledger.group, !part.region.isEmpty, part.header.first <= collector.next else {
        return !collector.isDone
      }
      do throws(WireError) { try collector.take(part, termAt: termAt) } catch {
        throw .damaged(file: place.path, offset: place.offset, reason: "\(error)")
      }
      return !collector.isDone
    }
    do throws(WireError) { return try collector.finish() } catch {
      throw .damaged(file: files.path(point.position.segment), offset: point.position.offset, reason: "\(error)")
    }
  }

  /// The chain hash of the base's entry, as what follows it has it; nil when nothing does.
  func chain(of base: LogBase, in ledger: GroupLedger, until limit: LogPosition) throws(StorageError) -> UInt64? {
    let next = base.id.index.next
    if base.id.index == ledger.tail.last.index { return ledger.tail.lastChain }
    if next == ledger.start { return ledger.before.chain }
    return try read(
      ledger, from: next, through: next, maximumBytes: 0, until: limit, termAt: ledger.term(at:)
    ).first?.previousChain
  }

  /// Hands every part of every batch from a record on to `body`, until it says false.
  private func forEachPart(
    from start: LogPosition, until limit: LogPosition,
    _ body: (BatchBody.Part, (path: String, offset: Int)) throws(StorageError) -> Bool
  ) throws(StorageError) {
    var position = start
    var goesOn = true
    while goesOn, position < limit {
      let reader = try reader(position.segment)
      // The file may have grown at its tail since the window was read.
      reader.window.forget()
      walk: while goesOn, position < limit {
        guard case .record(let header, let bytes) = try reader.record(at: position.offset) else {
          throw reader.damaged(at: position.offset, "this record was whole when the log was opened or written")
        }
        let place = (path: reader.path, offset: position.offset)
        switch header.kind {
        case .segment: break
        case .batch:
          try BatchBody.forEach(in: bytes, at: place) { part throws(StorageError) in
            goesOn = try body(part, place)
            return goesOn
          }
        case .end: break walk
        case .seal, .identity, .acknowledgements, .snapshot, .chunk, .snapshotEnd, .synced:
          throw reader.damaged(at: position.offset, "no record of a log")
        }
        position.offset += header.length
      }
      position = LogPosition(segment: position.segment + 1, offset: 0)
    }
  }

  /// This segment is about to be another one.
  func forget(_ number: UInt64) { if latest?.number == number { latest = nil } }

  private func reader(_ number: UInt64) throws(StorageError) -> SegmentReader {
    if let latest, latest.number == number { return latest.reader }
    let reader = try files.reader(number, step: 256 << 10)
    latest = (number, reader)
    return reader
  }
}

/// Puts the entries that count together to blocks.
private struct Collector {
  private(set) var next: LogIndex
  private(set) var isDone = false
  private let through: LogIndex
  private let maximumBytes: Int
  private let blockBytes: Int
  private var wantedTerm: Term?
  private var previousTerm: Term
  private var total = 0
  private var blocks: [EntryBlock] = []
  private var bytes: [UInt8] = []
  private var first: LogIndex
  private var chainBefore: UInt64 = 0

  init(
    from: LogIndex, through: LogIndex, maximumBytes: Int, blockBytes: Int, firstTerm: Term?, previousTerm: Term
  ) {
    next = from
    first = from
    self.through = through
    self.maximumBytes = maximumBytes
    self.blockBytes = blockBytes
    wantedTerm = firstTerm
    self.previousTerm = previousTerm
    isDone = firstTerm == nil
  }

  mutating func take(_ part: BatchBody.Part, termAt: (LogIndex) -> Term?) throws(WireError) {
    var cursor = WireCursor(part.region)
    var chain = part.header.previousChain
    while !cursor.isAtEnd, !isDone {
      let start = cursor.position
      guard try cursor.varint() == UInt64(EntryBlock.tag) else { throw WireError("no entry", at: start) }
      let entry = try EntryHeader(parsing: UnsafeRawBufferPointer(rebasing: part.region[try cursor.delimited()]))
      if entry.id.index == next, entry.id.term == wantedTerm {
        let size = cursor.position - start
        guard total == 0 || total + size <= maximumBytes else {
          isDone = true
          return
        }
        if !bytes.isEmpty, bytes.count + size > blockBytes { try cut() }
        if bytes.isEmpty { (first, chainBefore) = (next, chain) }
        bytes.append(contentsOf: part.region[start..<cursor.position])
        total += size
        next = next.next
        wantedTerm = next <= through ? termAt(next) : nil
        isDone = wantedTerm == nil
      }
      chain = entry.chain
    }
  }

  mutating func finish() throws(WireError) -> [EntryBlock] {
    if !bytes.isEmpty { try cut() }
    return blocks
  }

  /// Slicing looks at every entry once more: what is sent to a follower is what was stored.
  private mutating func cut() throws(WireError) {
    let (first, previousTerm, chainBefore) = (first, previousTerm, chainBefore)
    var failure: WireError?
    let block: EntryBlock? = bytes.withUnsafeBytes { region in
      do throws(WireError) {
        return try EntryBlock(slicing: region, first: first, previousTerm: previousTerm, previousChain: chainBefore)
      } catch {
        failure = error
        return nil
      }
    }
    if let failure { throw failure }
    guard let block else { return }
    self.previousTerm = block.terms.last ?? previousTerm
    blocks.append(block)
    bytes.removeAll(keepingCapacity: true)
  }
}
