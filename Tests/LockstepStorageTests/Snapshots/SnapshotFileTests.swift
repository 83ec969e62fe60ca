import DiskTesting
import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepStorage

/// Snapshot files on a memory disk.
struct SnapshotBench {
  static let directory = "/node"
  let disk = MemoryDisk(directories: [SnapshotBench.directory])

  static func header(_ index: UInt64, cluster: UInt8 = 7, digest: UInt64 = 5) -> SnapshotHeader {
    SnapshotHeader(
      cluster: [UInt8](repeating: cluster, count: 16), group: .first,
      last: LogBase(id: EntryID(term: Term(3), index: LogIndex(index)), chain: 99, members: [1, 2, 3]),
      addresses: [DiskIdentity.Member(node: NodeID(1), address: "a:1")], machineVersion: 4, time: 12, digest: digest)
  }

  static func path(_ index: UInt64) -> String { "\(directory)/\(SnapshotName(group: .first, index: LogIndex(index)))" }

  @discardableResult
  func write(_ header: SnapshotHeader, _ chunks: [[UInt8]]) throws -> StoredSnapshot {
    let writer = try SnapshotWriter(disk: disk, directory: Self.directory, header: header)
    for chunk in chunks { try writer.append(chunk) }
    return try writer.finish()
  }

  /// All that is in it, when all of it holds.
  func read(_ index: UInt64) throws -> (header: SnapshotHeader, chunks: [[UInt8]]) {
    let file = try SnapshotFile(disk: disk, path: Self.path(index))
    var chunks: [[UInt8]] = []
    while let chunk = try file.next() { chunks.append(chunk) }
    return (file.header, chunks)
  }
}

@Suite("snapshot files")
struct SnapshotFileTests {
  private static let chunks: [[UInt8]] = [
    [UInt8](repeating: 1, count: 300), [2], [UInt8](repeating: 3, count: 64), [UInt8](repeating: 4, count: 5000),
  ]

  private func isDamaged(_ bench: SnapshotBench, _ index: UInt64) -> Bool {
    do { _ = try bench.read(index) } catch StorageError.damaged { return true } catch {
      Issue.record("\(error)")
      return true
    }
    return false
  }

