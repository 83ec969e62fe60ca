import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Calls")
  struct Calls {
    @Test("three nodes: what is put on any of them is read on every one, at every level that is served")
    func everywhere() async throws {
      try await Cluster.with(3) { cluster in
        for writer in 1...3 as ClosedRange<UInt64> {
          let reply = try await cluster.client(writer).put("k\(writer)", "v\(writer)")
          #expect(reply.index > 0 && reply.acknowledgement == .quorum && reply.holders.count >= 2)
          for reader in 1...3 as ClosedRange<UInt64> {
            let client = cluster.client(reader)
            #expect(try await client.get("k\(writer)") == "v\(writer)")
            #expect(try await client.get("k\(writer)", .at(reply.index)) == "v\(writer)")
            #expect(try await client.get("k\(writer)", .any) == "v\(writer)")
          }
        }
      }
    }

    @Test("a follower passes a command on: the leader serves it, once")
    func forwarding() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let follower = leader % 3 + 1
        let client = cluster.client(follower)
        let reply = try await client.put("k", "v")
        #expect(reply.node.rawValue == leader)
        for expected in 1...20 as ClosedRange<Int64> { #expect(try await client.add("c", 1) == expected) }
      }
    }

    @Test("many calls at once on one connection: each gets its own answer")
    func pipelined() async throws {
      try await Cluster.with(3) { cluster in
        let client = cluster.client()
        let sums = try await withThrowingTaskGroup(of: Int64.self) { group in
          for _ in 0..<300 { group.addTask { try await client.add("c", 1) } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sums.sorted() == Array(1...300))
      }
    }

    @Test("entry sizes: nothing, the limit, one more")
    func sizes() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let limit = 64 << 10
        for node in [leader, leader % 3 + 1] {
          let client = cluster.client(node)
          try await client.put("", "")
          #expect(try await client.get("") == "")
          // Tag, length and key take 5 bytes, tag and length of the value 4.
          let largest = String(repeating: "x", count: limit - 9)
          try await client.put("big", largest)
          #expect(try await client.get("big") == largest)
          let refused = try await failure { try await client.put("big", largest + "x") }
          #expect(refused.status.code == .resourceExhausted && refused.applied == .no)
          #expect(refused.status.message.contains("\(limit)"))
        }
      }
    }

    @Test("refused by name: unserved levels, an unknown method, a request that does not decode")
    func refusals() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let unreachable = try await failure {
          _ = try await client.call(
            "lockstep.kv.v1.KeyValue/Put", [], options: CallOptions(acknowledgement: .voters(2)))
        }
        #expect(unreachable.status.code == .failedPrecondition && unreachable.applied == .no)
        let lease = try await failure { _ = try await client.get("k", .lease) }
        #expect(lease.status.code == .failedPrecondition && lease.applied == .no)
        let unknown = try await failure { _ = try await client.call("no.Such/Method", []) }
        #expect(unknown.status.code == .unimplemented && unknown.status.message.contains("no.Such/Method"))
        let garbled = try await failure { _ = try await client.call("lockstep.kv.v1.KeyValue/Put", [0xff, 0xff]) }
        #expect(garbled.status.code == .invalidArgument && garbled.applied == .no)
        #expect(try await client.status().groups.first?.lastIndex == 1)
      }
    }

    @Test("every level of acknowledgement is met, with its evidence, whichever node is asked")
    func levels() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        for node in 1...3 as ClosedRange<UInt64> {
          let client = cluster.client(node)
          func put(_ level: Acknowledgement) async throws -> Reply {
            try await client.call(
              "lockstep.counter.v1.Counter/Add", [10, 1, 97, 16, 1], options: CallOptions(acknowledgement: level))
          }
          for level in [Acknowledgement.quorum, .voters(2), .voters(3), .all, .applied] {
            let reply = try await put(level)
            #expect(!reply.payload.isEmpty && reply.token?.index == reply.index, "\(level)")
            let least = [Acknowledgement.voters(3), .all, .applied].contains(level) ? 3 : 2
            #expect(reply.holders.count >= least && reply.appliedBy.count == (level == .applied ? 3 : 0), "\(level)")
            switch level {
            // What is named is what is there, and more is no harm.
            case .voters: #expect(reply.acknowledgement == .voters(reply.holders.count))
            default: #expect(reply.acknowledgement == level)
            }
          }
          let stored = try await put(.leader)
          // A majority of the others may have been quicker than the leader's own disk: then it is carried out.
          if stored.acknowledgement == .leader {
            #expect(stored.payload.isEmpty && stored.token == nil && stored.holders.contains(NodeID(leader)))
          } else {
            #expect(stored.acknowledgement == .quorum && stored.holders.count >= 2)
          }
        }
      }
    }

    @Test("a wider level than can be reached fails in time, with applied yes and who is missing")
    func missing() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let other = leader % 3 + 1
        try await cluster.stop(other)
        let failed = try await failure {
          _ = try await cluster.client(leader).call(
            "lockstep.counter.v1.Counter/Add", [10, 1, 97, 16, 1],
            options: CallOptions(acknowledgement: .all, timeout: .milliseconds(300)))
        }
        #expect(failed.status.code == .deadlineExceeded && failed.applied == .yes)
        #expect(failed.missing == [NodeID(other)], "\(failed)")
      }
    }

    @Test("a client reads its own writes at level session, from any node, and tokens carry that to another client")
    func session() async throws {
      try await Cluster.with(3) { cluster in
        _ = try await cluster.waitForLeader()
        for round in 0..<20 {
          let writer = cluster.client(UInt64(round % 3 + 1))
          let reply = try await writer.call(
            "lockstep.counter.v1.Counter/Add", [10, 1, 98, 16, 1], options: CallOptions())
          let token = try #require(reply.token)
          #expect(ReadToken(token.description) == token)
          for node in 1...3 as ClosedRange<UInt64> {
            let read = try await cluster.client(node).call(
              "lockstep.counter.v1.Counter/Get", [10, 1, 98], options: CallOptions(consistency: .session, token: token))
            #expect(read.index >= token.index && read.payload == [8, UInt8(round + 1)])
          }
          // The one that has written needs no token.
          let own = try await writer.call(
            "lockstep.counter.v1.Counter/Get", [10, 1, 98], options: CallOptions(consistency: .session))
          #expect(own.index >= token.index)
        }
        // A command that fails when it is carried out shows the state that it failed on.
        let add: [UInt8] = [10, 1, 98, 16] + [UInt8](repeating: 0xff, count: 8) + [0x7f]
        let failed = try await failure {
          _ = try await cluster.client(3).call("lockstep.counter.v1.Counter/Add", add, options: CallOptions())
        }
        #expect(failed.applied == .yes && failed.token?.index == failed.index && failed.token != nil, "\(failed)")
        let bounded = try await cluster.client(2).call(
          "lockstep.counter.v1.Counter/Get", [10, 1, 98], options: CallOptions(consistency: .bounded(.seconds(1))))
        #expect(try #require(bounded.age) <= .seconds(1) && bounded.payload == [8, 20])
      }
    }

    @Test("after calls, the leader and its followers have counted where the time went")
    func stages() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        for number in 0..<50 { try await client.put("k\(number)", "v") }
        let status = try await client.status()
        for row in status.stages {
          #expect(row.count > 0 && row.totalNanoseconds > 0 && row.maximumNanoseconds > 0, "\(row)")
          // Nothing can have taken longer than the node has been there.
          #expect(row.maximumNanoseconds < (status.uptimeMilliseconds + 1000) * 1_000_000, "\(row)")
        }
        #expect(Set(status.stages.map(\.name)) == Set(Stage.allCases.map(\.rawValue)))
        // A majority may have been the same two nodes every time.
        #expect(status.stages.contains { $0.name == "replicate" && $0.peer != leader })
        for name in StageCounter.allCases.map(\.rawValue) {
          #expect(status.counters.first { $0.name == name }.map { $0.value > 0 } == true, "\(name)")
        }
        let follower = try await cluster.client(leader % 3 + 1).status()
        for stage in [Stage.sync, .disk, .apply] {
          #expect(follower.stages.first { $0.name == stage.rawValue }.map { $0.count > 0 } == true, "\(stage)")
        }
        #expect(follower.stages.first { $0.name == Stage.queue.rawValue }?.count == 0)
      }
    }

    @Test("reflection and status: the services, and who leads")
    func status() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        try await client.put("k", "v")
        #expect(
          try await client.schemas().map(\.name).sorted() == [
            "lockstep.changes.v1.ChangeStream", "lockstep.counter.v1.Counter", "lockstep.kv.v1.KeyValue",
            "lockstep.session.v1.Sessions",
          ])
        let status = try await client.status()
        let group = try #require(status.groups.first)
        #expect(status.node == leader && status.incarnation == 1 && status.residentBytes > 0)
        #expect(group.role == .leader && group.leader == leader && group.voters == [1, 2, 3])
        #expect(group.appliedIndex == group.lastIndex && group.peers.count == 2)
        try await eventually("all nodes have applied the same") {
          let digests = [await cluster.status(1), await cluster.status(2), await cluster.status(3)].map { $0?.digest }
          return Set(digests).count == 1 && digests[0] != nil
        }
      }
    }
  }
}
