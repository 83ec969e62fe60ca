import Foundation
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import Lockstep

extension Servers {
  /// What a node makes of a directory in which something is missing, damaged, or somebody else's.
  @Suite("Starts")
  struct Starts {
    private static func small(_ configuration: inout ServerConfiguration) {
      configuration.snapshotLogBytes = 256 << 10
    }

    private static func files(_ cluster: Cluster, _ prefix: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: cluster.directory(1)).filter { $0.hasPrefix(prefix) }.sorted()
    }

    private static func remove(_ cluster: Cluster, _ name: String) throws {
      try FileManager.default.removeItem(atPath: "\(cluster.directory(1))/\(name)")
    }

    /// One node, stopped, with a log that begins behind the older of its two snapshots.
    private static func withStopped(_ body: (Cluster) async throws -> Void) async throws {
      try await Cluster.with(1, small) { cluster in
        let client = cluster.client()
        let value = String(repeating: "v", count: 32 << 10)
        for number in 0..<128 { try await client.put("k\(number % 8)", "\(number) \(value)") }
        try await eventually("its first segments are gone, and no snapshot is under way") {
          let names = try files(cluster, "snapshot-")
          return try files(cluster, "log-").first != "log-0000000001" && names.count == 2
            && !names.contains { $0.hasSuffix(".new") }
        }
        try await cluster.stop(1)
        try await body(cluster)
      }
    }

    /// A whole snapshot in the node's directory that it has not made. Returns its path.
    @discardableResult
    private static func forge(
      _ cluster: Cluster, behind index: UInt64? = nil, _ change: (inout SnapshotHeader) -> Void = { _ in }
    ) throws -> String {
      let directory = cluster.directory(1)
      let newest = try #require(files(cluster, "snapshot-").last)
      var header = try SnapshotFile(disk: PosixDisk(), path: "\(directory)/\(newest)").header
      header.last.id = EntryID(
        term: header.last.id.term, index: LogIndex(index ?? header.last.id.index.rawValue + 1))
      change(&header)
      let writer = try SnapshotWriter(disk: PosixDisk(), directory: directory, header: header)
      try writer.append([1, 2, 3])
      _ = try writer.finish()
      return "\(directory)/\(SnapshotName(group: header.group, index: header.last.id.index))"
    }

    private static func failure(_ cluster: Cluster) async throws -> ServerFailure {
      try await startFailure { try await cluster.start(1, small) }
    }

    @Test(
      "what is missing of a directory fails as 'damaged', with the file, and with what is to be done",
      arguments: ["the first segment", "a segment in the middle", "all segments", "the identity", "the snapshots"])
    func missing(what: String) async throws {
      try await Self.withStopped { cluster in
        let logs = try Self.files(cluster, "log-")
        var named = ""
        switch what {
        case "the first segment": named = logs[0]
        case "a segment in the middle": named = logs[1]
        case "all segments": named = "log-0000000001"
        case "the identity": named = "identity"
        default: named = cluster.directory(1)
        }
        switch what {
        case "all segments": for log in logs { try Self.remove(cluster, log) }
        case "the snapshots": for name in try Self.files(cluster, "snapshot-") { try Self.remove(cluster, name) }
        default: try Self.remove(cluster, named)
        }
        let failed = try await Self.failure(cluster)
        #expect(failed.kind == .damaged && failed.message.contains(named), "\(failed.kind): \(failed)")
        #expect(failed.message.contains("put it back") && failed.message.contains("not allowed"), "\(failed)")
      }
    }

    @Test("a snapshot beyond the end of the log fails as 'damaged', whole or not, and an older one does not hide it")
    func ahead() async throws {
      try await Self.withStopped { cluster in
        let path = try Self.forge(cluster, behind: 1_000_000)
        for isWhole in [true, false] {
          if !isWhole {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[100] ^= 4
            try bytes.write(to: URL(fileURLWithPath: path))
          }
          let failed = try await Self.failure(cluster)
          #expect(failed.kind == .damaged && failed.message.contains(path), "\(failed.kind): \(failed)")
          #expect(failed.message.contains("its end was lost") && failed.message.contains("put it back"), "\(failed)")
          #expect(FileManager.default.fileExists(atPath: path))
        }
      }
    }

    @Test("another cluster's snapshot is named and left where it is, also where one is to be written; its own serve")
    func foreign() async throws {
      try await Self.withStopped { cluster in
        // With one of all that is there, none is due at the start that is looked at.
        try await cluster.start(1, Self.small)
        try await cluster.waitForLeader()
        _ = try await cluster.client().takeSnapshot(timeout: .seconds(10))
        try await cluster.stop(1)
        let newest = try #require(Self.files(cluster, "snapshot-").last)
        // The first are where the node would put its next one: behind the entry of its next term, or of one after that, as
        // a node whose disk is slow leads anew.
        let last = try SnapshotFile(disk: PosixDisk(), path: "\(cluster.directory(1))/\(newest)").header.last.id.index
        let next = (1...8).map { last.rawValue + $0 }
        let paths = try (next + [1_000_000, 1]).map { index in
          try Self.forge(cluster, behind: index) { $0.cluster = Array(repeating: 1, count: 16) }
        }
        func bytes() throws -> [Data] { try paths.map { try Data(contentsOf: URL(fileURLWithPath: $0)) } }
        let before = try bytes()
        try await cluster.start(1, Self.small)
        try await cluster.waitForLeader()
        #expect(cluster.logs.contains("restored the state"))
        for path in paths.dropLast() {
          #expect(cluster.logs.contains("\(path) is a snapshot of another cluster"), "\(cluster.logs.text)")
        }
        let client = cluster.client()
        #expect(try await client.get("k7")?.hasPrefix("127 ") == true)
        let failure = await #expect(throws: CallFailure.self) {
          try await client.takeSnapshot(timeout: .seconds(10))
        }
        let text = "\(try #require(failure))"
        #expect(paths.prefix(next.count).contains { text.contains($0) } && text.contains("move it away"), "\(text)")
        #expect(try bytes() == before)
        for number in next.indices { try await client.put("k8", "\(number)") }
        let done = try await client.takeSnapshot(timeout: .seconds(10))
        try await eventually("the older of its own is gone") {
          let names = try Self.files(cluster, "snapshot-").filter { name in !paths.contains { $0.hasSuffix(name) } }
          return names.count == 2 && names.last?.hasSuffix("\(done.snapshot.index)") == true && names.first == newest
        }
        for path in paths { #expect(FileManager.default.fileExists(atPath: path), "\(path)") }
      }
    }
  }
}
