internal import LockstepConsensus
internal import LockstepWire

/// Where one group's log stands, and what the next write to it must fulfil.
struct GroupTail: Equatable {
  var hardState = HardState()
  var last = EntryID.zero
  var lastChain: UInt64
  /// Nil: the log begins with entry 1.
  var base: LogBase?

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
    if let base = header.base, let problem = problem(with: base, in: next) { return problem }
    guard let entries else { return nil }
    if header.base != nil { return "entries beside a new beginning of the log" }
    if let base, header.first <= base.id.index { return "entry \(header.first), and the log begins behind \(base.id)" }
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

  /// Only what is committed may leave the log, and it never comes back.
  private func problem(with new: LogBase, in state: HardState) -> String? {
    if new.id.index > state.commit {
      return "a log that begins behind \(new.id), beyond the commit index \(state.commit)"
    }
    if new.id.term > state.term { return "a log that begins behind \(new.id), in term \(state.term)" }
    if let base, new != base, new.id.index <= base.id.index || new.id.term < base.id.term {
      return "a log that begins behind \(new.id), after one that began behind \(base.id)"
    }
    return nil
  }

  /// `isInLog`: what follows the new base stays; otherwise the log held another history, or none so far, and all of it
  /// goes (Raft figure 13, steps 6 and 7).
  mutating func take(_ base: LogBase, isInLog: Bool) {
    self.base = base
    if !isInLog { (last, lastChain) = (base.id, base.chain) }
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
  /// The first entry that the files hold, if they hold any: at most the one behind the base once all is read.
  private(set) var start: LogIndex
  /// Of the entry before `start`; the term is not known when entries were replaced that stood in a segment now gone.
  private(set) var before: (term: Term?, chain: UInt64)
  private let origin: UInt64

  init(group: GroupID, origin: UInt64) {
    self.group = group
    self.origin = origin
    tail = GroupTail(lastChain: origin)
    (start, before) = (LogIndex(1), (.zero, origin))
  }

  /// As the header of the first segment that is there has it.
  init(_ state: GroupState, origin: UInt64) {
    group = state.group
    self.origin = origin
    tail = GroupTail(hardState: state.hardState, last: state.last, lastChain: state.lastChain, base: state.base)
    (start, before) = (state.last.index.next, (state.last.term, state.lastChain))
  }

  var state: GroupState {
    GroupState(
      group: group, hardState: tail.hardState, last: tail.last, lastChain: tail.lastChain, base: tail.base)
  }

  var base: LogBase { tail.base ?? LogBase(id: .zero, chain: origin, members: []) }

  /// The terms of the entries behind the base.
  var termsBehindBase: [Log.TermRun] {
    let first = base.id.index.next
    let later = runs.filter { $0.first > first }
    guard first <= tail.last.index, let term = term(at: first) else { return later }
    return [Log.TermRun(first: first, term: term)] + later
  }

  func term(at index: LogIndex) -> Term? {
    if index < start { return index == start.previous ? before.term : nil }
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
    if first < start { return (nil, nil) }
    if first == start { return before }
    if let base = tail.base, first.previous == base.id.index { return (base.id.term, base.chain) }
    return (term(at: first.previous), nil)
  }

  /// Whether the log holds this entry, so that what follows it follows a base there, too. What is not known any more
  /// was not another's: only what is committed becomes a base.
  func holds(_ id: EntryID) -> Bool {
    id.index <= tail.last.index && (term(at: id.index) ?? id.term) == id.term
  }

  private mutating func take(_ base: LogBase) {
    let isInLog = holds(base.id)
    tail.take(base, isInLog: isInLog)
    if isInLog {
      // The rest is found from the last of each that begins at or before the first entry of the log.
      let first = base.id.index.next
      runs.removeFirst(Self.place(of: first, in: runs, by: { $0.first }) ?? 0)
      points.removeFirst(Self.place(of: first, in: points, by: { $0.index }) ?? 0)
    } else {
      (runs, points) = ([], [])
      (start, before) = (base.id.index.next, (base.id.term, base.chain))
    }
  }

  /// Takes a write that has passed `GroupTail.problem` and stands in the record at `position`.
  mutating func take(_ header: LogBatchHeader, _ blocks: [EntryBlock], at position: LogPosition, spacing: Int) {
    if let base = header.base { take(base) }
    tail.take(header, last: blocks.last?.lastID, chain: blocks.last?.lastChain ?? 0)
    guard let first = blocks.first?.first else { return }
    if first < start { (start, before) = (first, (nil, header.previousChain)) }
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

  /// The groups as the first segment that is there begins with them.
  mutating func begin(with states: [GroupState]) {
    ledgers = states.map { GroupLedger($0, origin: origin(of: $0.group)) }
  }

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
