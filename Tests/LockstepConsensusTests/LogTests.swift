import LockstepConsensus
import Testing

/// What the core knows of its log, against a plain array of terms.
@Suite("log") struct LogTests {
  /// The same log twice: as the core keeps it, and as it is.
  private struct Pair {
    var log = Log()
    var terms: [UInt64] = []
    var sizes: [Int] = []
    var lastTerm: UInt64 = 1

    mutating func append(_ count: Int, _ generator: inout Generator) {
      lastTerm = (terms.last ?? 1) + UInt64(generator.below(2))
      let added = (0..<count).map { _ in generator.below(50) }
      log.append(term: Term(lastTerm), sizes: added)
      terms += Array(repeating: lastTerm, count: count)
      sizes += added
    }

    mutating func truncate(_ index: Int) {
      log.truncate(from: LogIndex(UInt64(index)))
      guard index <= terms.count else { return }
      terms.removeSubrange((index - 1)...)
      sizes.removeSubrange((index - 1)...)
    }
  }

  @Test("terms, sizes and slices agree with a plain array under every change", arguments: 1...UInt64(30))
  func model(seed: UInt64) {
    var generator = Generator(seed: seed)
    var pair = Pair()
    for _ in 0..<60 {
      switch generator.below(5) {
      case 0: pair.truncate(1 + generator.below(pair.terms.count + 2))
      case 1:
        pair.log.trim(
          maximumEntries: 1 + generator.below(8), maximumBytes: generator.below(200), keeping: pair.log.last.next)
      default: pair.append(generator.below(6), &generator)
      }
      compare(pair, &generator)
    }
  }

