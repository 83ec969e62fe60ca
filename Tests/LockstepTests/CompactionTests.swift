import Foundation
import LockstepRequests
import Testing

@testable import Lockstep

extension Servers {
  @Suite("A log that ends")
  struct Compaction {
    private static func small(_ configuration: inout ServerConfiguration) {
      configuration.snapshotLogBytes = 256 << 10
    }

    /// About as many MiB as commands: 32 of 32 KiB each.
    private func write(_ count: Int, _ client: LockstepClient, _ name: String) async throws {
      let value = String(repeating: "v", count: 32 << 10)
      for number in 0..<32 * count { try await client.put("\(name)-\(number % 8)", "\(number) \(value)") }
    }

    private func group(_ cluster: Cluster, _ id: UInt64) async throws -> GroupReport {
      let client = cluster.client(id)
      let report = try await client.status()
      await client.close()
      return try #require(report.groups.first)
    }

    private func files(_ cluster: Cluster, _ id: UInt64) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: cluster.directory(id)).sorted()
    }

    @Test("what is in two snapshots leaves the log, the disk stays small, and all of it is there after a restart")
    func ends() async throws {
      try await Cluster.with(3, Self.small) { cluster in
        let client = cluster.client()
        try await client.put("before", "1")
        try await write(8, client, "a")
        for id in 1...3 as ClosedRange<UInt64> {
          try await eventually("node \(id) has given up its oldest files") {
            let group = try await group(cluster, id)
            let logs = try files(cluster, id).filter { $0.hasPrefix("log-") }
            return group.firstIndex > 100 && (group.snapshot?.index ?? 0) > group.firstIndex && logs.count <= 5
          }
          #expect(try files(cluster, id).filter { $0.hasPrefix("snapshot-") }.count >= 2)
        }
        for id in 1...3 as ClosedRange<UInt64> { try await cluster.stop(id) }
        try await cluster.startAll(Self.small)
        try await cluster.waitForLeader()
        #expect(cluster.logs.contains("restored the state up to entry"))
        let fresh = cluster.client()
        #expect(try await fresh.get("before") == "1")
        #expect(try await fresh.get("a-7")?.hasPrefix("255 ") == true)
        try await write(2, fresh, "b")
        for id in 1...3 as ClosedRange<UInt64> { #expect(try await group(cluster, id).firstIndex > 100) }
      }
    }

    @Test("a follower that is away is not left behind: the log is kept until it has all of it")
    func heldBack() async throws {
      try await Cluster.with(3, Self.small) { cluster in
        let leader = try await cluster.waitForLeader()
        let away = leader % 3 + 1
        try await cluster.stop(away)
        let client = cluster.client(leader)
        try await client.put("first", "1")
        let before = try await group(cluster, leader)
        try await write(4, client, "a")
        let after = try await group(cluster, leader)
        #expect(after.firstIndex <= before.lastIndex && (after.snapshot?.index ?? 0) > before.lastIndex)
        try await cluster.start(away, Self.small)
        try await eventually("it catches up, and the log is let go") {
          let (one, other) = try await (group(cluster, leader), group(cluster, away))
          return one.digest == other.digest && one.firstIndex > before.lastIndex
        }
      }
    }

    @Test(
      "a follower that is away for too long gets a snapshot, from the other follower, and votes and serves as before")
    func leftBehind() async throws {
      func brief(_ configuration: inout ServerConfiguration) {
        Self.small(&configuration)
        configuration.retainedBytes = 0
      }
      try await Cluster.with(3, brief) { cluster in
        let leader = try await cluster.waitForLeader()
        let (away, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        try await cluster.stop(away)
        let client = cluster.client(leader)
        let before = try await group(cluster, leader)
        try await write(4, client, "a")
        try await eventually("both begin further on") {
          let groups = try await (group(cluster, leader), group(cluster, other))
          return min(groups.0.firstIndex, groups.1.firstIndex) > before.lastIndex + 1
        }
        try await cluster.start(away, brief)
        try await eventually("it has all of it") {
          let (one, two) = try await (group(cluster, leader), group(cluster, away))
          return one.digest == two.digest && one.appliedIndex == two.appliedIndex
            && two.firstIndex > before.lastIndex + 1
        }
        #expect(cluster.logs.contains("node\(other) notice: node \(away) reads the snapshot up to entry"))
        #expect(cluster.logs.contains("node\(away) notice: installed the snapshot up to entry"))
        // What it has got is its own from now on: after a restart too, and for a majority with it alone.
        try await cluster.stop(away)
        try await cluster.start(away, brief)
        try await cluster.stop(other)
        try await write(1, client, "b")
        let fresh = cluster.client(away)
        #expect(try await fresh.get("b-7")?.hasPrefix("31 ") == true)
        #expect(try await fresh.get("a-7")?.hasPrefix("127 ") == true)
      }
    }

    @Test("a damaged snapshot is named, and the one before it serves, with the log behind that")
    func damaged() async throws {
      try await Cluster.with(1, Self.small) { cluster in
        try await write(4, cluster.client(), "a")
        try await eventually("two snapshots") { try files(cluster, 1).filter { $0.hasPrefix("snapshot-") }.count == 2 }
        try await cluster.stop(1)
        let newest = try #require(files(cluster, 1).filter { $0.hasPrefix("snapshot-") }.last)
        let path = "\(cluster.directory(1))/\(newest)"
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        bytes[bytes.count / 2] ^= 4
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try await cluster.startAll(Self.small)
        try await cluster.waitForLeader()
        #expect(cluster.logs.contains("\(newest) is damaged at byte"))
        #expect(try await cluster.client().get("a-7")?.hasPrefix("127 ") == true)
      }
    }

    @Test("an operator's snapshot is durable when it is answered, and says up to where it reaches")
    func asked() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        try await client.put("k", "v")
        let done = try await client.takeSnapshot(timeout: .seconds(10))
        #expect(done.node == 1 && done.snapshot.index >= 2 && done.nanoseconds > 0)
        #expect(
          try files(cluster, 1).contains { $0.hasPrefix("snapshot-1-") && $0.hasSuffix("\(done.snapshot.index)") })
        let again = try await client.takeSnapshot(timeout: .seconds(10))
        #expect(again.snapshot == done.snapshot && again.nanoseconds == 0)
      }
    }

    @Test("no segment is larger than segments are to be, and the first one neither")
    func segmentSize() async throws {
      try await Cluster.with(1) { cluster in
        try await cluster.client().put("k", "v")
        let path = "\(cluster.directory(1))/log-0000000001"
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        #expect(size == 1 << 20)
      }
    }
  }
}
