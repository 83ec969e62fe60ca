import DiskTesting
import LockstepConsensus
import LockstepStorage
import Testing

@Suite("damage is refused, by name")
struct DamageTests {
  /// Two segments, the second sealed. Returns where each file's used part ends.
  private func sealedLog() throws -> (node: Fixture, used: [String: Int]) {
    let node = Fixture(segment: 1536, first: 1024)
    try node.open()
    for _ in 0..<2 { try node.append(3) }
    try node.append([Fixture.write(1, term: 2, vote: 2)])
    for _ in 0..<2 { try node.append(3, term: 2) }
    let tail = node.disk[Fixture.segment2].count - (node.log?.room ?? 0)
    try node.close()
    node.disk.restart()
    #expect(node.logFiles.count == 2)
    let first = node.disk[Fixture.segment1]
    let used = [
      Fixture.segment1: (first.lastIndex { $0 != 0 } ?? 0) + 1, Fixture.segment2: tail + 64,
      "/node/identity": node.disk["/node/identity"].count,
    ]
    return (node, used)
  }

  @Test(
    "every bit flipped: refused where it was used, and nothing lost where it was not",
    arguments: [Fixture.segment1, Fixture.segment2, "/node/identity"])
  func flips(path: String) throws {
    let (node, used) = try sealedLog()
    let sound = node.disk[path]
    let end = used[path] ?? 0
    // Where nothing was written all bits are alike: one of each byte will do.
    for bit in 0..<sound.count * 8 where bit / 8 < end || bit % 8 == bit / 8 % 8 {
      let damaged = node.onCopy()
      damaged.disk[path][bit / 8] ^= 1 << UInt8(bit % 8)
      do {
        let found = try damaged.recover()
        #expect(bit / 8 >= end, "bit \(bit) was not noticed")
        #expect(found == node.images.count - 1, "bit \(bit)")
      } catch {
        #expect(blamed(error) == path, "bit \(bit): \(error)")
      }
    }
  }

  @Test("zeroed sectors and garbage in what was synced and sealed")
  func sectors() throws {
    let (node, used) = try sealedLog()
    let random = Random(2)
    // The last one holds the seal as well: what tells is the identity, in which the clean stop has noted the end.
    let last = ((used[Fixture.segment2] ?? 0) - 1) / 512
    let (one, two) = (Fixture.segment1, Fixture.segment2)
    for (path, sector) in [(one, 0), (one, 1), (two, 0), (two, last)] {
      for noise in [[UInt8](repeating: 0, count: 512), random.bytes(512)] {
        let damaged = node.onCopy()
        damaged.disk[path].replaceSubrange(sector * 512..<sector * 512 + 512, with: noise)
        let error = #expect(throws: StorageError.self) { try damaged.open() }
        #expect(error.flatMap(blamed) == path)
      }
    }
  }

  private func refusal(_ change: (MemoryDisk) -> Void) throws -> String? {
    let (node, _) = try sealedLog()
    change(node.disk)
    let before = node.logFiles
    let error = #expect(throws: StorageError.self) { try node.open() }
    #expect(node.logFiles == before, "a refused start changes nothing")
    return error.flatMap(blamed)
  }

  @Test("a missing segment: the first, the last, all")
  func missing() throws {
    #expect(try refusal { $0.erase(Fixture.segment1) } == Fixture.segment1)
    #expect(try refusal { $0.erase(Fixture.segment2) } == Fixture.segment2)
    let all = try refusal {
      $0.erase(Fixture.segment1)
      $0.erase(Fixture.segment2)
    }
    #expect(all == Fixture.segment1)
  }

  @Test("swapped, doubled and strange segments")
  func swapped() throws {
    let swapped = try refusal {
      let first = $0[Fixture.segment1]
      $0[Fixture.segment1] = $0[Fixture.segment2]
      $0[Fixture.segment2] = first
    }
    #expect(swapped == Fixture.segment1)
    #expect(try refusal { $0[Fixture.segment2] = $0[Fixture.segment1] } == Fixture.segment2)
    #expect(try refusal { $0["/node/log-0000000003"] = $0[Fixture.segment2] } == "/node/log-0000000003")
    #expect(try refusal { $0["/node/log-3"] = $0[Fixture.segment2] } == "/node/log-3")
    #expect(try refusal { $0["/node/log-0000000004"] = [] } == "/node/log-0000000003")
    #expect(try refusal { $0[Fixture.segment2] = Array(repeating: 0, count: 1536) } == Fixture.segment2)
  }

  @Test("truncated at every record boundary and elsewhere, or grown")
  func truncated() throws {
    for path in [Fixture.segment1, Fixture.segment2] {
      for count in stride(from: 0, to: 1024, by: 64) {
        #expect(try refusal { $0[path] = Array($0[path].prefix(count)) } == path)
      }
      #expect(try refusal { $0[path].append(0) } == path)
    }
  }

  @Test("a segment of another disk")
  func otherDisk() throws {
    let other = Fixture(segment: 1536, first: 1024)
    let directory = try NodeDirectory.open(
      disk: other.disk, path: Fixture.path, cluster: Fixture.cluster, node: NodeID(1), members: Fixture.members,
      newDiskID: { [UInt8](repeating: 8, count: 16) }, options: other.options)
    directory.close()
    let segment = other.disk[Fixture.segment1]
    #expect(try refusal { $0[Fixture.segment1] = segment } == Fixture.segment1)
  }

  @Test("a batch that was lost although its sync returned, with a later one behind it")
  func lostWrite() throws {
    let node = Fixture()
    try node.open()
    try node.append(2)
    try node.log?.seal()
    let before = node.disk[Fixture.segment1]
    let start = before.count - (node.log?.room ?? 0)
    try node.append(2)
    let end = before.count - (node.log?.room ?? 0)
    try node.append(2)
    node.disk.restart()
    // The sectors stand as they were before, the seal among them; the third batch is there.
    node.disk[Fixture.segment1].replaceSubrange(start..<end, with: before[start..<end])
    let error = #expect(throws: StorageError.self) { try node.open() }
    #expect(error.flatMap(blamed) == Fixture.segment1)
  }

  @Test("an older version of a record does not fit between its neighbours")
  func staleRecord() throws {
    let node = Fixture()
    try node.open()
    try node.append(2)
    let start = node.options.firstSegmentBytes - (node.log?.room ?? 0)
    let twin = node.onCopy()
    try twin.open()
    try node.append(2)
    let end = node.options.firstSegmentBytes - (node.log?.room ?? 0)
    try node.append(2)
    node.disk.restart()
    // The same place, number, group and size; other entries.
    try twin.append([Fixture.write(1, term: 1, twin.entries(1, from: 2, terms: [1, 1]))])
    let stale = twin.disk[Fixture.segment1][start..<end]
    #expect(stale != node.disk[Fixture.segment1][start..<end])
    node.disk[Fixture.segment1].replaceSubrange(start..<end, with: stale)
    let error = #expect(throws: StorageError.self) { try node.open() }
    #expect(error.flatMap(blamed) == Fixture.segment1)
  }
}
