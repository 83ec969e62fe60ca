import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("a log that begins at a base")
struct LogBaseTests {
  /// A log over several segments, stopped, and its model.
  private func log(base: Int?) throws -> Fixture {
    let node = Fixture(segment: 1024, first: 1024)
    try node.open()
    for number in 0..<18 { try node.append(1 + number % 2, term: 1 + number / 7) }
    if let base { try node.appendBase(base) }
    try node.append(1, term: 3)
    try node.close()
    node.disk.restart()
    return node
  }

  /// The last index that stands in each segment, by its number less one.
  private func lastIndexes(_ node: Fixture) throws -> [Int] {
    let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
    defer { inspector.close() }
    var files: [String] = []
    var last: [Int] = []
    try inspector.walk { record in
      if files.last != record.file {
        files.append(record.file)
        last.append(last.last ?? 0)
      }
      for entry in record.batches.flatMap(\.entries) { last[last.count - 1] = Int(entry.header.id.index.rawValue) }
    }
    return last
  }

  private func path(_ segment: Int) -> String { "\(Fixture.path)/log-000000000\(segment)" }

  @Test("any base, any number of oldest segments gone: opens, verifies and reads, or the missing segment is named")
  func oldestGone() throws {
    let count = try #require(log(base: nil).model[1]?.ids.count)
    for base in 1..<count {
      let node = try log(base: base)
      let last = try lastIndexes(node)
      #expect(last.count > 4 && last.count < 9)
      for gone in 0..<last.count {
        let other = node.onCopy()
        for segment in 0..<gone { other.disk.erase(path(segment + 1)) }
        if gone == 0 || last[gone - 1] <= base {
          let inspector = try LogInspector(disk: other.disk, path: Fixture.path)
          let summary = try inspector.verify()
          inspector.close()
          #expect(summary.groups.first?.base?.id.index == LogIndex(UInt64(base)))
          try goOn(other, base, "base \(base), \(gone) segments gone")
        } else {
          let files = other.logFiles
          let error = #expect(throws: StorageError.self) { try other.open() }
          #expect(error.flatMap(blamed) == path(gone), "base \(base), \(gone) gone: \(String(describing: error))")
          #expect(other.logFiles == files)
        }
      }
    }
  }