  @Test("one for whose head there is no room leaves nothing behind")
  func noRoom() throws {
    let bench = SnapshotBench()
    bench.disk.space = 0
    #expect(throws: StorageError.self) {
      try SnapshotWriter(disk: bench.disk, directory: SnapshotBench.directory, header: SnapshotBench.header(17))
    }
    #expect(bench.disk.paths == [])
  }

  @Test("what was written is read again, and the file says what it is of")
  func roundTrip() throws {
    let bench = SnapshotBench()
    let stored = try bench.write(SnapshotBench.header(17), Self.chunks)
    let found = try bench.read(17)
    #expect(found.header == SnapshotBench.header(17) && found.chunks == Self.chunks)
    #expect(stored.fileBytes == bench.disk[SnapshotBench.path(17)].count && stored.last.index == LogIndex(17))
    #expect(bench.disk.paths == [SnapshotBench.path(17)])
  }

  @Test("a state without a byte is a snapshot, too")
  func empty() throws {
    let bench = SnapshotBench()
    try bench.write(SnapshotBench.header(1), [])
    #expect(try bench.read(1).chunks == [])
  }

  @Test("two nodes that snapshot the same state write the same bytes")
  func sameBytes() throws {
    let (one, other) = (SnapshotBench(), SnapshotBench())
    for bench in [one, other] { try bench.write(SnapshotBench.header(17), Self.chunks) }
    #expect(one.disk[SnapshotBench.path(17)] == other.disk[SnapshotBench.path(17)])
  }

  @Test("a bit that changes anywhere is found")
  func everyByte() throws {
    let bench = SnapshotBench()
    try bench.write(SnapshotBench.header(17), Self.chunks)
    let path = SnapshotBench.path(17)
    let whole = bench.disk[path]
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= 1 << UInt8(place % 8)
      bench.disk[path] = damaged
      #expect(isDamaged(bench, 17), "byte \(place) of \(whole.count)")
    }
  }

  @Test("a file that ends too early, or too late, is damaged")
  func lengths() throws {
    let bench = SnapshotBench()
    try bench.write(SnapshotBench.header(17), Self.chunks)
    let path = SnapshotBench.path(17)
    let whole = bench.disk[path]
    for count in stride(from: 0, to: whole.count, by: 61) {
      bench.disk[path] = Array(whole[..<count])
      #expect(isDamaged(bench, 17), "\(count) of \(whole.count) bytes")
    }
    bench.disk[path] = whole + [0]
    #expect(isDamaged(bench, 17))
  }

  @Test("a chunk of another snapshot, of another cluster, or of this one in another place, does not pass")
  func mixed() throws {
    let (bench, other, cluster, digest) = (SnapshotBench(), SnapshotBench(), SnapshotBench(), SnapshotBench())
    try bench.write(SnapshotBench.header(17), Self.chunks)
    try other.write(SnapshotBench.header(18), Self.chunks)
    try cluster.write(SnapshotBench.header(17, cluster: 8), Self.chunks)
    try digest.write(SnapshotBench.header(17, digest: 6), Self.chunks)
    let path = SnapshotBench.path(17)
    let whole = bench.disk[path]
    let places = stride(from: 64, to: whole.count, by: 64)
    for foreign in [other.disk[SnapshotBench.path(18)], cluster.disk[path], digest.disk[path]] {
      for place in places where whole[place...].starts(with: Array("LKR1".utf8)) {
        bench.disk[path] = Array(whole[..<place] + foreign[place...])
        #expect(isDamaged(bench, 17), "from byte \(place) on")
      }
    }
    let records = places.filter { whole[$0...].starts(with: Array("LKR1".utf8)) }
    let (first, second, third) = (records[0], records[1], records[2])
    bench.disk[path] = Array(whole[..<first] + whole[second..<third] + whole[first..<second] + whole[third...])
    #expect(isDamaged(bench, 17), "two chunks in each other's place")
    bench.disk[path] = Array(whole[..<second] + whole[third...])
    #expect(isDamaged(bench, 17), "one is missing")
  }

  @Test("names are those that snapshots are given, and no others")
  func names() {
    #expect(SnapshotName("snapshot-1-00000000000000000017") == SnapshotName(group: .first, index: LogIndex(17)))
    for name in [
      "snapshot-1-17", "snapshot-1-00000000000000000000", "snapshot-0-00000000000000000017",
      "snapshot-01-00000000000000000017", "snapshot-1-00000000000000000017.new", "log-0000000001", "snapshot-1",
    ] {
      #expect(SnapshotName(name) == nil, "\(name)")
    }
  }

  @Test("a file of any name is read, one that is no snapshot is told so, one of another index in its place is damaged")
  func wrongPlace() throws {
    let bench = SnapshotBench()
    try bench.write(SnapshotBench.header(17), Self.chunks)
    bench.disk["/node/other"] = bench.disk[SnapshotBench.path(17)]
    #expect(try SnapshotFile(disk: bench.disk, path: "/node/other").verify().chunks == UInt64(Self.chunks.count))
    for bytes in [[], [UInt8](repeating: 0, count: 8192), Array(bench.disk["/node/other"].dropFirst(64))] {
      bench.disk["/node/other"] = bytes
      let error = #expect(throws: StorageError.self) { try SnapshotFile(disk: bench.disk, path: "/node/other") }
      guard case .refused("/node/other", let reason) = error else { return unexpected(error) }
      #expect(reason.contains("not a snapshot"))
    }
    bench.disk[SnapshotBench.path(18)] = bench.disk[SnapshotBench.path(17)]
    #expect(isDamaged(bench, 18))
  }
}

