import LockstepConsensus
import LockstepRequests
import LockstepServices
import SwiftProtobuf
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Streams")
  struct Streams {
    private typealias Event = Lockstep_Kv_V1_WatchEvent

    private func put(_ key: String, _ value: String, _ client: LockstepClient) async throws {
      _ = try await client.call(
        KeyValue.put,
        .with {
          $0.key = key
          $0.value = value
        })
    }

    /// How many streams the node has.
    private func open(_ client: LockstepClient) async throws -> UInt64? {
      try await client.status().counters.first { $0.name == "streams" }?.value
    }

    /// As many events as that; each in few words.
    private func take(_ count: Int, _ events: inout TypedStream<Event>.AsyncIterator) async throws -> [String] {
      var taken: [String] = []
      while taken.count < count, let event = try await events.next() {
        let previous = event.message.hasPrevious ? " before: \(event.previous)" : ""
        taken.append("\(event.type) \(event.key)=\(event.value)\(previous)")
      }
      return taken
    }

    @Test("watch: the state first, then each change, with the value before it; keys with another prefix are none")
    func keys() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        for number in 1...3 { try await put("a/\(number)", "\(number)", client) }
        try await put("b/1", "x", client)
        var events = try client.watch(
          KeyValue.watch,
          .with {
            $0.prefix = "a/"
            $0.includeInitial = true
            $0.previous = true
          }
        ).makeAsyncIterator()
        #expect(try await take(4, &events) == ["initial a/1=1", "initial a/2=2", "initial a/3=3", "progress ="])
        try await put("b/2", "x", client)
        try await put("a/2", "two", client)
        _ = try await client.call(KeyValue.delete, .with { $0.key = "a/1" })
        _ = try await client.call(KeyValue.delete, .with { $0.key = "a/1" })
        _ = try await client.call(
          KeyValue.compareAndSet,
          .with {
            $0.key = "a/4"
            $0.value = "4"
          })
        #expect(try await take(3, &events) == ["put a/2=two before: 2", "delete a/1= before: 1", "put a/4=4"])
      }
    }

    @Test("watch: a state of many parts comes whole, and from an index all changes since")
    func parts() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let keys = (0..<700).map { "k\(1000 + $0)" }
        for key in keys { try await put(key, "v", client) }
        var events = try client.watch(KeyValue.watch, .with { $0.includeInitial = true }).makeAsyncIterator()
        #expect(try await take(701, &events) == keys.map { "initial \($0)=v" } + ["progress ="])
        var all = try client.watch(KeyValue.watch, .with { $0.from = 0 }).makeAsyncIterator()
        #expect(try await take(700, &all) == keys.map { "put \($0)=v" })
      }
    }

    @Test("watch: a stream whose node is stopped goes on at another one: each change once, in order")
    func goesOn() async throws {
      try await Cluster.with(3) { cluster in
        let client = cluster.client()
        var events = try client.watch(KeyValue.watch, .with { $0.from = 0 }).makeAsyncIterator()
        try await put("k0", "v", client)
        let first = try #require(try await events.next())
        #expect(first.key == "k0")
        for round in 1...3 as ClosedRange<Int> {
          try await cluster.stop(UInt64(round))
          try await eventually("a leader takes commands") {
            do {
              try await put("k\(round)", "v", client)
              return true
            } catch is CallFailure { return false }
          }
          try await cluster.start(UInt64(round))
          #expect(try await take(1, &events) == ["put k\(round)=v"])
        }
      }
    }

    @Test("watch: the end of the task is the end of the stream; so is that of the client")
    func ends() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        let stream = client.stream("lockstep.changes.v1.ChangeStream/Watch", [])
        let reading = Task { try await stream.first { _ in true } }
        try await eventually("the stream is open") { try await open(client) == 1 }
        reading.cancel()
        let cancelled = try await failure { _ = try await reading.value }
        #expect(cancelled.status.code == .cancelled)
        try await eventually("the node knows that") { try await open(client) == 0 }
        let wrong = try await failure {
          for try await _ in client.stream("lockstep.kv.v1.KeyValue/Get", []) {}
        }
        #expect(wrong.status.code == .invalidArgument)
        let both = try await failure {
          for try await _ in try client.watch(
            KeyValue.watch,
            .with {
              $0.from = 1
              $0.includeInitial = true
            })
          {}
        }
        #expect(both.status.code == .invalidArgument)
        let last = client.stream("lockstep.changes.v1.ChangeStream/Watch", [])
        await client.close()
        let closed = try await failure { for try await _ in last {} }
        #expect(closed.status.code == .cancelled)
      }
    }
  }
}
