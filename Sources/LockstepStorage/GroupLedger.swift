internal import LockstepConsensus
internal import LockstepWire

/// Where one group's log stands, and what the next write to it must fulfil.
struct GroupTail: Equatable {
  var hardState = HardState()
  var last = EntryID.zero
  var lastChain: UInt64

  /// What is wrong with a write, or nil. `previousTerm` and `previousChain` are those of the entry before its first,
  /// nil where the caller does not know them.
  ///
  /// An entry's term is at most the term that is stored with it or was stored before: a crash between the two cannot
  /// leave a node with an entry of a term in which it would still vote (the order term → entry).
  func problem(
    with header: LogBatchHeader, entries: (first: Term, last: Term, count: Int)?, previousTerm: Term?,
    previousChain: UInt64?
  ) -> String? {
    let next = header.hardState
    if next.term < hardState.term { return "term \(next.term) after term \(hardState.term)" }
    if next.term == hardState.term, let vote = hardState.vote, next.vote != vote {
      return "in term \(next.term) the vote for \(vote) would change"
    }
    guard let entries else { return nil }
    if header.first == .zero { return "entries from index 0" }
    if header.first > last.index.next { return "entry \(header.first) after \(last.index): a gap" }
    if header.first.rawValue >= UInt64.max - UInt64(entries.count) { return "indexes beyond the end of all numbers" }
    if entries.last > next.term { return "an entry of term \(entries.last) in term \(next.term)" }
    if let previousTerm, entries.first < previousTerm {
      return "entry \(header.first) of term \(entries.first) after one of term \(previousTerm)"
    }
    if let previousChain, previousChain != header.previousChain {
      return "entry \(header.first) does not follow the entry before it: the hash chain breaks"
    }
    return nil
  }

  mutating func take(_ header: LogBatchHeader, last newLast: EntryID?, chain: UInt64) {
    hardState = header.hardState
    guard let newLast else { return }
    last = newLast
    lastChain = chain
  }
}

/// What is kept in memory of one group's log: where it stands, its terms, and where to look for an entry.
struct GroupLedger {
  /// The record at `position` holds an entry of this index, the first of its write.
  struct Point {
    let index: LogIndex
    let position: LogPosition
  }

  let group: GroupID
  private(set) var tail: GroupTail
  private(set) var runs: [Log.TermRun] = []
  private(set) var points: [Point] = []

  init(group: GroupID, origin: UInt64) {
    self.group = group
    tail = GroupTail(lastChain: origin)
  }

  var state: GroupState {
    GroupState(group: group, hardState: tail.hardState, last: tail.last, lastChain: tail.lastChain)
  }

  func term(at index: LogIndex) -> Term? {
    if index == .zero { return .zero }
    guard index <= tail.last.index, let run = Self.place(of: index, in: runs, by: { $0.first }) else { return nil }
    return runs[run].term
  }

  /// The last point at or before `index`.
  func point(before index: LogIndex) -> Point? {
    Self.place(of: index, in: points, by: { $0.index }).map { points[$0] }
  }

  /// The term of the entry before `first`, and its chain hash if that is the last.
  func previous(to first: LogIndex) -> (term: Term?, chain: UInt64?) {
    if first.previous == tail.last.index { return (tail.last.term, tail.lastChain) }
    return (term(at: first.previous), nil)
  }

  /// Takes a write that has passed `GroupTail.problem` and stands in the record at `position`.
  mutating func take(_ header: LogBatchHeader, _ blocks: [EntryBlock], at position: LogPosition, spacing: Int) {
    tail.take(header, last: blocks.last?.lastID, chain: blocks.last?.lastChain ?? 0)
    guard let first = blocks.first?.first else { return }
    while let run = runs.last, run.first >= first { runs.removeLast() }
    while let point = points.last, point.index >= first { points.removeLast() }
    var previous = runs.last?.term
    for block in blocks {
      // Terms do not go back: where the last is known, all before it are.
      if let last = block.terms.last, last == previous { continue }
      for (place, term) in block.terms.enumerated() where term != previous {
        runs.append(Log.TermRun(first: block.first.advanced(by: place), term: term))
        previous = term
      }
    }
    // One point for a stretch of log, and not for a batch: a log of many small batches must not fill the memory.
    if let point = points.last, point.position.segment == position.segment,
      position.offset - point.position.offset < spacing
    {
      return
    }
    points.append(Point(index: first, position: position))
  }

  /// The last element that begins at or before `index`.
  private static func place<Element>(
    of index: LogIndex, in list: [Element], by first: (Element) -> LogIndex
  ) -> Int? {
    if let final = list.last, first(final) <= index { return list.count - 1 }
    var (low, high) = (0, list.count)
    while low < high {
      let middle = (low + high) / 2
      if first(list[middle]) <= index { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }
}

/// The ledgers of all groups of a log, sorted by group.
struct LedgerBook {
  /// A segment's header lists every group: this bounds it.
  static let maximumGroups = 4096
  private(set) var ledgers: [GroupLedger] = []
  private let cluster: [UInt8]

  init(cluster: [UInt8]) { self.cluster = cluster }

  var states: [GroupState] { ledgers.map(\.state) }

  /// Where the group's ledger is, or where it belongs.
  func place(of group: GroupID) -> (index: Int, isThere: Bool) {
    var (low, high) = (0, ledgers.count)
    while low < high {
      let middle = (low + high) / 2
      if ledgers[middle].group < group { low = middle + 1 } else { high = middle }
    }
    return (low, low < ledgers.count && ledgers[low].group == group)
  }

  subscript(group: GroupID) -> GroupLedger? {
    let (index, isThere) = place(of: group)
    return isThere ? ledgers[index] : nil
  }

  func origin(of group: GroupID) -> UInt64 { Checksum.chainOrigin(cluster: cluster, group: group.rawValue) }

  mutating func take(_ header: LogBatchHeader, _ blocks: [EntryBlock], at position: LogPosition, spacing: Int) {
    let (index, isThere) = place(of: header.group)
    if !isThere {
      ledgers.insert(GroupLedger(group: header.group, origin: origin(of: header.group)), at: index)
    }
    ledgers[index].take(header, blocks, at: position, spacing: spacing)
  }
}
