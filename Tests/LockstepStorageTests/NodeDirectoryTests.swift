import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("the directory of a node")
struct NodeDirectoryTests {
  private func open(
    _ disk: MemoryDisk, cluster: [UInt8]? = Fixture.cluster, node: UInt64 = 1,
    members: [DiskIdentity.Member] = Fixture.members, isMoved: Bool = false,
    replacesDisk: Bool = false
  ) throws -> NodeDirectory {
    var options = LogOptions()
    options.firstSegmentBytes = 1024
    return try NodeDirectory.open(
      disk: disk, path: Fixture.path, cluster: cluster, node: NodeID(node), members: members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, replacesDisk: replacesDisk, isMoved: isMoved, options: options)
  }

  private func refusal(_ disk: MemoryDisk, _ body: () throws -> NodeDirectory) -> String {
    let before = disk.contents
    do {
      _ = try body()
      Issue.record("not refused")
      return ""
    } catch {
      #expect(disk.contents == before)
      return "\(error)"
    }
  }

  @Test("each start has an incarnation of its own, durably; the disk stays")
  func incarnations() throws {
    let disk = MemoryDisk()
    for incarnation in 1...3 as ClosedRange<UInt64> {
      let directory = try open(disk)
      #expect(directory.incarnation == incarnation && directory.node == NodeID(1))
      #expect(directory.diskID == [UInt8](repeating: 9, count: 16))
      disk.powerCut(.lost)
    }
  }

  @Test("in place of a lost one: an empty directory alone, which says so for good, and minds no second time")
  func replacement() throws {
    let (used, fresh) = (MemoryDisk(), MemoryDisk())
    let first = try open(used)
    #expect(!first.isDiskReplaced)
    first.close()
    #expect(refusal(used) { try open(used, replacesDisk: true) }.contains("--replace-disk is for an empty directory"))
    for isSaid in [true, true, false, true] {
      let directory = try open(fresh, replacesDisk: isSaid)
      #expect(directory.isDiskReplaced)
      directory.close()
      fresh.powerCut(.lost)
    }
  }

  @Test("another node, another cluster, other members are refused; other addresses are not")
  func strangers() throws {
    let disk = MemoryDisk()
    try open(disk).close()
    #expect(refusal(disk) { try open(disk, node: 2) }.contains("the directory of node 1, not of node 2"))
    #expect(refusal(disk) { try open(disk, cluster: [UInt8](repeating: 1, count: 16)) }.contains("cluster 0707"))
    #expect(refusal(disk) { try open(disk, members: [Fixture.members[0]]) }.contains("members 1, 2, not with 1"))
    let moved = [
      DiskIdentity.Member(node: NodeID(2), address: "c:3"), DiskIdentity.Member(node: NodeID(1), address: "d:4"),
    ]
    #expect(try open(disk, members: moved).identity.initialMembers.map(\.address) == ["d:4", "c:3"])
  }

  @Test("a copy is refused, until it is said to have replaced the original; the original and a snapshot of it are not")
  func copies() throws {
    let disk = MemoryDisk()
    try open(disk).close()
    let (copy, snapshot) = (disk.copy(asSnapshot: false), disk.copy())
    #expect(refusal(copy) { try open(copy) }.contains("the directory is a copy"))
    try open(copy, isMoved: true).close()
    for disk in [copy, disk, snapshot] {
      // Also after a crash at any time: the identity is replaced as a whole.
      let directory = try open(disk)
      disk.powerCut(.lost)
      _ = directory
      try open(disk).close()
    }
  }

  @Test("a copy into the files of a directory is found too, once that has started since")
  func copiedInPlace() throws {
    let disk = MemoryDisk()
    try open(disk).close()
    let old = disk.copy(asSnapshot: false)
    try open(disk).close()
    for path in old.paths.sorted() { disk[path] = old[path] }
    #expect(refusal(disk) { try open(disk) }.contains("the directory is a copy"))
  }

  @Test("a directory of a version that did not record births is taken as it is, and records its own")
  func withoutBirth() throws {
    let disk = MemoryDisk()
    disk.knowsBirths = false
    try open(disk).close()
    let copy = disk.copy(asSnapshot: false)
    try open(copy).close()
    let second = copy.copy(asSnapshot: false)
    #expect(refusal(second) { try open(second) }.contains("the directory is a copy"))
  }

  @Test("without a cluster's id: the same for the same members, then the directory's own")
  func namelessCluster() throws {
    let disk = MemoryDisk()
    let directory = try open(disk, cluster: nil)
    let cluster = directory.cluster
    directory.close()
    #expect(cluster == NodeDirectory.cluster(of: Fixture.members.reversed()) && cluster.count == 16)
    let moved = [
      DiskIdentity.Member(node: NodeID(1), address: "x:1"), DiskIdentity.Member(node: NodeID(2), address: "y:1"),
    ]
    #expect(try open(disk, cluster: nil, members: moved).cluster == cluster)
  }