  /// It is whole, takes more, and is whole again after each start.
  private func goOn(_ node: Fixture, _ base: Int, _ note: String) throws {
    #expect(try node.recover() == node.acknowledged, "\(note)")
    let group = try #require(node.recovered.first)
    let image = try #require(node.model[1])
    #expect(group.base == node.base(image, base))
    #expect(group.tail.first.map { $0.first > group.base.id.index } ?? true)
    for index in base...image.ids.count {
      let run = group.terms.last { $0.first.rawValue <= UInt64(index) }
      #expect(index == base || run?.term == image.ids[index - 1].term, "\(note), the term at \(index)")
      #expect(node.log?.term(of: .first, at: LogIndex(UInt64(index))) == image.ids[index - 1].term)
    }
    #expect(group.terms.allSatisfy { $0.first > group.base.id.index })
    for index in 1...base {
      let index = LogIndex(UInt64(index))
      #expect(throws: StorageError.self) {
        try node.log?.read(group: .first, from: index, through: index, maximumBytes: 1, termAt: { _ in Term(1) })
      }
    }
    for _ in 0..<12 { try node.append(2, term: 4) }
    try node.close()
    node.disk.restart()
    #expect(try node.recover() == node.acknowledged, "again, \(note)")
    try node.appendBase(image.ids.count)
    for _ in 0..<3 { try node.append(2, term: 4) }
    node.disk.powerCut(.lost)
    #expect(try node.recover() == node.acknowledged, "after another base, \(note)")
  }

  @Test("a segment that is larger than they are made now is left, and dropped, once nothing in it is needed")
  func largeSegment() throws {
    let node = Fixture(segment: 65_536, first: 65_536)
    try node.open()
    for _ in 0..<5 { try node.append(2, term: 1) }
    try node.close()
    node.disk.restart()
    node.options.segmentBytes = 1024
    try node.open()
    try node.log?.leaveLargeSegment()
    try node.appendBase(9)
    try node.log?.leaveLargeSegment()
    #expect(node.log?.hasSurplus == false && node.logFiles.count == 1)
    try node.appendBase(10)
    try node.log?.leaveLargeSegment()
    #expect(node.log?.hasSurplus == true)
    try node.log?.dropOldestSegment()
    // Once is enough.
    try node.log?.leaveLargeSegment()
    #expect(node.disk.paths.contains(path(2)) && !node.disk.paths.contains(path(1)))
    try node.close()
    node.disk.restart()
    try goOn(node, 10, "behind a large segment")
  }

  @Test("a missing segment in the middle is named, whatever the base")
  func middleGone() throws {
    let node = try log(base: 20)
    let count = try lastIndexes(node).count
    for segment in 2..<count {
      let other = node.onCopy()
      other.disk.erase(path(segment))
      let error = #expect(throws: StorageError.self) { try other.open() }
      #expect(error.flatMap(blamed) == path(segment))
    }
  }

  @Test("without a base the first segment is missed, also when it held no entry that counts")
  func noBase() throws {
    let node = try log(base: nil)
    for segment in 1..<(try lastIndexes(node).count) {
      node.disk.erase(path(segment))
      let error = #expect(throws: StorageError.self) { try node.open() }
      #expect(error.flatMap(blamed) == path(segment))
      node.disk.restart()
    }
    let empty = Fixture(segment: 1024, first: 1024)
    try empty.open()
    for term in 1..<20 { try empty.append([Fixture.write(1, term: term)]) }
    try empty.close()
    empty.disk.restart()
    empty.disk.erase(Fixture.segment1)
    let error = #expect(throws: StorageError.self) { try empty.open() }
    #expect(error.flatMap(blamed) == Fixture.segment1)
  }

  @Test(
    "the first segment stays until there is a base, also when it holds no entry; with one, files go from the oldest on")
  func surplus() throws {
    let node = Fixture(segment: 2048, first: 1024)
    try node.open()
    // Does not fit in the first: that one ends without a batch.
    try node.append(4, term: 1, size: 200)
    #expect(node.logFiles.count == 2 && node.log?.hasSurplus == false)
    for _ in 0..<6 { try node.append(4, term: 1, size: 200) }
    let count = node.logFiles.count
    #expect(count > 4 && node.log?.hasSurplus == false)
    try node.appendBase(20)
    var left = count
    while try #require(node.log).hasSurplus {
      try node.log?.dropOldestSegment()
      left -= 1
      #expect(node.logFiles.keys.filter { !$0.hasSuffix(".new") }.count == left)
      let other = node.onCopy()
      other.disk.powerCut(.lost)
      #expect(try other.recover() == other.acknowledged)
    }
    #expect(left > 1 && left < count - 1)
    for index in 21...28 as ClosedRange<UInt64> {
      #expect(
        try node.log?.read(
          group: .first, from: LogIndex(index), through: LogIndex(index), maximumBytes: 1, termAt: { _ in Term(1) }
        ).first?.first == LogIndex(index))
    }
    #expect(throws: StorageError.self) {
      try node.log?.read(
        group: .first, from: LogIndex(20), through: LogIndex(20), maximumBytes: 1, termAt: { _ in Term(1) })
    }
  }

  @Test("a segment with a number that no disk has room for is refused by its name")
  func number() throws {
    for number in ["18446744073709551615", "281474976710657", "0000000000"] {
      let node = try log(base: 20)
      for path in node.logFiles.keys { node.disk.erase(path) }
      node.disk["\(Fixture.path)/log-\(number)"] = [UInt8](repeating: 0, count: 1024)
      let error = #expect(throws: StorageError.self) { try node.open() }
      #expect(error.flatMap(blamed) == "\(Fixture.path)/log-\(number)")
    }
  }

  @Test("a base beyond the log, or of another term than its entry there: the log begins anew behind it")
  func anew() throws {
    for (index, term) in [(30, 5), (6, 5)] {
      let node = try log(base: nil)
      try node.open()
      let base = LogBase(
        id: EntryID(term: Term(UInt64(term)), index: LogIndex(UInt64(index))), chain: 77, members: [8, 1, 8, 2])
      let state = HardState(term: Term(5), commit: base.id.index)
      try node.log?.append([LogWrite(group: .first, hardState: state, base: base)])
      var block = EntryBlock(first: base.id.index.next, previousChain: 77)
      block.append(term: Term(5), kind: .noOperation)
      for isWritten in [false, true] {
        if isWritten { try node.log?.append([LogWrite(group: .first, hardState: state, entries: block)]) }
        try node.close()
        node.disk.restart()
        try node.open()
        let group = try #require(node.recovered.first)
        #expect(group.base == base && group.hardState == state)
        #expect(group.last == (isWritten ? block.lastID : base.id))
        #expect(group.lastChain == (isWritten ? block.lastChain : 77))
        #expect(group.terms == (isWritten ? [Log.TermRun(first: block.first, term: Term(5))] : []))
        #expect(group.tail.flatMap(\.bytes) == (isWritten ? block.bytes : []))
        #expect(node.log?.term(of: .first, at: base.id.index) == base.id.term)
      }
    }
  }

  @Test("entries that were replaced in a segment now gone: what stands behind the base is read")
  func replaced() throws {
    let node = Fixture(segment: 1024, first: 1024)
    try node.open()
    for _ in 0..<6 { try node.append(2) }
    // Over the border of segments: the last of these replace some that stand in the first.
    try node.append([Fixture.write(1, term: 2, node.entries(1, from: 3, terms: [2, 2, 2]))])
    for _ in 0..<8 { try node.append(2, term: 2) }
    try node.appendBase(14)
    try node.append(2, term: 2)
    try node.close()
    node.disk.restart()
    let last = try lastIndexes(node)
    for gone in 1..<last.count where last[0..<gone].allSatisfy({ $0 <= 14 }) {
      let other = node.onCopy()
      for segment in 1...gone { other.disk.erase(path(segment)) }
      #expect(try other.recover() == other.acknowledged, "\(gone) segments gone")
    }
  }

  @Test("bases that a start would refuse are not written")
  func refused() throws {
    let node = try log(base: 9)
    try node.open()
    let image = try #require(node.model[1])
    let commit = HardState(term: Term(3), commit: LogIndex(12))
    func write(_ base: LogBase, _ state: HardState) -> LogWrite {
      LogWrite(group: .first, hardState: state, base: base)
    }
    var wrongChain = node.base(image, 11)
    wrongChain.chain ^= 1
    var otherMembers = node.base(image, 9)
    otherMembers.members = []
    let later = write(node.base(image, 12), commit)
    for writes in [
      [write(node.base(image, 8), commit)], [write(node.base(image, 13), commit)], [write(wrongChain, commit)],
      [write(otherMembers, commit)], [Fixture.write(1, term: 3), later],
      [write(LogBase(id: EntryID(term: Term(4), index: LogIndex(12)), chain: 1, members: []), commit)],
      [Fixture.write(1, term: 3, node.entries(1, from: 9, terms: [3]))],
    ] {
      let error = #expect(throws: StorageError.self) { try node.log?.append(writes) }
      guard case .invalidWrite = error else { return unexpected(error) }
    }
    try node.log?.append([write(node.base(image, 9), commit)])
    try node.log?.append([later])
  }
}
