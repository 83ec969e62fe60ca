import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("how far others have acknowledged, on the disk")
struct AcknowledgementFileTests {
  private func open(_ disk: MemoryDisk) throws -> NodeDirectory {
    var options = LogOptions()
    options.firstSegmentBytes = 1024
    return try NodeDirectory.open(
      disk: disk, path: Fixture.path, cluster: Fixture.cluster, node: NodeID(1), members: Fixture.members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: options)
  }

  private func list(_ index: UInt64) -> [Acknowledged] {
    [2, 3].map { Acknowledged(node: NodeID($0), group: .first, term: Term(4), index: LogIndex(index + $0)) }
  }

  @Test("the latest list is found by the next process, and no sync was waited for")
  func latest() throws {
    let disk = MemoryDisk()
    var directory = try open(disk)
    #expect(try directory.acknowledged() == [])
    let before = disk.operations.count
    for index in 1...5 as ClosedRange<UInt64> { try directory.store(acknowledged: list(index)) }
    #expect(!disk.operations[before...].contains { "\($0)".contains("sync") })
    directory.close()
    directory = try open(disk)
    #expect(try directory.acknowledged() == list(5))
    try directory.store(acknowledged: list(6))
    directory.close()
    #expect(try open(disk).acknowledged() == list(6))
  }

  @Test("a power cut takes it, or parts of it, and the node starts all the same", arguments: [1, 2, 3])
  func powerCut(lists: Int) throws {
    let disk = MemoryDisk()
    let directory = try open(disk)
    for index in 1...lists { try directory.store(acknowledged: list(UInt64(index))) }
    disk.powerCut(.lost)
    #expect(try open(disk).acknowledged() == [])
  }

  @Test("with any bit of a slot changed, the other slot counts, or none")
  func damage() throws {
    let disk = MemoryDisk()
    let directory = try open(disk)
    try directory.store(acknowledged: list(1))
    try directory.store(acknowledged: list(2))
    directory.close()
    let path = "\(Fixture.path)/acknowledged"
    let sound = disk[path]
    for (slot, left) in [(0, list(1)), (64 * 1024, list(2))] {
      for bit in 0..<(64 + 32) * 8 {
        disk[path] = sound
        disk[path][slot + bit / 8] ^= 1 << UInt8(bit % 8)
        let directory = try open(disk)
        #expect(try directory.acknowledged() == left, "slot \(slot), bit \(bit)")
        directory.close()
      }
    }
  }

  @Test("what was acknowledged is committed as far as the log has it, unless its last entry is of an earlier term")
  func committed() throws {
    let cases: [[UInt64]] = [[4, 3, 3], [3, 3, 3], [4, 99, 6], [5, 3, 0], [6, 3, 0]]
    for values in cases {
      let (term, index, found) = (values[0], values[1], values[2])
      let node = Fixture()
      try node.open()
      try node.append(6, term: 4)
      // An older copy of the log that has voted since: it may still have what was replaced in term 5.
      try node.append([Fixture.write(1, term: 6, vote: 2)])
      try node.directory?.store(acknowledged: [
        Acknowledged(node: NodeID(2), group: .first, term: Term(2), index: LogIndex(0)),
        Acknowledged(node: NodeID(2), group: GroupID(2), term: Term(1), index: LogIndex(5)),
        Acknowledged(node: NodeID(3), group: .first, term: Term(term), index: LogIndex(index)),
      ])
      node.disk.restart()
      try node.open()
      #expect(node.recovered.map(\.acknowledged) == [LogIndex(found)], "entry \(index) of term \(term)")
      #expect(node.recovered.map(\.hardState.commit) == [.zero])
    }
  }
}
