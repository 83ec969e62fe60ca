import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("inspecting a stopped node")
struct LogInspectorTests {
  private func stopped() throws -> Fixture {
    let node = Fixture(segment: 2048, first: 1024)
    try node.open()
    for _ in 0..<8 { try node.append(2) }
    try node.close()
    return node
  }

  @Test("walks records and entries with file and offset, sums up, changes nothing")
  func walk() throws {
    let node = try stopped()
    let before = node.disk.operations.count
    let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
    var entries: [LogInspector.Entry] = []
    var kinds: Set<RecordKind> = []
    let summary = try inspector.walk { record in
      kinds.insert(record.kind)
      for entry in record.batches.flatMap(\.entries) {
        #expect(entry.offset > record.offset && entry.offset < record.offset + record.length)
        // The entry's first field, its term, stands there.
        #expect(node.disk[record.file][entry.offset] == 1 << 3)
        entries.append(entry)
      }
    }
    #expect(kinds == [.segment, .batch, .end])
    #expect(entries.map(\.header.id.index.rawValue) == Array(1...16))
    #expect(summary.isSealed && summary.report.notices.isEmpty && summary.report.entries == 16)
    #expect(summary.groups.map(\.last.index) == [LogIndex(16)])
    #expect(summary == (try inspector.verify()))
    inspector.close()
    #expect(node.disk.operations.count == before)
  }

  @Test("names the place of a failure, and says what a start would drop without doing it")
  func failure() throws {
    let node = try stopped()
    let torn = node.onCopy()
    let last = try #require(torn.logFiles.keys.max())
    torn.disk[last][torn.disk[last].count - 1] = 1
    let inspector = try LogInspector(disk: torn.disk, path: Fixture.path)
    #expect(try inspector.verify().report.notices.count == 1)
    #expect(torn.disk[last].last == 1)
    node.disk[Fixture.segment1][200] ^= 1
    let damaged = try LogInspector(disk: node.disk, path: Fixture.path)
    let error = #expect(throws: StorageError.self) { try damaged.verify() }
    guard case .damaged(Fixture.segment1, let offset, _) = error else { return unexpected(error) }
    #expect(offset > 0 && offset <= 200)
  }

  @Test("refused while the node runs, and where there is none")
  func running() throws {
    let node = Fixture()
    try node.open()
    let error = #expect(throws: StorageError.self) { try LogInspector(disk: node.disk, path: Fixture.path) }
    guard case .locked = error else { return unexpected(error) }
    #expect(throws: StorageError.self) { try LogInspector(disk: MemoryDisk(), path: Fixture.path) }
  }
}
