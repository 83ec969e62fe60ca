import LockstepExecution
import LockstepServices
import LockstepWire
import SwiftProtobuf
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Long answers")
  struct LongAnswers {
    @Test("a hundred answers of a mebibyte on one connection: each arrives, and nobody takes the leader for dead")
    func many() async throws {
      // In a debug build an answer takes a tenth of a second, and all of them ten.
      try await Cluster.patient(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        let value = String(repeating: "x", count: 60 << 10)
        for number in 0..<20 { try await client.put("k\(number)", value) }
        let term = await cluster.status(leader)?.term
        let request = try Lockstep_Kv_V1_RangeRequest.with { $0.start = "k" }.serializedBytes() as [UInt8]
        let options = client.options(timeout: .seconds(60))
        try await withThrowingTaskGroup(of: Int.self) { group in
          for _ in 0..<100 {
            group.addTask {
              try await client.call("lockstep.kv.v1.KeyValue/Range", request, options: options).payload.count
            }
          }
          for try await size in group { #expect(size > 1_000_000) }
        }
        #expect(await cluster.status(leader)?.term == term)
      }
    }

    @Test("a thousand long replies to commands on one connection: nobody loses it, and each says what was done")
    func commands() async throws {
      try await Cluster.patient(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        try await client.put("k", String(repeating: "x", count: 60 << 10))
        let term = await cluster.status(leader)?.term
        let request = try Lockstep_Kv_V1_CompareAndSetRequest.with { $0.key = "k" }.serializedBytes() as [UInt8]
        let options = client.options(timeout: .seconds(60))
        let full = try await withThrowingTaskGroup(of: Bool.self) { group in
          for _ in 0..<1000 {
            group.addTask {
              do throws(CallFailure) {
                let reply = try await client.call("lockstep.kv.v1.KeyValue/CompareAndSet", request, options: options)
                return reply.payload.count > 60 << 10
              } catch {
                // A client that is slower than its node for a moment is told so.
                #expect(error.status.code == .resourceExhausted && error.applied == .yes, "\(error)")
                return false
              }
            }
          }
          return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(full > 100)
        #expect(await cluster.status(leader)?.term == term)
      }
    }
  }
}
