import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("the log")
struct DurableLogTests {
  @Test("an empty log opens, closes and opens")
  func empty() throws {
    let node = Fixture()
    for _ in 0..<3 {
      #expect(try node.recover() == 0)
      #expect(node.recovered.isEmpty)
      try node.close()
    }
  }

  @Test("one append is one write and one sync, whatever it holds; a seal is one write and no sync")
  func oneWrite() throws {
    let node = Fixture()
    try node.open()
    let before = node.disk.operations.count
    try node.append([
      Fixture.write(1, term: 1, node.entries(1, from: 1, terms: [1, 1, 1])),
      Fixture.write(7, term: 3, vote: 2),
      Fixture.write(2, term: 2, node.entries(2, from: 1, terms: [2])),
    ])
    #expect(node.disk.operations[before...] == ["write \(Fixture.segment1)", "sync \(Fixture.segment1)"])
    try node.log?.seal()
    try node.log?.seal()
    #expect(node.disk.operations[(before + 2)...] == ["write \(Fixture.segment1)"])
  }

  @Test("several writes of one group in one append follow each other, a truncation among them")
  func severalWrites() throws {
    let node = Fixture()
    try node.open()
    try node.append(3)
    let second = node.entries(1, from: 4, terms: [1, 1])
    var third = EntryBlock(first: LogIndex(5), previousChain: second.chain(at: LogIndex(4)))
    third.append(term: Term(2), kind: .noOperation)
    try node.append([Fixture.write(1, term: 1, second), Fixture.write(1, term: 2, third)])
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 2)
    #expect(node.model[1]?.last == EntryID(term: Term(2), index: LogIndex(5)))
  }

  @Test("one write of several blocks is one batch, recovered and read as one")
  func severalBlocks() throws {
    let node = Fixture()
    try node.open()
    try node.append(3)
    let first = node.entries(1, from: 3, terms: [2, 2])
    var second = EntryBlock(first: LogIndex(5), previousChain: first.lastChain)
    for _ in 0..<2 { second.append(term: Term(2), kind: .noOperation) }
    var third = EntryBlock(first: LogIndex(7), previousChain: second.lastChain)
    third.append(term: Term(3), kind: .noOperation)
    let before = node.disk.operations.count
    let empty = EntryBlock(first: LogIndex(7), previousChain: second.lastChain)
    try node.append([
      LogWrite(group: .first, hardState: HardState(term: Term(3)), blocks: [first, second, empty, third])
    ])
    #expect(node.disk.operations[before...] == ["write \(Fixture.segment1)", "sync \(Fixture.segment1)"])
    #expect([3, 4, 6, 7].map { node.log?.term(of: .first, at: LogIndex($0)) } == [2, 2, 2, 3].map { Term($0) })
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 2)
    let read = try node.log?.read(
      group: .first, from: LogIndex(3), through: LogIndex(7), maximumBytes: .max,
      termAt: { index in [1, 1, 2, 2, 2, 2, 3].map { Term($0) }[Int(index.rawValue) - 1] })
    #expect(read?.map(\.bytes).reduce([], +) == first.bytes + second.bytes + third.bytes)
  }

  @Test("rotation: prepared ahead in steps, and all at once when it was not")
  func rotation() throws {
    for prepared in [true, false] {
      let node = Fixture(segment: 2048, first: 1024)
      try node.open()
      for _ in 0..<20 {
        try node.append(2)
        if prepared { while try node.log?.prepareNextSegment(maximumBytes: 512) == false {} }
      }
      #expect(node.logFiles.count >= 4)
      node.disk.powerCut(.lost)
      #expect(try node.recover() == 20)
      #expect(node.report.records > 20 && node.report.entries == 40)
    }
  }

  @Test("a batch larger than a segment gets a segment of its size, prepared or not")
  func largeBatch() throws {
    for prepared in [true, false] {
      let node = Fixture(segment: 1024, first: 1024)
      try node.open()
      if prepared { while try node.log?.prepareNextSegment() == false {} }
      try node.append(10, size: 3000)
      try node.append(2)
      node.disk.powerCut(.lost)
      #expect(try node.recover() == 2)
    }
  }

  @Test("A-B-A: replaced entries are not read, those that came back are")
  func replaced() throws {
    let node = Fixture(segment: 4096, first: 2048)
    try node.open()
    try node.append(20, term: 1)
    let log = try #require(node.log)
    let a = try log.read(
      group: .first, from: LogIndex(11), through: LogIndex(20), maximumBytes: .max, termAt: { _ in Term(1) })[0]
    try node.append([Fixture.write(1, term: 2, node.entries(1, from: 11, terms: [2, 2, 2]))])
    try node.append([Fixture.write(1, term: 3, node.entries(1, from: 12, terms: [3]))])
    try node.append([Fixture.write(1, term: 4, a)])
    try node.append(3, term: 4)
    let live = try log.read(
      group: .first, from: LogIndex(1), through: LogIndex(99), maximumBytes: .max,
      termAt: { log.term(of: .first, at: $0) })
    #expect(live.flatMap(\.terms) == Array(repeating: Term(1), count: 20) + Array(repeating: Term(4), count: 3))
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 5)
    #expect(node.recovered[0].terms.map(\.term) == [Term(1), Term(4)])
  }

  @Test("read: at most so many bytes, one entry at least, and an error for what is not there")
  func reading() throws {
    let node = Fixture()
    try node.open()
    for _ in 0..<10 { try node.append(3, size: 100) }
    let log = try #require(node.log)
    func read(_ from: UInt64, _ bytes: Int, term: UInt64 = 1) throws -> [EntryBlock] {
      try log.read(
        group: .first, from: LogIndex(from), through: LogIndex(30), maximumBytes: bytes, termAt: { _ in Term(term) })
    }
    #expect(try read(7, 1).map(\.slice) == [LogSlice(first: LogIndex(7), last: LogIndex(7))])
    let some = try read(5, 600)
    #expect(some[0].first == LogIndex(5) && some.reduce(0) { $0 + $1.bytes.count } <= 600 && some[0].count > 2)
    #expect(try read(1, .max).reduce(0) { $0 + $1.count } == 30)
    #expect(try read(31, .max).isEmpty)
    #expect(throws: StorageError.self) { try read(5, 600, term: 2) }
  }

  @Test("configuration entries are handed back, the replaced ones not")
  func configurations() throws {
    let node = Fixture()
    try node.open()
    func configuration(_ index: UInt64, _ term: UInt64, after chain: UInt64, _ text: String) -> EntryBlock {
      var block = EntryBlock(first: LogIndex(index), previousChain: chain)
      Array(text.utf8).withUnsafeBytes { block.append(term: Term(term), kind: .configuration, payload: $0) }
      return block
    }
    let origin = Checksum.chainOrigin(cluster: Fixture.cluster, group: 1)
    let a = configuration(1, 1, after: origin, "a")
    let b = configuration(2, 1, after: a.lastChain, "b")
    let c = configuration(2, 2, after: a.lastChain, "c")
    try node.append([Fixture.write(1, term: 1, a)])
    try node.append([Fixture.write(1, term: 1, b)])
    try node.append([Fixture.write(1, term: 2, c)])
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 3)
    #expect(node.recovered[0].configurations.map { String(decoding: $0.payload, as: UTF8.self) } == ["a", "c"])
  }

  @Test("what recovery would refuse is not written: gap, term below entry, vote, term, chain")
  func invalidWrites() throws {
    let node = Fixture()
    try node.open()
    try node.append([Fixture.write(1, term: 3, vote: 1, node.entries(1, from: 1, terms: [2, 3]))])
    let good = node.entries(1, from: 3, terms: [3])
    var gap = EntryBlock(first: LogIndex(4), previousChain: good.lastChain)
    gap.append(term: Term(3), kind: .command)
    var broken = EntryBlock(first: LogIndex(3), previousChain: 1)
    broken.append(term: Term(3), kind: .command)
    let writes = [
      Fixture.write(1, term: 3, vote: 1, gap), Fixture.write(1, term: 3, vote: 1, broken),
      Fixture.write(1, term: 3, vote: 1, node.entries(1, from: 3, terms: [4])),
      Fixture.write(1, term: 3, vote: 1, node.entries(1, from: 3, terms: [1])),
      Fixture.write(1, term: 3, vote: 1, node.entries(1, from: 2, terms: [1])),
      Fixture.write(1, term: 3, vote: 2), Fixture.write(1, term: 3), Fixture.write(1, term: 2),
    ]
    let before = node.logFiles
    for write in writes {
      let error = #expect(throws: StorageError.self) { try node.log?.append([write]) }
      if case .invalidWrite = error { continue }
      unexpected(error)
    }
    #expect(node.logFiles == before)
    try node.append([Fixture.write(1, term: 3, vote: 1, good)])
  }

  @Test("after a failed sync or write nothing is tried again", arguments: ["sync", "write"])
  func poisoned(operation: String) throws {
    let node = Fixture()
    try node.open()
    try node.append(1)
    node.disk.failAt = (node.disk.operations.count + (operation == "sync" ? 1 : 0), .other)
    #expect(throws: StorageError.self) { try node.append(1) }
    let count = node.disk.operations.count
    #expect(node.disk.operations.last?.hasPrefix(operation) == true)
    let log = try #require(node.log)
    let calls: [() throws -> Void] = [
      { try node.append(1) }, { try log.seal() }, { _ = try log.prepareNextSegment() },
      {
        let one = LogIndex(1)
        _ = try log.read(group: .first, from: one, through: one, maximumBytes: 1, termAt: { _ in nil })
      },
    ]
    for call in calls {
      let error = #expect(throws: StorageError.self) { try call() }
      if case .stopped = error { continue }
      unexpected(error)
    }
    try log.close()
    #expect(node.disk.operations.count == count)
  }

  @Test("a full disk: the log stops when its space is used up, and starts when there is space again")
  func outOfSpace() throws {
    let node = Fixture(segment: 4096, first: 2048)
    try node.open()
    node.disk.space = 3000
    let early = #expect(throws: StorageError.self) { while try node.log?.prepareNextSegment() == false {} }
    guard case .outOfSpace = early else { return unexpected(early) }
    var failure: StorageError?
    while failure == nil {
      do { try node.append(2) } catch { failure = error as? StorageError }
    }
    guard case .outOfSpace = failure else { return unexpected(failure) }
    #expect(node.acknowledged > 2)
    node.disk.space = .max
    node.disk.powerCut(.lost)
    #expect(try node.recover() == node.acknowledged)
    node.images.removeLast()
    try node.append(2)
  }

  @Test("many groups, over several segments")
  func manyGroups() throws {
    let node = Fixture(segment: 32768, first: 32768)
    try node.open()
    for term in 1...3 {
      for group in 1...100 as ClosedRange<UInt64> {
        try node.append([Fixture.write(group, term: term, node.entries(group, from: term, terms: [term]))])
      }
    }
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 300)
    #expect(node.recovered.map(\.group.rawValue) == Array(1...100))
  }
}
