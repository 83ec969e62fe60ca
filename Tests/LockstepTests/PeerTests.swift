import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepServices
import LockstepWire
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Whom nodes take part with")
  struct Peers {
    private func copy(_ cluster: Cluster, _ id: UInt64) throws -> String {
      let copy = cluster.directory(id) + ".copy"
      try FileManager.default.copyItem(atPath: cluster.directory(id), toPath: copy)
      return copy
    }

    private func putBack(_ cluster: Cluster, _ id: UInt64, _ copy: String) throws {
      try FileManager.default.removeItem(atPath: cluster.directory(id))
      try FileManager.default.moveItem(atPath: copy, toPath: cluster.directory(id))
    }

    @Test("an older copy of a directory, started as often as the original, is refused")
    func copyStartedOnce() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let old = leader % 3 + 1
        try await cluster.stop(old)
        let copy = try copy(cluster, old)
        try await cluster.start(old)
        try await cluster.client(leader).put("k", "1")
        try await eventually("it takes part") { try await cluster.client(old).get("k", .any) == "1" }
        try await cluster.stop(old)
        try putBack(cluster, old, copy)
        try await cluster.start(old) { $0.isDirectoryMoved = true }
        try await eventually("the refusal is logged by both: \(cluster.logs.text)") {
          cluster.logs.contains("is refused: two processes run under the number of node \(old)")
            && cluster.logs.contains("node\(old) error: node \(leader) refuses this node")
            && cluster.logs.contains("node\(old) error: this node is refused by")
        }
      }
    }

    /// Writes, and copies the directory of node 2 before the last write: nodes 1 and 2 have that, and node 3, stopped, has
    /// never heard of it.
    private func writeBehindCopy(_ cluster: Cluster) async throws -> String {
      try await cluster.waitForLeader(is: 1)
      try await cluster.client(1).put("a", "old")
      try await eventually("all have it") { try await cluster.client(2).get("a", .any) == "old" }
      let copy = try copy(cluster, 2)
      try await cluster.stop(3)
      try await cluster.client(1).put("a", "new")
      return copy
    }

    @Test("a directory rolled back to before what it has acknowledged is refused, also after the leader's restart")
    func rolledBack() async throws {
      try await Cluster.with(3, preferredLeader: 1) { cluster in
        let copy = try await writeBehindCopy(cluster)
        try await cluster.stop(2)
        try putBack(cluster, 2, copy)
        try await cluster.start(2) { $0.isDirectoryMoved = true }
        try await eventually("it is refused: \(cluster.logs.text)") {
          cluster.logs.contains("is refused: node 2 comes back with a log up to entry")
        }
        try await cluster.stop(1)
        try await cluster.start(1)
        try await eventually("it is refused by what was stored: \(cluster.logs.text)") {
          await cluster.status(1)?.role != .leader
            && cluster.logs.text.components(separatedBy: "is refused: node 2 comes back").count > 2
        }
        // With the third node the acknowledged value is still there.
        try await cluster.start(3)
        try await eventually("the majority that has it serves it") {
          (try? await cluster.client(1).get("a")) == "new"
        }
      }
    }

    @Test("a directory rolled back is refused also where no other node has seen what it lacks")
    func rolledBackUnseen() async throws {
      try await Cluster.with(3, preferredLeader: 1) { cluster in
        let copy = try await writeBehindCopy(cluster)
        try await cluster.stop(1)
        try await cluster.stop(2)
        try putBack(cluster, 2, copy)
        let refused = try await startFailure { try await cluster.start(2) }
        #expect(refused.kind == .identity && refused.message.contains("the directory is a copy"))
        try await cluster.start(3)
        try await cluster.start(1)
        try await eventually("the majority that has it serves it") {
          (try? await cluster.client(1).get("a")) == "new"
        }
      }
    }

    @Test("a directory that was moved is taken when it is said to be, and is the node's own from then on")
    func moved() async throws {
      try await Cluster.with(3) { cluster in
        let other = try await cluster.waitForLeader() % 3 + 1
        try await cluster.client().put("a", "1")
        try await cluster.stop(other)
        try putBack(cluster, other, try copy(cluster, other))
        let refused = try await startFailure { try await cluster.start(other) }
        #expect(refused.kind == .identity && refused.message.contains("--moved-directory"))
        try await cluster.start(other) { $0.isDirectoryMoved = true }
        try await eventually("it takes part") { try await cluster.client(other).get("a") == "1" }
        try await cluster.stop(other)
        try await cluster.start(other)
        try await eventually("and again") { try await cluster.client(other).get("a") == "1" }
      }
    }

    @Test("a second process under a number, on a copy of the directory, is named as such; one of them takes part")
    func clone() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let double = leader % 3 + 1
        let copy = try copy(cluster, double)
        var configuration = cluster.configuration(double)
        configuration.directory = copy
        configuration.isDirectoryMoved = true
        configuration.listen = Endpoint(host: "127.0.0.1", port: FreePorts.next())
        configuration.peerListen = Endpoint(host: "127.0.0.1", port: FreePorts.next())
        let clone = try await LockstepServer.start(
          configuration, machine: ServiceMachine(services: [KeyValue.self, Counter.self]),
          logger: cluster.logs.logger("clone"))
        try await eventually("both are told: \(cluster.logs.text)") {
          cluster.logs.contains("or two processes run under the number of node \(double)")
            && cluster.logs.contains("node\(double) error: node \(leader) refuses this node")
        }
        for number in 0..<20 { try await cluster.client(leader).put("k", "\(number)") }
        clone.stop()
        try await clone.waitUntilStopped()
        #expect(try await cluster.client(leader).get("k") == "19")
      }
    }

    @Test("what one node has taken from a client, all take from it, whatever they take from theirs")
    func limits() async throws {
      try await Cluster.with(3, preferredLeader: 1) { cluster in
        try await cluster.waitForLeader(is: 1)
        try await cluster.stop(1)
        try await cluster.start(1) { $0.maximumRequestBytes = 8 << 20 }
        try await cluster.waitForLeader(is: 1)
        try await cluster.stop(3)
        let value = String(repeating: "v", count: 5 << 20)
        try await cluster.client(1).put("k", value, timeout: .seconds(10))
        // The one that was away gets it from a leader that would not take as much itself any more.
        try await cluster.stop(1)
        try await cluster.start(1)
        try await cluster.start(3)
        try await cluster.waitForLeader(is: 1)
        let last = try #require(await cluster.status(1)?.lastIndex)
        try await eventually("it has arrived: \(cluster.logs.text.suffix(3000))") {
          await cluster.status(3)?.appliedIndex ?? 0 >= last
        }
      }
    }

    @Test("nodes of one cluster that were started with different members refuse each other, and say which")
    func members() async throws {
      let cluster = try Cluster(3)
      for id in 1...2 as ClosedRange<UInt64> { try await cluster.start(id) { $0.cluster = "one" } }
      try await cluster.start(3) {
        $0.cluster = "one"
        let endpoint = Endpoint(host: "127.0.0.1", port: FreePorts.next())
        $0.members.append(ServerConfiguration.Member(id: 4, peerEndpoint: endpoint))
      }
      try await eventually("both sides say so: \(cluster.logs.text)") {
        cluster.logs.contains("node 3 was started with the members 1, 2, 3, 4, node 1 with the members 1, 2, 3")
          && cluster.logs.contains("node3 error: node 1 refuses this node")
      }
      try await cluster.end()
    }

    @Test("a node that came with the directory of another cluster of the same name is let in with an empty one")
    func wrongDirectory() async throws {
      try await Cluster.with(3) { cluster in
        try await cluster.client().put("k", "v")
        for id in 1...3 as ClosedRange<UInt64> { try await cluster.stop(id) }
        // Nodes 1 and 2 begin anew; node 3 still has its directory from before.
        for id in 1...2 as ClosedRange<UInt64> {
          try FileManager.default.removeItem(atPath: cluster.directory(id))
          try await cluster.start(id)
        }
        try await cluster.waitForLeader()
        try await cluster.start(3)
        for id in 1...2 as ClosedRange<UInt64> {
          try await eventually("node 3 does not know them, and they hear of it: \(cluster.logs.text)") {
            cluster.logs.contains("node\(id) error: node 3 refuses this node: node \(id) comes with another disk")
          }
        }
        try await cluster.stop(3)
        try FileManager.default.removeItem(atPath: cluster.directory(3))
        try await cluster.start(3)
        try await cluster.client(1, 2).put("k", "w")
        try await eventually("it takes part: \(cluster.logs.text)") {
          try await cluster.client(3).get("k", .any) == "w"
        }
        #expect(!cluster.logs.contains("which is not for this port"))
      }
    }
  }
}
