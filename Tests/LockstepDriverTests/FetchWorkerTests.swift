import Dispatch
import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepWire
import Synchronization
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

    var followsWhatComes: Bool { false }
    func follow(_ file: ArrivingFile) {}

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

  /// A node to which the bytes of a file come, in pieces of 40,000.
  private final class Receiver {
    let worker: FetchWorker
    private let bytes: [UInt8]
    private(set) var sent = 0

    init(_ worker: FetchWorker, _ bytes: [UInt8]) throws {
      (self.worker, self.bytes) = (worker, bytes)
      guard case .prepared(nil, bytes: 0) = worker.run(.prepare(.first, atLeast: LogIndex(5))) else {
        throw StorageError.stopped("there is something already")
      }
    }

    var isWhole: Bool { sent == bytes.count }

    func receive() throws {
      let end = min(bytes.count, sent + 40_000)
      let part = SnapshotPart.Found(
        index: LogIndex(5), fileBytes: bytes.count, offset: sent, data: Array(bytes[sent..<end]))
      guard case .written = worker.run(.write(.first, part)) else { throw StorageError.stopped("not written") }
      sent = end
    }

    func receiveAll() throws { while !isWhole { try receive() } }
  }

  private func withDirectories(_ body: (_ file: [UInt8], SnapshotStore) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
    defer { for name in ["a", "b"] { try? FileManager.default.removeItem(atPath: path + name) } }
    let bytes = try file(path + "a")
    let target = try directory(path + "b")
    defer { target.close() }
    try body(bytes, SnapshotStore(target))
  }

  @Test("a state is made before its snapshot has arrived, and begins after that: no start finds it earlier")
  func order() throws {
    try withDirectories { bytes, store in
      let installer = Noting(store)
      let receiver = try Receiver(FetchWorker(store: store, installer: installer), bytes)
      try receiver.receiveAll()
      guard case .restored(let snapshot, _) = receiver.worker.run(.restore(Term(3))) else {
        throw StorageError.stopped("not restored")
      }
      #expect(snapshot.last.index == LogIndex(5))
      #expect(installer.atPrepare == [] && installer.atBegin == [LogIndex(5)])
    }
  }

  // MARK: Restoring while it comes

  /// What became of each time that a state was made of a file: how many bytes the state had; nil: it failed.
  private final class Restored: Sendable {
    private let results = Mutex<[Int?]>([])
    private let ended = DispatchSemaphore(value: 0)
    var all: [Int?] { results.withLock { $0 } }

    func installer() -> MemoryInstaller {
      MemoryInstaller(inBackground: { body in
        Thread {
          body()
          self.ended.signal()
        }.start()
      }) { file throws(StorageError) in
        var bytes: Int?
        defer { self.results.withLock { $0.append(bytes) } }
        var count = 0
        while let piece = try file.next() { count += piece.count }
        bytes = count
        return ImmediateApplier(group: .first, machine: Tape())
      }
    }

    /// Whether the thread in the background ends.
    func ends() -> Bool { ended.wait(timeout: .now() + 30) == .success }
  }

  @Test("what comes is read while the rest comes, and once")
  func ahead() throws {
    try withDirectories { bytes, store in
      let restored = Restored()
      let receiver = try Receiver(FetchWorker(store: store, installer: restored.installer()), bytes)
      try receiver.receiveAll()
      // Before anybody has asked for the state.
      #expect(restored.ends() && restored.all == [100_000])
      guard case .restored = receiver.worker.run(.restore(Term(3))) else { throw StorageError.stopped("not restored") }
      #expect(restored.all == [100_000])
    }
  }

  @Test("what comes damaged is read once more when all of it is there, and then refused for what is wrong with it")
  func aheadOfDamage() throws {
    try withDirectories { bytes, store in
      var bytes = bytes
      bytes[60_000] ^= 1
      let restored = Restored()
      let receiver = try Receiver(FetchWorker(store: store, installer: restored.installer()), bytes)
      try receiver.receiveAll()
      guard case .damaged(let reason) = receiver.worker.run(.restore(Term(3))) else {
        throw StorageError.stopped("not refused")
      }
      #expect(reason.contains("checksum") && restored.ends() && restored.all == [nil, nil])
    }
  }

  @Test("nobody waits for what does not come any more: dropped, stopped, or begun anew", arguments: 0..<3)
  func aheadOfNothing(how: Int) throws {
    try withDirectories { bytes, store in
      let restored = Restored()
      let receiver = try Receiver(FetchWorker(store: store, installer: restored.installer()), bytes)
      try receiver.receive()
      switch how {
      case 0: _ = receiver.worker.run(.drop)
      case 1: receiver.worker.stop()
      default: _ = receiver.worker.run(.prepare(.first, atLeast: LogIndex(5)))
      }
      #expect(restored.ends() && restored.all.allSatisfy { $0 == nil })
    }
  }
}