  @Test("two at once: the second is told who holds it")
  func locked() throws {
    let disk = MemoryDisk()
    let directory = try open(disk)
    #expect(refusal(disk) { try open(disk) }.contains("process 4711"))
    directory.close()
    try open(disk).close()
  }

  @Test("a log with data but no identity is not a new node; one without data is begun again")
  func missingIdentity() throws {
    let disk = MemoryDisk()
    try open(disk).close()
    disk.erase("/node/identity")
    try open(disk).close()
    let node = Fixture(disk, first: 1024)
    try node.open()
    try node.append(1)
    try node.log?.markSynced()
    try node.close()
    disk.erase("/node/identity")
    #expect(refusal(disk) { try open(disk) }.contains("identity is missing"))
    disk.erase(Fixture.segment1)
    #expect(refusal(disk) { try open(disk) }.contains("identity is missing, and there is /node/synced"))
  }

  @Test(
    "a log with data but no identity is not a new node whatever bit of its beginning has changed, a length among them")
  func missingIdentityAndDamage() throws {
    let disk = MemoryDisk()
    let node = Fixture(disk, first: 1024)
    try node.open()
    try node.append(1)
    try node.close()
    disk.erase("/node/identity")
    let log = disk[Fixture.segment1]
    for bit in 0..<256 * 8 {
      var changed = log
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      disk[Fixture.segment1] = changed
      #expect(refusal(disk) { try open(disk) }.contains("identity is missing"), "bit \(bit)")
      #expect(disk[Fixture.segment1] == changed)
    }
    // What the fuzzer found: a record of the log in the header's place, whose length reaches over all that is there.
    var moved = log
    moved[24..<28] = [0xc0, 0x03, 0, 0]
    disk[Fixture.segment1] = moved
    #expect(refusal(disk) { try open(disk) }.contains("identity is missing"))
  }

  @Test("files that nobody knows are not overwritten by a new node")
  func strangeFiles() throws {
    let disk = MemoryDisk()
    try disk.createDirectory(Fixture.path)
    disk["/node/letters"] = [1]
    disk["/node/lock"] = []
    #expect(refusal(disk) { try open(disk) }.contains("/node/letters"))
  }

  @Test("what a refused new node would have removed is still there")
  func nothingRemoved() throws {
    let disk = MemoryDisk()
    try open(disk).close()
    disk.erase("/node/identity")
    disk["/node/log-0000000002"] = [UInt8](repeating: 0, count: 1024)
    #expect(refusal(disk) { try open(disk) }.contains("/node/log-0000000002"))
  }

  @Test("what is known of peers is durable at once, written when it has changed, and not after a failure")
  func peers() throws {
    let disk = MemoryDisk()
    func peer(_ node: UInt64, _ incarnation: UInt64) -> DiskIdentity.Peer {
      DiskIdentity.Peer(
        node: NodeID(node), disk: [UInt8](repeating: UInt8(node), count: 16), incarnation: incarnation, start: 7)
    }
    var directory = try open(disk)
    try directory.store(peers: [peer(2, 4), peer(3, 1)])
    disk.powerCut(.lost)
    directory = try open(disk)
    #expect(directory.peers == [peer(2, 4), peer(3, 1)])
    let writes = disk.operations.count
    try directory.store(peers: directory.peers)
    #expect(disk.operations.count == writes)
    disk.failAt = (disk.operations.count + 2, .other)
    #expect(throws: StorageError.self) { try directory.store(peers: [peer(2, 5)]) }
    #expect(throws: StorageError.self) { try directory.store(peers: [peer(2, 5)]) }
  }

  @Test("each start has an id of its own beside its number")
  func starts() throws {
    let disk = MemoryDisk()
    var options = LogOptions()
    options.firstSegmentBytes = 1024
    var drawn: [UInt64] = []
    for number in 1...3 as ClosedRange<UInt8> {
      let directory = try NodeDirectory.open(
        disk: disk, path: Fixture.path, cluster: Fixture.cluster, node: NodeID(1), members: Fixture.members,
        newDiskID: { [UInt8](repeating: number, count: 16) }, options: options)
      #expect(directory.diskID == [UInt8](repeating: 1, count: 16))
      drawn.append(directory.start)
      disk.powerCut(.lost)
    }
    #expect(Set(drawn).count == 3 && !drawn.contains(0))
  }
}
