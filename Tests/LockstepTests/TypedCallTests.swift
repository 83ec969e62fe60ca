import LockstepExecution
import LockstepRequests
import LockstepServices
import SwiftProtobuf
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Typed calls")
  struct TypedCalls {
    @Test("the value that a service declares is what a client calls it by: replies, evidence, failures")
    func calls() async throws {
      try await Cluster.with(3) { cluster in
        let client = cluster.client()
        let added = try await client.call(
          Counter.add,
          .with {
            $0.name = "c"
            $0.delta = 41
          })
        #expect(added.value == 41 && added.message.revision == added.index.rawValue)
        #expect(added.holders.count >= 2 && added.acknowledgement == .quorum && added.term > 0)
        let read = try await client.call(
          Counter.get, .with { $0.name = "c" }, options: CallOptions(consistency: .at(added.index)))
        #expect(read.value == 41 && read.acknowledgement == nil)
        let failed = try await failure {
          _ = try await client.call(
            Counter.add,
            .with {
              $0.name = "c"
              $0.delta = .max
            })
        }
        #expect(failed.status.code == .outOfRange && failed.applied == .yes)
      }
    }

    @Test("a batch: each request has an answer of its own")
    func batches() async throws {
      try await Cluster.with(1) { cluster in
        let results = try await cluster.client().batch(
          Counter.add,
          [1, Int64.max, 2].map { delta in
            .with {
              $0.name = "c"
              $0.delta = delta
            }
          })
        #expect(results.map { try? $0.get().value } == [1, nil, 3])
        guard case .failure(let failed) = results[1] else {
          throw CallFailure(CallStatus(.internal, "it fits"), applied: .yes)
        }
        #expect(failed.status.code == .outOfRange && failed.applied == .yes)
      }
    }
  }
}
