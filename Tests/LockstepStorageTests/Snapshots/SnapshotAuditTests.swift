import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("verifying the snapshots of a stopped node")
struct SnapshotAuditTests {
  /// Twelve entries and, of the same history, snapshots up to entries 4 and 8; perhaps with a log that begins behind an entry.
  private func stopped(behind begin: Int? = nil) throws -> Fixture {
    let node = Fixture(segment: 2048, first: 1024)
    try node.open()
    for _ in 0..<6 { try node.append(2) }
    for index in [4, 8] { try snapshot(node, try base(node, index)) }
    if let begin { try node.appendBase(begin) }
    try node.close()
    return node
  }

  private func base(_ node: Fixture, _ index: Int) throws -> LogBase { node.base(try #require(node.model[1]), index) }

  private func path(_ index: UInt64) -> String {
    "\(Fixture.path)/\(SnapshotName(group: .first, index: LogIndex(index)))"
  }

  private func snapshot(_ node: Fixture, _ last: LogBase, cluster: [UInt8] = Fixture.cluster) throws {
    let header = SnapshotHeader(
      cluster: cluster, group: .first, last: last, addresses: Fixture.members, machineVersion: 1, time: 1, digest: 1)
    let writer = try SnapshotWriter(disk: node.disk, directory: Fixture.path, header: header)
    for count in [10, 3000] { try writer.append([UInt8](repeating: 5, count: count)) }
    _ = try writer.finish()
  }

  private func audit(_ node: Fixture) throws -> SnapshotAudit {
    let before = node.disk.operations.count
    let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
    defer { inspector.close() }
    let (summary, audit) = try inspector.audit()
    #expect(summary == (try inspector.verify()) && node.disk.operations.count == before)
    return audit
  }

  private func start(_ audit: SnapshotAudit) -> SnapshotAudit.Beginning? { audit.starts.first?.from }
  private func name(_ index: UInt64) -> SnapshotName { SnapshotName(group: .first, index: LogIndex(index)) }

  @Test("all of them are read, the last first, and a start begins with the last")
  func sound() throws {
    for begin in [nil, 4] {
      let audit = try audit(try stopped(behind: begin))
      #expect(audit.files.map(\.name) == [name(8), name(4)] && audit.problem == nil)
      #expect(audit.files.allSatisfy { $0.header?.last.id.index == $0.name.index && $0.bytes > 3000 })
      #expect(audit.starts.count == 1 && start(audit) == .snapshot(name(8)))
    }
  }

  @Test("without any, a start begins with the first entry, unless the log begins later")
  func none() throws {
    let node = try stopped()
    for index in [4, 8] as [UInt64] { try node.disk.remove(path(index)) }
    #expect(start(try audit(node)) == .firstEntry)
    let later = try stopped(behind: 4)
    for index in [4, 8] as [UInt64] { try later.disk.remove(path(index)) }
    guard case .impossible(.lost(Fixture.path, let reason)) = start(try audit(later)) else {
      return unexpected(try audit(later).problem)
    }
    #expect(reason.contains("begins behind entry 4"))
  }

  @Test("a damaged one is named with its byte, anywhere in the file, and the one before it serves, if it is whole")
  func damaged() throws {
    let node = try stopped(behind: 4)
    for offset in stride(from: 0, to: node.disk[path(8)].count, by: 97) {
      let copy = node.onCopy()
      copy.disk[path(8)][offset] ^= 1
      let audit = try audit(copy)
      #expect(start(audit) == .snapshot(name(4)))
      guard case .damaged(path(8), let place, _) = audit.problem else { return unexpected(audit.problem) }
      #expect(place <= offset)
    }
    let older = node.onCopy()
    older.disk[path(4)][3000] ^= 1
    #expect(start(try audit(older)) == .snapshot(name(8)))
    #expect(blamed(try #require(try audit(older).problem)) == path(4), "it is not needed, and told all the same")
    older.disk[path(8)][3000] ^= 1
    guard case .impossible(let error) = start(try audit(older)) else { return unexpected(nil) }
    #expect(blamed(error) == path(8))
  }

  @Test("one that is not of this log's history, or beyond its end, whole or not, ends the start that finds it first")
  func misfits() throws {
    var other = try base(try stopped(), 8)
    other = LogBase(id: other.id, chain: other.chain ^ 1, members: other.members)
    let ahead = LogBase(id: EntryID(term: Term(1), index: LogIndex(99)), chain: 1, members: [8, 1])
    for (last, isWhole) in [(other, true), (ahead, true), (ahead, false)] {
      let node = try stopped()
      let named = path(last.id.index.rawValue)
      if node.disk.paths.contains(named) { try node.disk.remove(named) }
      try snapshot(node, last)
      if !isWhole { node.disk[named][200] ^= 1 }
      let audit = try audit(node)
      guard case .impossible(.lost(named, _)) = start(audit) else { return unexpected(audit.problem) }
      #expect(audit.problem.flatMap { blamed($0) } == named)
    }
  }

  @Test("another cluster's is named, and says nothing of the start")
  func foreign() throws {
    let node = try stopped(behind: 4)
    try snapshot(
      node, LogBase(id: EntryID(term: Term(1), index: LogIndex(99)), chain: 1, members: [8, 1]),
      cluster: [UInt8](repeating: 8, count: 16))
    let audit = try audit(node)
    #expect(start(audit) == .snapshot(name(8)) && audit.files.count == 3)
    guard case .refused(path(99), let reason) = audit.problem else { return unexpected(audit.problem) }
    #expect(reason.contains("another cluster"))
  }

  @Test("where the log is damaged, its place is told, as ever")
  func damagedLog() throws {
    let node = try stopped()
    node.disk[Fixture.segment1][200] ^= 1
    let error = #expect(throws: StorageError.self) { try audit(node) }
    guard case .damaged(Fixture.segment1, _, _) = error else { return unexpected(error) }
  }
}
