import Foundation
import LockstepRequests
import Testing

@testable import Lockstep

extension Servers {
  /// What becomes of the snapshots that a node has, when it takes the next one.
  @Suite("Snapshots that are kept")
  struct SnapshotUpkeep {
    private static func name(_ index: UInt64) -> String {
      let number = String(index)
      return "snapshot-1-" + String(repeating: "0", count: 20 - number.count) + number
    }

    private static func names(_ cluster: Cluster) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: cluster.directory(1)).filter { $0.hasPrefix("snapshot-") }
        .sorted()
    }

    private static func snapshot(_ cluster: Cluster, _ client: LockstepClient) async throws -> UInt64 {
      try await client.put("k", "v")
      return try await client.takeSnapshot(timeout: .seconds(10)).snapshot.index
    }

    private static func logBegins(_ client: LockstepClient) async throws -> UInt64 {
      try await #require(client.status().groups.first).firstIndex
    }

    private static func damage(_ cluster: Cluster, _ index: UInt64) throws {
      let file = URL(fileURLWithPath: "\(cluster.directory(1))/\(name(index))")
      var bytes = try Data(contentsOf: file)
      bytes[bytes.count / 2] ^= 4
      try bytes.write(to: file)
    }

    private static func count(_ text: String, in cluster: Cluster) -> Int {
      cluster.logs.text.components(separatedBy: text).count - 1
    }

    @Test("one that is not needed and cannot be removed is told once, and tried again; the node goes on")
    func unremovable() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let stubborn = "\(cluster.directory(1))/\(Self.name(1))"
        try FileManager.default.createDirectory(atPath: stubborn, withIntermediateDirectories: false)
        for _ in 0..<4 { _ = try await Self.snapshot(cluster, client) }
        #expect(Self.count("warning: a snapshot that is not needed cannot be removed", in: cluster) == 1)
        #expect(cluster.logs.contains(stubborn))
        try FileManager.default.removeItem(atPath: stubborn)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: stubborn))
        let last = try await Self.snapshot(cluster, client)
        let names = try Self.names(cluster)
        #expect(names.count == 2 && names.last == Self.name(last), "\(names)")
      }
    }

    @Test("the one that the log is to begin behind is read whole first: a damaged one is told, and the log is kept")
    func damaged() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let first = try await Self.snapshot(cluster, client)
        let second = try await Self.snapshot(cluster, client)
        try await eventually("the log begins behind the first") { try await Self.logBegins(client) == first + 1 }
        try Self.damage(cluster, second)
        let third = try await Self.snapshot(cluster, client)
        #expect(cluster.logs.contains("warning: the snapshot up to entry \(second) does not hold any more"))
        // What is kept is one that was read whole, and the new one; and the log behind the older.
        #expect(try Self.names(cluster) == [Self.name(first), Self.name(third)])
        try await client.put("after", "1")
        #expect(try await Self.logBegins(client) == first + 1)
        // Now the last one is damaged, too.
        try await cluster.stop(1)
        try Self.damage(cluster, third)
        try await cluster.start(1)
        try await cluster.waitForLeader()
        let again = cluster.client()
        #expect(try await again.get("after") == "1")
        let fourth = try await Self.snapshot(cluster, again)
        let fifth = try await Self.snapshot(cluster, again)
        try await eventually("it goes on from there") { try await Self.logBegins(again) == fourth + 1 }
        #expect(try Self.names(cluster) == [Self.name(fourth), Self.name(fifth)])
      }
    }
  }
}
