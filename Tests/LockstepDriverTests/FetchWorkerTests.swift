import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("What a fetch does with the disk")
struct FetchWorkerTests {
  /// Notes which snapshots a start would find when it is told what.
  private final class Noting: StateInstaller {
    private let store: SnapshotStore
    private(set) var atPrepare: [LogIndex]?
    private(set) var atBegin: [LogIndex]?

    init(_ store: SnapshotStore) { self.store = store }

    func prepare(_ file: SnapshotFile) throws(StoredStateFailure) {
      atPrepare = try onStorage { () throws(StorageError) in
        _ = try file.verify()
        return try store.names(of: .first).map(\.index)
      }
    }

    func begin() throws(StorageError) -> any Applier {
      atBegin = try store.names(of: .first).map(\.index)
      return ImmediateApplier(group: .first, machine: Tape())
    }

    func settle(isOfUse: Bool) {}
  }

  private func directory(_ path: String) throws -> NodeDirectory {
    try NodeDirectory.open(
      disk: PosixDisk(), path: path, cluster: testCluster, node: NodeID(1),
      members: [DiskIdentity.Member(node: NodeID(1), address: "127.0.0.1:1")],
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: LogOptions())
  }

  /// The bytes of a snapshot that another node has written, up to entry 5.
  private func file(_ path: String) throws -> [UInt8] {
    let directory = try directory(path)
    defer { directory.close() }
    let store = SnapshotStore(directory)
    let header = SnapshotHeader(
      cluster: testCluster, group: .first,
      last: LogBase(
        id: EntryID(term: Term(1), index: LogIndex(5)), chain: 5,
        members: Codec.packed(Members(voters: [NodeID(1)]))),
      addresses: [], machineVersion: 1, time: 5, digest: 0)
    let content = EncodedSnapshot(of: [UInt8](repeating: 7, count: 100_000)) { bytes, buffer in
      buffer.append(bytes)
      return false
    }
    let work = SnapshotWork(SnapshotJob(header: header, content: content), in: store)
    for _ in 0..<1000 {
      guard case .finished(let result) = try work.step(maximumBytes: 1 << 16) else { continue }
      guard case .written(let snapshot) = result.outcome else { throw StorageError.stopped("\(result.outcome)") }
      return [UInt8](try Data(contentsOf: URL(fileURLWithPath: store.path(of: snapshot.name))))
    }
    throw StorageError.stopped("the snapshot does not come to an end")
  }

  @Test("a state is made before its snapshot has arrived, and begins after that: no start finds it earlier")
  func order() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
    defer { for name in ["a", "b"] { try? FileManager.default.removeItem(atPath: path + name) } }
    let bytes = try file(path + "a")
    let target = try directory(path + "b")
    defer { target.close() }
    let store = SnapshotStore(target)
    let installer = Noting(store)
    let worker = FetchWorker(store: store, installer: installer)
    guard case .prepared(nil, bytes: 0) = worker.run(.prepare(.first, atLeast: LogIndex(5))) else {
      throw StorageError.stopped("there is something already")
    }
    for start in stride(from: 0, to: bytes.count, by: 40_000) {
      let part = SnapshotPart.Found(
        index: LogIndex(5), fileBytes: bytes.count, offset: start,
        data: Array(bytes[start..<min(bytes.count, start + 40_000)]))
      guard case .written = worker.run(.write(.first, part)) else { throw StorageError.stopped("not written") }
    }
    guard case .restored(let snapshot, _) = worker.run(.restore(Term(3))) else {
      throw StorageError.stopped("not restored")
    }
    #expect(snapshot.last.index == LogIndex(5))
    #expect(installer.atPrepare == [] && installer.atBegin == [LogIndex(5)])
  }
}
