/// What the core knows of its log: the term at every index from its base on, and how large recent entries are. The bytes
/// are the driver's. Terms are kept as runs, so that a log of millions of entries in one term costs one pair.
package struct Log: Sendable {
  package struct TermRun: Hashable, Sendable {
    package let first: LogIndex
    package let term: Term
    package init(first: LogIndex, term: Term) {
      self.first = first
      self.term = term
    }
  }

  /// What an index is to this log.
  package enum Lookup: Hashable, Sendable {
    /// Before the base: committed, and its term is not known any more.
    case compacted
    /// The base, or an entry; of this term.
    case term(Term)
    case beyondTheLast
  }

  /// What the first entry follows: it is committed, and all before it, and of them nothing is known but this. Zero: the
  /// log begins at its beginning.
  package private(set) var base: EntryID
  package private(set) var last: LogIndex
  /// All up to here is on this node's disk.
  package private(set) var durable: LogIndex
  /// The terms, each with the first index after the base that has it.
  package private(set) var runs: [TermRun]
  /// For each entry from `floor` on, the bytes of all entries since some beginning: `sizes[i]` belongs to entry
  /// `floor + i - 1`, so that the size of any slice is one subtraction.
  private var sizes: [Int] = [0]
  /// The first entry that is at hand in memory.
  package private(set) var floor: LogIndex
  /// Writes under way, in order, the last entry that each makes durable, and the tick at which each began.
  private var writes: [(id: WriteID, last: LogIndex, since: Int)] = []

  /// An empty log, or one as recovered from the disk: all of it is durable. Without `last` it ends at its base.
  package init(base: EntryID = .zero, runs: [TermRun] = [], last: LogIndex? = nil) {
    self.base = base
    self.runs = runs
    self.last = last ?? base.index
    durable = self.last
    floor = self.last.next
  }

  package var lastID: EntryID { EntryID(term: term(at: last) ?? base.term, index: last) }

  package func lookup(_ index: LogIndex) -> Lookup {
    if index <= base.index { return index == base.index ? .term(base.term) : .compacted }
    guard index <= last, let run = runIndex(at: index) else { return .beyondTheLast }
    return .term(runs[run].term)
  }

  /// The term at this index, for those to whom an index that is compacted and one beyond the last are the same: not at
  /// hand.
  package func term(at index: LogIndex) -> Term? {
    if case .term(let term) = lookup(index) { term } else { nil }
  }

  /// "If two entries in different logs have the same index and term, then they store the same command" (Raft 5.3). Of
  /// one that is compacted it is not known: it is not contained.
  package func contains(_ id: EntryID) -> Bool { lookup(id.index) == .term(id.term) }

  private func runIndex(at index: LogIndex) -> Int? {
    if let final = runs.last, final.first <= index { return runs.count - 1 }
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].first <= index { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }

  /// The last entry at or before `index` whose term is at most `term`: as far as two logs can agree when one has
  /// `term` at `index` (the back-off of Raft section 5.3, "the first index it stores for that term"). The base counts as
  /// an entry; nil: it would be before the base, where nothing is known.
  package func lastEntry(atOrBefore index: LogIndex, withTermAtMost term: Term) -> EntryID? {
    var index = min(index, last)
    while index > base.index, let run = runIndex(at: index) {
      if runs[run].term <= term { return EntryID(term: runs[run].term, index: index) }
      index = runs[run].first.previous
    }
    return index == base.index && base.term <= term ? base : nil
  }

  package mutating func append(term: Term, sizes added: some Sequence<Int>) {
    let first = last.next
    var count = 0
    for size in added {
      sizes.append(sizes[sizes.count - 1] + size)
      count += 1
    }
    guard count > 0 else { return }
    if runs.last?.term != term { runs.append(TermRun(first: first, term: term)) }
    last = last.advanced(by: count)
  }

  /// As far as it goes back: of what is compacted the terms are not known, and all of it was committed.
  package func mayContain(_ id: EntryID) -> Bool {
    id.index < base.index ? id.term <= base.term : contains(id)
  }

  /// Drops the entries from `index` on. Writes of them that are still under way no longer make them durable, however
  /// often an entry of the same index and term comes and goes meanwhile. The base stays, whatever is asked.
  package mutating func truncate(from first: LogIndex) {
    let index = max(first, base.index.next)
    guard index <= last else { return }
    while let run = runs.last, run.first >= index { runs.removeLast() }
    last = index.previous
    durable = min(durable, last)
    for number in writes.indices { writes[number].last = min(writes[number].last, last) }
    if index < floor {
      floor = index
      sizes = [0]
    } else {
      sizes.removeLast(sizes.count - 1 - index.distance(after: floor))
    }
  }

  /// From now on the log begins behind this entry of it, which is durable and committed: what the entries up to there have
  /// come to is kept elsewhere. "The last included index and term" stay (Raft section 7). What is not an entry of the log
  /// behind its base changes nothing.
  package mutating func compact(through id: EntryID) {
    guard id.index > base.index, id.index <= durable, contains(id) else { return }
    base = id
    if id.index == last {
      runs = []
    } else if let run = runIndex(at: id.index.next) {
      runs.removeFirst(run)
      runs[0] = TermRun(first: max(runs[0].first, id.index.next), term: runs[0].term)
    }
    guard floor <= id.index else { return }
    sizes.removeFirst(id.index.next.distance(after: floor))
    floor = id.index.next
  }

  /// Nothing of it is of use any more: from now on it begins behind this entry, which it does not have, and is empty.
  package mutating func reset(to id: EntryID) {
    (base, last, durable) = (id, id.index, id.index)
    (runs, sizes, floor) = ([], [0], id.index.next)
    for number in writes.indices { writes[number].last = min(writes[number].last, id.index) }
  }

  /// The bytes of these entries, which are at hand.
  package func bytes(_ slice: LogSlice) -> Int {
    guard !slice.isEmpty, slice.first >= floor, slice.last <= last else { return 0 }
    return sizes[slice.last.next.distance(after: floor)] - sizes[slice.first.distance(after: floor)]
  }

  /// Of all entries behind `index` whose sizes are known.
  package func bytes(behind index: LogIndex) -> Int { bytes(LogSlice(first: max(index.next, floor), last: last)) }

  /// As many entries from `first` on as fit into `bytes`, at least one.
  package func slice(from first: LogIndex, maximumBytes: Int) -> LogSlice {
    let start = first.distance(after: floor)
    let bound = sizes[start] + maximumBytes
    if sizes[sizes.count - 1] <= bound { return LogSlice(first: first, last: last) }
    var low = start + 1
    var high = sizes.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if sizes[middle] <= bound { low = middle } else { high = middle - 1 }
    }
    return LogSlice(first: first, last: first.advanced(by: low - start - 1))
  }

  /// Forgets the sizes of entries beyond what memory is meant to hold, never of one at or after `keeping`.
  package mutating func trim(maximumEntries: Int, maximumBytes: Int, keeping: LogIndex) {
    let count = sizes.count - 1
    // In large steps, so that the cost of moving the rest is spread over many entries.
    let total = sizes[count] - sizes[0]
    guard count > maximumEntries + maximumEntries / 4 || total > maximumBytes + maximumBytes / 4 else { return }
    var drop = max(0, count - maximumEntries)
    let bound = sizes[count] - maximumBytes
    while drop < count, sizes[drop] < bound { drop += 1 }
    drop = min(drop, keeping.distance(after: floor))
    guard drop > 0 else { return }
    sizes.removeFirst(drop)
    floor = floor.advanced(by: drop)
  }

  package var isWriting: Bool { !writes.isEmpty }

  package mutating func writeBegan(_ id: WriteID, at tick: Int = 0) { writes.append((id, last, tick)) }

  /// When the oldest write under way began: they are answered in order.
  package var oldestWrite: Int? { writes.first?.since }

  /// When the oldest of those began that reach beyond this entry.
  package func oldestWrite(beyond index: LogIndex) -> Int? {
    // Their ends ascend: what was truncated was so for all of them.
    var low = 0
    var high = writes.count
    while low < high {
      let middle = (low + high) / 2
      if writes[middle].last <= index { low = middle + 1 } else { high = middle }
    }
    return low < writes.count ? writes[low].since : nil
  }

  /// This write and all before it are done. Returns whether more is durable than before.
  package mutating func writeFinished(_ id: WriteID) -> Bool {
    let before = durable
    var finished = 0
    while finished < writes.count, writes[finished].id <= id {
      durable = max(durable, writes[finished].last)
      finished += 1
    }
    writes.removeFirst(finished)
    return durable > before
  }
}
