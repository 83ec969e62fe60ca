import LockstepConsensus
import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepWire
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Who a node is")
  struct Identity {
    @Test("another cluster's node at a member's address is refused, and the reason is logged")
    func wrongCluster() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let stranger = leader % 3 + 1
        try await cluster.stop(stranger)
        try FileManager.default.removeItem(atPath: cluster.directory(stranger))
        try await cluster.start(stranger) { $0.cluster = "another" }
        try await eventually("the refusal is logged") { cluster.logs.contains("this is cluster") }
        try await cluster.client(leader).put("k", "v")
        let alone = try await failure {
          try await cluster.client(stranger).put("k", "v", timeout: .milliseconds(200))
        }
        #expect(alone.applied == .no)
      }
    }

    @Test("a wiped disk under the old number is refused: no vote, no acknowledgement")
    func wiped() async throws {
      try await Cluster.patient(3) { cluster in
        try await cluster.client().put("k", "v")
        let leader = try await cluster.waitForLeader()
        let (wiped, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        try await cluster.stop(wiped)
        try FileManager.default.removeItem(atPath: cluster.directory(wiped))
        try await cluster.start(wiped)
        try await eventually("the refusal is logged: \(cluster.logs.text)") {
          cluster.logs.contains("node \(wiped) comes with another disk than it had")
        }
        try await cluster.client(leader).put("k", "w")
        // With the third node gone, the wiped one would make a majority, if it were let in.
        try await cluster.stop(other)
        let failed = try await failure {
          try await cluster.client(leader).put("k", "x", timeout: .milliseconds(600))
        }
        #expect(failed.applied == .unknown)
        try await eventually("the lead is given up") { await cluster.leader() == nil }
        #expect(await cluster.status(wiped)?.lastIndex == 0)
      }
    }

    @Test("a wiped disk with its operator's word: a learner, then a voter, that makes a majority with one other")
    func replaced() async throws {
      try await Cluster.patient(3) { cluster in
        for number in 1...20 { try await cluster.client().put("k", "\(number)") }
        let leader = try await cluster.waitForLeader()
        let (wiped, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        try await cluster.stop(wiped)
        let failed = try await startFailure { try await cluster.start(wiped) { $0.replacesDisk = true } }
        #expect(failed.kind == .identity && failed.message.contains("--replace-disk is for an empty directory"))
        try FileManager.default.removeItem(atPath: cluster.directory(wiped))
        try await cluster.start(wiped)
        try await eventually("the remedy is logged: \(cluster.logs.text)") {
          cluster.logs.contains("with --replace-disk on an empty directory")
        }
        try await cluster.stop(wiped)
        try FileManager.default.removeItem(atPath: cluster.directory(wiped))
        try await cluster.start(wiped) { $0.replacesDisk = true }
        try await eventually("it votes again: \(cluster.logs.text)") {
          guard let status = await cluster.status(wiped) else { return false }
          return !status.isAwaitingAdmission && status.voters == [1, 2, 3]
        }
        #expect(cluster.logs.contains("\(wiped) is a learner"))
        // A second start, with the word or without it.
        try await cluster.stop(wiped)
        try await cluster.start(wiped) { $0.replacesDisk = true }
        try await cluster.stop(wiped)
        try await cluster.start(wiped)
        try await cluster.stop(other)
        try await eventually("the two go on") {
          try await cluster.client(wiped).put("k", "after", timeout: .seconds(1))
          return try await cluster.client(wiped).get("k", .linearizable) == "after"
        }
      }
    }

    @Test("an older copy of a directory is refused, with the reason")
    func olderCopy() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let old = leader % 3 + 1
        try await cluster.stop(old)
        let copy = cluster.directory(old) + ".copy"
        try FileManager.default.copyItem(atPath: cluster.directory(old), toPath: copy)
        for number in 1...2 {
          try await cluster.start(old)
          try await cluster.client(leader).put("k", "\(number)")
          try await eventually("it takes part") { try await cluster.client(old).get("k", .any) == "\(number)" }
          try await cluster.stop(old)
        }
        try FileManager.default.removeItem(atPath: cluster.directory(old))
        try FileManager.default.moveItem(atPath: copy, toPath: cluster.directory(old))
        try await cluster.start(old) { $0.isDirectoryMoved = true }
        try await eventually("the refusal is logged") {
          cluster.logs.contains("node \(old) comes with an older copy of its disk")
        }
        try await cluster.client(leader).put("k", "3")
        #expect(await cluster.status(old)?.role != .leader)
      }
    }

    @Test("a second server on one directory fails as 'locked'; the first does not mind")
    func locked() async throws {
      try await Cluster.with(1) { cluster in
        let failed = try await startFailure {
          try await cluster.start(1) {
            $0.listen = Endpoint(host: "127.0.0.1", port: FreePorts.next())
          }
        }
        #expect(failed.kind == .locked)
        try await cluster.client().put("k", "v")
      }
    }

    @Test("a directory of another node fails as 'identity', and so does one of another cluster or other members")
    func identity() async throws {
      let cluster = try Cluster(2)
      try await cluster.start(1)
      try await cluster.stop(1)
      let other = try await startFailure { try await cluster.start(2) { $0.directory = cluster.directory(1) } }
      #expect(other.kind == .identity && other.message.contains("node 1"))
      let foreign = try await startFailure { try await cluster.start(1) { $0.cluster = "another" } }
      #expect(foreign.kind == .identity)
      let members = try await startFailure { try await cluster.start(1) { $0.members.removeLast() } }
      #expect(members.kind == .identity)
      try await cluster.start(1)
      try await cluster.end()
    }

    @Test("a port that is taken fails as 'listen', and gives the directory back")
    func portTaken() async throws {
      let cluster = try Cluster(1)
      let taken = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      let port = FreePorts.next()
      #expect(bindLoopback(taken, port) && listen(taken, 1) == 0)
      let endpoint = Endpoint(host: "127.0.0.1", port: port)
      for _ in 0..<2 {
        let client = try await startFailure { try await cluster.start(1) { $0.listen = endpoint } }
        #expect(client.kind == .listen && client.message.contains("\(port)"))
        let peer = try await startFailure { try await cluster.start(1) { $0.peerListen = endpoint } }
        #expect(peer.kind == .listen)
      }
      close(taken)
      try await cluster.start(1)
      try await cluster.waitForLeader()
      try await cluster.client().put("k", "v")
      try await cluster.end()
    }

    @Test("a damaged log fails as 'damaged', with file and offset")
    func damaged() async throws {
      try await Cluster.with(1) { cluster in
        for number in 1...5 { try await cluster.client().put("k\(number)", String(repeating: "v", count: 3000)) }
        try await cluster.stop(1)
        let file = cluster.directory(1) + "/log-0000000001"
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: 5000)
        handle.write(Data(repeating: 0x5a, count: 16))
        try handle.close()
        let failed = try await startFailure { try await cluster.start(1) }
        #expect(failed.kind == .damaged && failed.message.contains("log-0000000001"))
      }
    }

    @Test("configurations that make no sense fail as 'usage', in words", arguments: 0..<6)
    func usage(number: Int) async throws {
      let cluster = try Cluster(3)
      let failed = try await startFailure {
        try await cluster.start(1) {
          switch number {
          case 0: $0.members = []
          case 1: $0.id = 9
          case 2: $0.preferredLeader = 9
          case 3: $0.members[1].id = 1
          case 4: $0.members[1].peerEndpoint = $0.members[0].peerEndpoint
          default: $0.maximumRequestBytes = 0
          }
        }
      }
      #expect(failed.kind == .configuration && !failed.message.isEmpty)
      try await cluster.end()
    }
  }
}
