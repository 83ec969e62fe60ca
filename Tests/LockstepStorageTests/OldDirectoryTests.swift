import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

/// Directories that nodes of commit 925c480 have left, without the zeros at the end of their files.
///
/// Three nodes, `lockstep node --segment-bytes 1048576`, 12 puts, SIGTERM ("stopped"); then started again, 8 more, and
/// SIGKILL ("killed").
@Suite("directories of commit 925c480")
struct OldDirectoryTests {
  struct Kept: Sendable, CustomTestStringConvertible {
    let kind: String
    let node: UInt64
    let incarnation: UInt64
    let entries: UInt64
    let term: UInt64
    let chain: UInt64
    var testDescription: String { "\(kind), node \(node)" }
  }

  static let all = (1...3 as ClosedRange<UInt64>).flatMap { node in
    [
      Kept(kind: "stopped", node: node, incarnation: 1, entries: 13, term: 1, chain: 0x341f_a3ef_285a_ff1b),
      Kept(kind: "killed", node: node, incarnation: 2, entries: 22, term: 2, chain: 0x7344_6a09_b326_502e),
    ]
  }
  private static let members = (1...3).map { DiskIdentity.Member(node: NodeID($0), address: "127.0.0.1:2351\($0)") }

  private func disk(_ kept: Kept) throws -> MemoryDisk {
    let source = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    let directory = "/\(source)/Directories/\(kept.kind)/\(kept.node)"
    let disk = MemoryDisk(directories: [Fixture.path])
    disk["\(Fixture.path)/lock"] = []
    for name in try #require(try PosixDisk().list(directory)) {
      let file = try PosixDisk().open("\(directory)/\(name)", for: .reading)
      var bytes = [UInt8](repeating: 0, count: try file.size())
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
      #expect(count == bytes.count)
      if name.hasPrefix("log-") {
        let size = name.hasSuffix("1") ? 16 << 20 : 1 << 20
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
      }
      disk["\(Fixture.path)/\(name)"] = bytes
    }
    return disk
  }

  private func open(_ disk: MemoryDisk, _ kept: Kept) throws -> (NodeDirectory, DurableLog, RecoveredGroup) {
    let directory = try NodeDirectory.open(
      disk: disk, path: Fixture.path, cluster: nil, node: NodeID(kept.node), members: Self.members, newDiskID: { [] })
    let (log, groups, _) = try DurableLog.open(directory)
    return (directory, log, try #require(groups.first))
  }

  @Test("it verifies, opens, takes more, and at its first clean stop learns to know its end", arguments: all)
  func opens(kept: Kept) throws {
    let disk = try disk(kept)
    let inspector = try LogInspector(disk: disk, path: Fixture.path)
    let summary = try inspector.verify()
    inspector.close()
    #expect(summary.identity.incarnation == kept.incarnation && summary.isSealed == (kept.kind == "stopped"))
    #expect(summary.identity.cleanStop == nil && summary.report.entries == Int(kept.entries))
    let last = EntryID(term: Term(kept.term), index: LogIndex(kept.entries))
    #expect(summary.groups.map(\.last) == [last] && summary.groups.map(\.lastChain) == [kept.chain])

    let (directory, log, group) = try open(disk, kept)
    #expect(group.last == last && group.lastChain == kept.chain && group.base.id == .zero)
    #expect(group.tail.first?.first == LogIndex(1) && group.tail.last?.lastID == last)
    #expect(directory.incarnation == kept.incarnation + 1)
    var block = EntryBlock(first: last.index.next, previousChain: kept.chain)
    block.append(term: Term(kept.term + 1), kind: .noOperation)
    try log.append([LogWrite(group: .first, hardState: HardState(term: Term(kept.term + 1)), entries: block)])
    try log.close()
    directory.close()
    disk.powerCut(.lost)

    let path = "\(Fixture.path)/log-0000000001"
    let segment = disk[path]
    let end = try #require(segment.prefix(8192).lastIndex { $0 != 0 })
    var cut = segment
    for place in end - 200..<end + 1 { cut[place] = 0 }
    disk[path] = cut
    let error = #expect(throws: StorageError.self) { try open(disk, kept) }
    #expect(error.flatMap(blamed) == path)
    disk[path] = segment
    disk.restart()
    #expect(try open(disk, kept).2.last == block.lastID)
  }
}
