import LockstepExecution
import LockstepServices
import LockstepWire
import SwiftProtobuf
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Batches of a client")
  struct Batches {
    private static let put = "lockstep.kv.v1.KeyValue/Put"
    private static let add = "lockstep.counter.v1.Counter/Add"

    private func puts(_ keys: Range<Int>, value: String = "v") throws -> [[UInt8]] {
      try keys.map { key in
        let request = Lockstep_Kv_V1_PutRequest.with {
          $0.key = "k\(key)"
          $0.value = value
        }
        return try request.serializedBytes()
      }
    }

    private func add(_ name: String, _ delta: Int64) throws -> [UInt8] {
      let request = Lockstep_Counter_V1_AddRequest.with {
        $0.name = name
        $0.delta = delta
      }
      return try request.serializedBytes()
    }

    @Test("on any node: each request has its reply, in order, and what a majority holds is said once for all")
    func anyNode() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        try await cluster.waitUntilKnown(leader, at: 1, 2, 3)
        for node in 1...3 as ClosedRange<UInt64> {
          let client = cluster.client(node)
          let results = try await client.batch(Self.put, puts(0..<200, value: "from \(node)"))
          let replies = try results.map { try $0.get() }
          #expect(replies.count == 200)
          let revisions = try replies.map { try Lockstep_Kv_V1_PutReply(serializedBytes: $0.payload).revision }
          #expect(revisions == revisions.sorted() && Set(revisions).count == 200)
          #expect(replies.map(\.index) == replies.map(\.index).sorted())
          #expect(
            replies.allSatisfy { $0.node.rawValue == leader && $0.acknowledgement == .quorum && $0.holders.count >= 2 })
          #expect(try await client.get("k199") == "from \(node)")
        }
      }
    }

    @Test("one that fails is carried out as a failure, and the others are carried out")
    func mixed() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let results = try await client.batch(
          Self.add, [add("n", .max), add("n", 1), add("m", 2), add("", 0), add("n", -5)])
        #expect(results.count == 5)
        let failed = try await failure { _ = try results[1].get() }
        #expect(failed.applied == .yes && failed.index ?? 0 > 0 && failed.term ?? 0 > 0 && failed.node == 1)
        #expect(try await client.add("n", 0) == .max - 5)
        #expect(try await client.add("m", 0) == 2)
        let last = try results[4].get()
        #expect(try Lockstep_Counter_V1_AddReply(serializedBytes: last.payload).value == .max - 5)
      }
    }

    @Test("refused as a whole: one that is no request, a query, too many, too large; none has had an effect")
    func refused() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        try await client.put("k", "v")
        let last = try #require(await cluster.status(1)?.lastIndex)
        let wrong = try await failure {
          _ = try await client.batch(Self.put, puts(0..<3) + [[0xff, 0xff]] + puts(4..<8))
        }
        #expect(wrong.status.code == .invalidArgument && wrong.applied == .no && wrong.node == 1)
        #expect(wrong.status.message.contains("request 3 of 8"), "\(wrong)")
        let query = try await failure { _ = try await client.batch("lockstep.kv.v1.KeyValue/Get", [[]]) }
        #expect(query.status.message.contains("lockstep.kv.v1.KeyValue/Get' is a query") && query.applied == .no)
        let many = try await failure {
          _ = try await client.batch(Self.put, Array(repeating: [], count: 4097))
        }
        #expect(many.status.code == .resourceExhausted && many.applied == .no)
        for requests in [
          Array(repeating: [UInt8](repeating: 1, count: 1000), count: 70), Array(repeating: [], count: 70_000),
        ] {
          let large = try await failure { _ = try await client.batch(Self.put, requests) }
          #expect(large.status.code == .resourceExhausted && large.applied == .no)
        }
        #expect(try await client.batch(Self.put, []).isEmpty)
        #expect(await cluster.status(1)?.lastIndex == last)
        #expect(try await client.get("k0") == nil)
        #expect(try await client.get("k") == "v")
      }
    }

    @Test("the largest batch there is, many times at once on one connection")
    func large() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        let requests = try Array(repeating: add("n", 1), count: 4096)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<8 {
            group.addTask {
              let results = try await client.batch(Self.add, requests, options: CallOptions(timeout: .seconds(60)))
              for result in results { _ = try result.get() }
            }
          }
          try await group.waitForAll()
        }
        #expect(try await client.add("n", 0) == 8 * 4096)
      }
    }

    @Test("the node stops while a batch can not be committed: applied unknown, for each request of it")
    func stopped() async throws {
      try await Cluster.patient(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        try await client.put("k", "v")
        try await cluster.stopAll(but: leader)
        let last = try #require(await cluster.status(leader)?.lastIndex)
        async let answered = client.batch(Self.put, puts(0..<10), options: CallOptions(timeout: .seconds(30)))
        try await eventually("it is in the log") { (await cluster.status(leader)?.lastIndex ?? 0) >= last + 10 }
        try await cluster.stop(leader)
        let results = try await answered
        #expect(results.count == 10)
        for result in results {
          let failed = try await failure { _ = try result.get() }
          #expect(failed.status.code == .unavailable && failed.applied == .unknown)
        }
      }
    }
  }
}