@Suite("snapshots of a node")
struct SnapshotStoreTests {
  private func write(_ store: SnapshotStore, _ index: UInt64, _ byte: UInt8) throws {
    let writer = try store.begin(SnapshotBench.header(index))
    for count in [10, 3000, 5000] { try writer.append([UInt8](repeating: byte, count: count)) }
    _ = try writer.finish()
    let kept = Array(try store.names(of: .first).prefix(SnapshotStore.kept))
    if let problem = try store.prune(.first, keeping: kept).first { throw problem }
  }

  private func node() throws -> Fixture {
    let node = Fixture()
    try node.open()
    return node
  }

  @Test("the last two are kept, and one that is not finished is gone at the next start")
  func kept() throws {
    let node = try node()
    let store = SnapshotStore(try #require(node.directory))
    for index in [5, 9, 30] as [UInt64] { try write(store, index, UInt8(index)) }
    #expect(try store.names(of: .first).map(\.index.rawValue) == [30, 9])
    let writer = try store.begin(SnapshotBench.header(40))
    try writer.append([1])
    node.disk.restart()
    try node.open()
    #expect(!node.disk.paths.contains { $0.hasSuffix(".new") })
    #expect(try SnapshotStore(#require(node.directory)).names(of: .first).map(\.index.rawValue) == [30, 9])
  }

  @Test("those that are to be kept are, others' too, and nothing is removed before there are as many as are to be kept")
  func keeping() throws {
    let node = try node()
    let store = SnapshotStore(try #require(node.directory))
    for index in [5, 9, 30, 40] as [UInt64] {
      let writer = try store.begin(SnapshotBench.header(index, cluster: index == 9 ? 8 : 7))
      _ = try writer.finish()
    }
    node.disk[SnapshotBench.path(4)] = [1, 2, 3]
    let name = { (index: UInt64) in SnapshotName(group: .first, index: LogIndex(index)) }
    #expect(try store.prune(.first, keeping: [name(30)]) == [])
    #expect(try store.names(of: .first).count == 5)
    // The last one of all is not known to whoever asks: it may be on its way.
    #expect(try store.prune(.first, keeping: [name(5), name(30)]) == [])
    #expect(try store.names(of: .first) == [name(40), name(30), name(9), name(5)])
  }

  @Test("one that is given up leaves nothing, and can be written again")
  func givenUp() throws {
    let node = try node()
    let store = SnapshotStore(try #require(node.directory))
    let writer = try store.begin(SnapshotBench.header(40))
    try writer.append([1])
    writer.abandon()
    #expect(!node.disk.paths.contains { $0.contains("snapshot") })
    try write(store, 40, 1)
  }

  @Test("a crash at any operation leaves the snapshots before it, and each that has its name is whole")
  func crashes() throws {
    let whole = try node()
    let begin = whole.disk.operations.count
    let store = SnapshotStore(try #require(whole.directory))
    for index in [5, 9, 30, 31] as [UInt64] { try write(store, index, UInt8(index)) }
    let end = whole.disk.operations.count
    #expect(end > begin + 30)
    for operation in begin..<end {
      for fate in [
        MemoryDisk.Fate.lost, .kept, .any(Random(UInt64(operation))), .any(Random(UInt64(operation + 1000))),
      ] {
        try crash(at: operation, fate)
      }
    }
  }

  private func crash(at operation: Int, _ fate: MemoryDisk.Fate) throws {
    let node = try node()
    node.disk.powerOffAt = operation
    var durable: [UInt64] = []
    do {
      let store = SnapshotStore(try #require(node.directory))
      for index in [5, 9, 30, 31] as [UInt64] {
        try write(store, index, UInt8(index))
        durable.append(index)
      }
      Issue.record("operation \(operation) was never reached")
    } catch { #expect(error is StorageError) }
    node.disk.powerCut(fate)
    try node.open()
    let store = SnapshotStore(try #require(node.directory))
    let found = try store.names(of: .first)
    for name in found { _ = try store.open(name).verify() }
    let last = durable.last ?? 0
    #expect(found.first?.index.rawValue ?? 0 >= last, "operation \(operation): \(found), durable up to \(last)")
    #expect(found.count >= min(durable.count, 2), "operation \(operation): \(found)")
  }
}
