import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("A snapshot on its way to the disk")
struct SnapshotWorkTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path

  private func header(_ index: UInt64) -> SnapshotHeader {
    SnapshotHeader(
      cluster: testCluster, group: .first,
      last: LogBase(
        id: EntryID(term: Term(1), index: LogIndex(index)), chain: index,
        members: Codec.packed(Members(voters: [NodeID(1)]))),
      addresses: [], machineVersion: 1, time: index, digest: 0)
  }

  private func carryOut(_ job: SnapshotJob, in store: SnapshotStore) throws -> SnapshotResult {
    try carryOut(SnapshotWork(job, in: store))
  }

  private func carryOut(_ work: SnapshotWork) throws -> SnapshotResult {
    for _ in 0..<10_000 {
      if case .finished(let result) = try work.step(maximumBytes: 1 << 16) { return result }
    }
    throw StorageError.damaged(file: path, offset: 0, reason: "it does not come to an end")
  }

  private func open() throws -> NodeDirectory {
    try NodeDirectory.open(
      disk: PosixDisk(), path: path, cluster: testCluster, node: NodeID(1),
      members: [DiskIdentity.Member(node: NodeID(1), address: "127.0.0.1:1")],
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: LogOptions())
  }

  /// What becomes of two snapshots for want of room, `isDamaged`: a byte of the last one has changed since.
  private func trim(isDamaged: Bool) throws -> (result: SnapshotResult, left: [UInt64]) {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let directory = try open()
    defer { directory.close() }
    let store = SnapshotStore(directory)
    var kept: [StoredSnapshot] = []
    for index in [5, 9] as [UInt64] {
      let content = EncodedSnapshot(of: [UInt8](repeating: 7, count: 200_000)) { bytes, buffer in
        buffer.append(bytes)
        return false
      }
      let result = try carryOut(SnapshotJob(header: header(index), content: content, kept: kept), in: store)
      guard case .written(let snapshot) = result.outcome else { throw StorageError.stopped("\(result.outcome)") }
      kept.append(snapshot)
    }
    let last = try #require(kept.last)
    if isDamaged {
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: store.path(of: last.name)))
      try file.seek(toOffset: 100_000)
      try file.write(contentsOf: [1])
      try file.close()
    }
    let result = try carryOut(SnapshotJob(trimmingTo: last, from: kept.dropLast()), in: store)
    return (result, try store.names(of: .first).map(\.index.rawValue).sorted())
  }

  @Test(
    "trimming: the last one is read whole before the one before it goes; one that does not hold leaves that in place")
  func trimming() throws {
    let (sound, left) = try trim(isDamaged: false)
    guard case .trimmed = sound.outcome else { throw StorageError.stopped("\(sound.outcome)") }
    #expect(sound.unsound.isEmpty && left == [9])
    let (damaged, both) = try trim(isDamaged: true)
    #expect(damaged.unsound.map(\.index.rawValue) == [9] && both.contains(5))
  }

  /// Says with each piece whether anybody else holds the state.
  private struct Held: Snapshot {
    final class Token: Sendable {}
    var token = Token()
    var left = 20

    mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]? {
      guard isKnownUniquelyReferenced(&token) else { throw CallStatus(.internal, "somebody else holds the state") }
      left -= 1
      return left < 0 ? nil : [UInt8](repeating: 1, count: maximumBytes)
    }
  }

  @Test("the state is held once, so that what is written of it can be let go")
  func heldOnce() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let directory = try open()
    defer { directory.close() }
    let work = SnapshotWork(SnapshotJob(header: header(5), content: Held()), in: SnapshotStore(directory))
    let result = try carryOut(work)
    guard case .written = result.outcome else { throw StorageError.stopped("\(result.outcome)") }
  }
}