  private func compare(_ pair: Pair, _ generator: inout Generator) {
    let (log, terms) = (pair.log, pair.terms)
    #expect(log.last.rawValue == UInt64(terms.count))
    #expect(log.term(at: .zero) == .zero && log.term(at: log.last.next) == nil && log.term(at: LogIndex(.max)) == nil)
    for (place, term) in terms.enumerated() { #expect(log.term(at: LogIndex(UInt64(place) + 1)) == Term(term)) }
    let index = generator.below(terms.count + 3)
    let limit = UInt64(generator.below(6))
    let expected = (1...max(1, index)).last { $0 <= min(index, terms.count) && terms[$0 - 1] <= limit }
    let found = log.lastEntry(atOrBefore: LogIndex(UInt64(index)), withTermAtMost: Term(limit))
    #expect(found?.index.rawValue == UInt64(expected ?? 0))
    guard log.floor <= log.last else { return }
    let first = Int(log.floor.rawValue) + generator.below(terms.count - Int(log.floor.rawValue) + 1)
    let bytes = generator.below(150)
    var last = first
    while last < terms.count, pair.sizes[first - 1...last].reduce(0, +) <= bytes { last += 1 }
    let slice = log.slice(from: LogIndex(UInt64(first)), maximumBytes: bytes)
    #expect(slice == LogSlice(first: LogIndex(UInt64(first)), last: LogIndex(UInt64(last))))
    #expect(log.bytes(slice) == pair.sizes[first - 1...last - 1].reduce(0, +))
  }

  @Test("a log with a base says of what follows it the same as one from the beginning", arguments: 1...UInt64(40))
  func base(seed: UInt64) {
    var generator = Generator(seed: seed)
    var term: UInt64 = 1
    var runs: [Log.TermRun] = []
    let count = 1 + UInt64(generator.below(20))
    for index in 1...count {
      term += UInt64(generator.below(2))
      if runs.last?.term != Term(term) { runs.append(.init(first: LogIndex(index), term: Term(term))) }
    }
    let base = EntryID(term: Term(term), index: LogIndex(count))
    var whole = Log(runs: runs, last: base.index)
    var based = Log(base: base)
    var write = WriteID(1)
    for _ in 0..<80 {
      switch generator.below(6) {
      case 0:
        let first = base.index.advanced(by: 1 + generator.below(whole.last.distance(after: base.index) + 2))
        term = max(base.term.rawValue, whole.term(at: first.previous)?.rawValue ?? term)
        whole.truncate(from: first)
        based.truncate(from: first)
      case 1:
        let (entries, bytes) = (1 + generator.below(8), generator.below(200))
        whole.trim(maximumEntries: entries, maximumBytes: bytes, keeping: whole.last.next)
        based.trim(maximumEntries: entries, maximumBytes: bytes, keeping: based.last.next)
      case 2:
        whole.writeBegan(write)
        based.writeBegan(write)
        write = WriteID(write.rawValue + 1)
      case 3:
        let finished = WriteID(UInt64(generator.below(Int(write.rawValue))))
        #expect(whole.writeFinished(finished) == based.writeFinished(finished))
      default:
        term += UInt64(generator.below(2))
        let sizes = (0..<generator.below(6)).map { _ in generator.below(50) }
        whole.append(term: Term(term), sizes: sizes)
        based.append(term: Term(term), sizes: sizes)
      }
      isSame(whole, based, &generator)
    }
  }

  private func isSame(_ whole: Log, _ based: Log, _ generator: inout Generator) {
    let base = based.base
    #expect(whole.last == based.last && whole.durable == based.durable && whole.floor == based.floor)
    #expect(whole.lastID == based.lastID && whole.isWriting == based.isWriting)
    for index in base.index.rawValue...based.last.rawValue + 2 {
      #expect(whole.lookup(LogIndex(index)) == based.lookup(LogIndex(index)))
    }
    for index in 0..<base.index.rawValue {
      let id = EntryID(term: whole.term(at: LogIndex(index)) ?? .zero, index: LogIndex(index))
      #expect(based.lookup(id.index) == .compacted && based.term(at: id.index) == nil && !based.contains(id))
    }
    let index = LogIndex(UInt64(generator.below(Int(based.last.rawValue) + 3)))
    let limit = Term(UInt64(generator.below(Int(based.lastID.term.rawValue) + 2)))
    let found = whole.lastEntry(atOrBefore: index, withTermAtMost: limit)
    let isKnown = found.map { $0.index >= base.index } ?? false
    #expect(based.lastEntry(atOrBefore: index, withTermAtMost: limit) == (isKnown ? found : nil))
    guard based.floor <= based.last else { return }
    let first = based.floor.advanced(by: generator.below(based.last.distance(after: based.floor) + 1))
    let bytes = generator.below(150)
    let slice = based.slice(from: first, maximumBytes: bytes)
    #expect(slice == whole.slice(from: first, maximumBytes: bytes) && whole.bytes(slice) == based.bytes(slice))
  }

  @Test("nothing at or before the base is ever dropped") func baseStays() {
    let base = EntryID(term: Term(3), index: LogIndex(7))
    var log = Log(base: base)
    log.append(term: Term(3), sizes: [1, 1])
    #expect(log.runs == [.init(first: LogIndex(8), term: Term(3))] && log.lastID.index == LogIndex(9))
    for index in [0, 5, 7] as [UInt64] {
      log.truncate(from: LogIndex(index))
      #expect(log.lastID == base && log.durable == base.index && log.floor == LogIndex(8))
    }
  }

  @Test("scenario 12: entries are compared by term, then by index, and by nothing else") func comparison() {
    for a in 0..<UInt64(6) {
      for b in 0..<UInt64(6) {
        for c in 0..<UInt64(6) {
          for d in 0..<UInt64(6) {
            let (one, other) = (EntryID(term: Term(a), index: LogIndex(b)), EntryID(term: Term(c), index: LogIndex(d)))
            #expect((one < other) == (a * 6 + b < c * 6 + d))
            #expect((one >= other) == (a * 6 + b >= c * 6 + d))
          }
        }
      }
    }
  }

  @Test("scenario 17: a write makes nothing durable that was truncated meanwhile, however the terms came and went")
  func staleWrite() {
    var log = Log()
    log.append(term: Term(1), sizes: [1, 1, 1])
    log.writeBegan(WriteID(1))
    log.truncate(from: LogIndex(2))
    log.append(term: Term(2), sizes: [1, 1])
    log.writeBegan(WriteID(2))
    log.truncate(from: LogIndex(2))
    log.append(term: Term(1), sizes: [1, 1])
    log.writeBegan(WriteID(3))
    #expect(log.writeFinished(WriteID(1)) && log.durable == LogIndex(1))
    #expect(!log.writeFinished(WriteID(1)) && !log.writeFinished(WriteID(2)) && log.durable == LogIndex(1))
    #expect(log.writeFinished(WriteID(3)) && log.durable == LogIndex(3))
  }

  @Test("identifiers saturate instead of trapping") func saturation() {
    #expect(Term(.max).next == Term(.max) && LogIndex(.max).next == LogIndex(.max))
    #expect(LogIndex.zero.previous == .zero && LogIndex(.max).advanced(by: 5) == LogIndex(.max))
    #expect(LogIndex(.max).distance(after: .zero) == .max && LogIndex(1).distance(after: LogIndex(5)) == 0)
  }

  @Test("limits that contradict each other are named") func limits() {
    #expect(Limits().problem == nil && TestCluster.smallLimits.problem == nil)
    let wrong: [(inout Limits) -> Void] = [
      { $0.heartbeatTicks = 0 }, { $0.electionTicks = 14 }, { $0.electionTicks = 1_000_001 }, { $0.appendBytes = 0 },
      { $0.windowMessages = 0 }, { $0.windowBytes = 1 }, { $0.cacheEntries = 0 }, { $0.cacheBytes = 1 },
      { $0.uncommittedBytes = 1 }, { $0.unstoredBytes = 1 }, { $0.waitingReads = 0 }, { $0.diskTicks = 59 },
      { $0.unstoredMessages = 0 },
    ]
    for change in wrong {
      var limits = Limits()
      change(&limits)
      #expect(limits.problem != nil)
    }
  }
}
