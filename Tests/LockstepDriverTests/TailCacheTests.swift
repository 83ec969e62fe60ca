import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepDriver

/// What the cache is held against: every entry of the log, as a block of its own.
private struct NaiveLog {
  var entries: [EntryBlock] = []
  /// Entries up to here may have been forgotten.
  var trimmed: UInt64 = 0
  let origin: UInt64

  var last: LogIndex { LogIndex(UInt64(entries.count)) }

  func chain(at index: LogIndex) -> UInt64 {
    index == .zero ? origin : entries[Int(index.rawValue) - 1].lastChain
  }

  func bytes(_ slice: LogSlice) -> [UInt8] {
    slice.isEmpty ? [] : entries[Int(slice.first.rawValue - 1)..<Int(slice.last.rawValue)].flatMap(\.bytes)
  }
}

@Suite("The end of the log in memory")
struct TailCacheTests {
  private func grow(_ log: inout NaiveLog, _ cache: inout TailCache, _ random: inout SplitMix, term: UInt64) {
    var block = EntryBlock(first: log.last.next, previousChain: log.chain(at: log.last))
    for _ in 0..<random.below(6) {
      let payload = [UInt8](repeating: UInt8(random.below(256)), count: random.below(30))
      let before = block
      payload.withUnsafeBytes { block.append(term: Term(term), kind: .command, payload: $0) }
      var alone = EntryBlock(first: block.last, previousChain: before.lastChain)
      payload.withUnsafeBytes { alone.append(term: Term(term), kind: .command, payload: $0) }
      log.entries.append(alone)
    }
    cache.append(block)
  }

  private func compare(_ cache: TailCache, _ log: NaiveLog, _ random: inout SplitMix) {
    #expect(cache.last == log.last)
    #expect(cache.lastChain == log.chain(at: log.last))
    if let first = cache.first { #expect(first.rawValue <= max(log.trimmed, 1)) }
    for _ in 0..<4 {
      let index = LogIndex(UInt64(random.below(log.entries.count + 2)))
      if let block = cache.block(containing: index) {
        #expect(block.first <= index && index <= block.last)
        #expect(index <= log.last)
      } else {
        #expect(index < LogIndex(log.trimmed) || index > log.last || index == .zero)
      }
      if let chain = cache.chain(at: index) { #expect(chain == log.chain(at: index)) }
      if index >= LogIndex(log.trimmed), index <= log.last, log.trimmed > 0 || index > .zero {
        #expect(cache.chain(at: index) != nil)
      }
      let first = LogIndex(UInt64(1 + random.below(log.entries.count + 1)))
      let slice = LogSlice(first: first, last: first.advanced(by: random.below(8)))
      if slice.last <= log.last, first >= LogIndex(log.trimmed) {
        #expect(cache.joined(slice)?.bytes == log.bytes(slice))
        #expect(cache.joined(slice)?.previousChain == log.chain(at: first.previous))
      } else if slice.last > log.last {
        #expect(cache.joined(slice) == nil)
      }
    }
  }

  @Test("tail cache: 4000 random operations agree with a list of all entries", arguments: [1, 2, 3] as [UInt64])
  func model(seed: UInt64) {
    var random = SplitMix(seed)
    let origin = Checksum.chainOrigin(cluster: testCluster, group: 1)
    var log = NaiveLog(origin: origin)
    var cache = TailCache(last: .zero, lastChain: origin)
    var term: UInt64 = 1
    for _ in 0..<4000 {
      switch random.below(8) {
      case 0:
        let index = LogIndex(max(1, log.trimmed) + UInt64(random.below(log.entries.count + 2)))
        guard index > .zero, index <= log.last else { continue }
        term += 1
        cache.truncate(from: index, chain: log.chain(at: index.previous))
        log.entries.removeLast(log.entries.count - Int(index.rawValue) + 1)
      case 1:
        let index = log.trimmed + UInt64(random.below(4))
        guard index <= log.last.rawValue else { continue }
        cache.trim(before: LogIndex(index))
        log.trimmed = max(log.trimmed, index)
      default: grow(&log, &cache, &random, term: term)
      }
      compare(cache, log, &random)
    }
  }

  @Test("tail cache: what is trimmed gives its memory back")
  func trimmed() {
    var random = SplitMix(9)
    var log = NaiveLog(origin: 5)
    var cache = TailCache(last: .zero, lastChain: 5)
    for _ in 0..<2000 { grow(&log, &cache, &random, term: 1) }
    cache.trim(before: log.last)
    // One block is left at most, of five entries at most, none of which is much larger than 60 bytes.
    #expect(cache.blocks.reduce(0) { $0 + $1.bytes.count } <= 5 * 80)
    #expect(cache.blocks.count < 600)
  }

  @Test("tail cache: cut at every entry of a block, and grown again")
  func cutEverywhere() {
    for cut in 1...5 as ClosedRange<UInt64> {
      var block = EntryBlock(first: LogIndex(1), previousChain: 3)
      for _ in 0..<5 { block.append(term: Term(1), kind: .noOperation) }
      var cache = TailCache(last: .zero, lastChain: 3)
      cache.append(block)
      cache.truncate(from: LogIndex(cut), chain: block.chain(at: LogIndex(cut - 1)))
      var next = EntryBlock(first: LogIndex(cut), previousChain: cache.lastChain)
      next.append(term: Term(2), kind: .noOperation, timestamp: 1)
      cache.append(next)
      #expect(cache.last == LogIndex(cut))
      let all = cache.joined(LogSlice(first: LogIndex(1), last: cache.last))
      #expect(all?.terms == Array(repeating: Term(1), count: Int(cut) - 1) + [Term(2)])
    }
  }
}

@Suite("Ids in growing order")
struct GrowingTableTests {
  @Test("growing table: 20000 random operations agree with a dictionary", arguments: [1, 2] as [UInt64])
  func model(seed: UInt64) {
    var random = SplitMix(seed)
    var table = GrowingTable<Int>()
    var known: [UInt64: Int] = [:]
    for _ in 0..<20_000 {
      switch random.below(10) {
      case 0..<5:
        let value = random.below(100)
        let id = table.nextID
        #expect(table.add(value) == id)
        known[id] = value
      case 5..<9:
        let id = UInt64(random.below(Int(table.nextID) + 3))
        #expect(table.remove(id) == known.removeValue(forKey: id))
      default:
        guard random.oneIn(20) else { continue }
        let divisor = 1 + random.below(5)
        let matching = known.filter { $0.value % divisor == 0 }.sorted { $0.key < $1.key }.map(\.value)
        #expect(table.removeAll { $0 % divisor == 0 } == matching)
        known = known.filter { $0.value % divisor != 0 }
      }
      #expect(table.count == known.count)
    }
  }

  @Test("growing table: one value that stays keeps no room for those that come and go")
  func staying() {
    var table = GrowingTable<Int>()
    let staying = table.add(-1)
    var most = 0
    for number in 0..<100_000 {
      #expect(table.remove(table.add(number)) == number)
      most = max(most, table.capacity)
    }
    #expect(most < 2000 && table.count == 1 && table.remove(staying) == -1)
  }

  @Test("growing table: ids at the end of all numbers are not there")
  func extremes() {
    var table = GrowingTable<Int>()
    #expect(table.remove(0) == nil)
    #expect(table.remove(.max) == nil)
    let id = table.add(1)
    #expect(table.remove(.max) == nil)
    #expect(table.remove(id) == 1)
    #expect(table.remove(id) == nil)
  }
}
