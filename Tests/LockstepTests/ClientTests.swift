import LockstepExecution
import LockstepWire
import Synchronization
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Clients")
  struct Clients {
    @Test("a client goes on to the next endpoint when its node is gone, and calls go on")
    func failover() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let first = leader % 3 + 1
        let client = cluster.client(first, leader)
        try await client.put("k", "1")
        try await cluster.stop(first)
        try await eventually("the client goes on") { (try? await client.put("k", "2")) != nil }
        #expect(try await client.get("k") == "2")
      }
    }

    @Test("nobody can be reached: applied no, and soon")
    func unreachable() async throws {
      let endpoints = (0..<3).map { _ in Endpoint(host: "127.0.0.1", port: FreePorts.next()) }
      let client = LockstepClient(endpoints: endpoints)
      for _ in 0..<2 {
        let failed = try await failure { try await client.put("k", "v", timeout: .seconds(2)) }
        #expect(failed.status.code == .unavailable && failed.applied == .no)
        for endpoint in endpoints { #expect(failed.status.message.contains("\(endpoint)")) }
      }
      await client.close()
    }

    @Test("no endpoints: every call says so")
    func noEndpoints() async throws {
      let failed = try await failure { _ = try await withLockstepClient(endpoints: []) { try await $0.put("k", "v") } }
      #expect(failed.status.code == .failedPrecondition && failed.applied == .no)
    }

    @Test("a node that accepts and is silent: the deadline holds, applied no; another endpoint is asked after a second")
    func silent() async throws {
      let mute = try RawSocket()
      let port = try mute.listen()
      let endpoint = Endpoint(host: "127.0.0.1", port: port)
      let client = LockstepClient(endpoints: [endpoint])
      let began = ContinuousClock.now
      let failed = try await failure { try await client.put("k", "v", timeout: .milliseconds(200)) }
      #expect(failed.status.code == .deadlineExceeded && failed.applied == .no)
      #expect(ContinuousClock.now - began < .seconds(1))
      await client.close()
      try await Cluster.with(1) { cluster in
        let client = LockstepClient(endpoints: [endpoint, cluster.endpoint(1)])
        try await client.put("k", "v")
        await client.close()
      }
      mute.close()
    }

    @Test("the connection is lost while a call is under way: applied unknown")
    func lost() async throws {
      try await Cluster.patient(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        try await client.put("k", "v")
        try await cluster.stopAll(but: leader)
        let last = try #require(await cluster.status(leader)?.lastIndex)
        async let failed = failure { try await client.put("k", "w", timeout: .seconds(30)) }
        try await eventually("it is in the log") { (await cluster.status(leader)?.lastIndex ?? 0) > last }
        try await cluster.stop(leader)
        let outcome = try await failed
        #expect(outcome.status.code == .unavailable && outcome.applied == .unknown)
      }
    }

    @Test("a client that is closed answers all calls, those under way and those to come")
    func closed() async throws {
      try await Cluster.patient(3) { cluster in
        let leader = try await cluster.waitForLeader()
        try await cluster.stopAll(but: leader)
        let client = cluster.client(leader)
        let last = try #require(await cluster.status(leader)?.lastIndex)
        async let failed = failure { try await client.put("k", "v", timeout: .seconds(30)) }
        try await eventually("it is in the log") { (await cluster.status(leader)?.lastIndex ?? 0) > last }
        await client.close()
        #expect(try await failed.applied == .unknown)
        let after = try await failure { try await client.put("k", "v") }
        #expect(after.status.code == .cancelled && after.applied == .no)
        await client.close()
      }
    }

    @Test("the longest and shortest time-outs there are do not trap")
    func timeouts() async throws {
      try await Cluster.with(1) { cluster in
        let client = cluster.client()
        for timeout in [Duration.seconds(Int64.max), .milliseconds(Int64.max), .seconds(1_000_000_000)] {
          try await client.put("k", "v", timeout: timeout)
        }
        for timeout in [Duration.zero, .seconds(-5), .seconds(Int64.min)] {
          _ = try? await client.put("k", "v", timeout: timeout)
        }
        #expect(try await client.get("k") == "v")
        _ = try? await client.get("k", .bounded(.seconds(Int64.max)))
        _ = try await failure { _ = try await client.get("k", .at(LogIndex(.max)), timeout: .milliseconds(50)) }
      }
    }

    @Test("spellings: consistency, durations, endpoints")
    func spellings() {
      #expect(Consistency("linearizable") == .linearizable && Consistency("any") == .any)
      #expect(Consistency("at:17") == .at(17) && Consistency("bounded:250ms") == .bounded(.milliseconds(250)))
      for wrong in ["", "at:", "at:-1", "at:99999999999999999999", "bounded:", "bounded:-1s", "ANY"] {
        #expect(Consistency(wrong) == nil)
      }
      #expect(Duration(parsing: "5s") == .seconds(5) && Duration(parsing: "2m") == .seconds(120))
      #expect(Duration(parsing: "1.5") == .milliseconds(1500) && Duration(parsing: "0") == .zero)
      for wrong in ["", "s", "nan", "inf", "-1", "1e300s", "5 s", "10000d"] { #expect(Duration(parsing: wrong) == nil) }
      #expect(Endpoint("[::1]:80") == Endpoint(host: "::1", port: 80) && Endpoint("h:0")?.port == 0)
      for wrong in ["", ":1", "h", "h:", "h:65536", "h:-1", "::1:80", "[::1", "[]:1"] {
        #expect(Endpoint(wrong) == nil)
      }
    }
  }
}
