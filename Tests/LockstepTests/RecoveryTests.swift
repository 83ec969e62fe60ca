import Foundation
import LockstepExecution
import LockstepWire
import Synchronization
import Testing

@testable import Lockstep

extension Servers {
  @Suite("Nodes stop and start")
  struct Recovery {
    @Test("all nodes stop and start again: nothing that was answered is lost")
    func restart() async throws {
      try await Cluster.with(3) { cluster in
        let client = cluster.client()
        for number in 1...40 { try await client.put("k\(number)", "v\(number)") }
        #expect(try await client.add("c", 5) == 5)
        for _ in 0..<2 {
          for id in 1...3 as ClosedRange<UInt64> { try await cluster.stop(id) }
          try await cluster.startAll()
          try await cluster.waitForLeader()
          let fresh = cluster.client()
          for number in [1, 20, 40] { #expect(try await fresh.get("k\(number)") == "v\(number)") }
        }
        #expect(try await cluster.client().add("c", 5) == 10)
        #expect(try await cluster.client().status().incarnation == 3)
      }
    }

    @Test("the leader stops: another one leads; the designated leader takes the lead back")
    func failover() async throws {
      try await Cluster.with(3, preferredLeader: 1) { cluster in
        try await cluster.waitForLeader(is: 1)
        let client = cluster.client(2, 3)
        try await client.put("k", "1")
        try await cluster.stop(1)
        try await cluster.waitUntilKnown(try await cluster.waitForLeader(), at: 2, 3)
        #expect(try await client.get("k") == "1")
        try await client.put("k", "2")
        try await cluster.start(1)
        try await cluster.waitForLeader(is: 1)
        try await cluster.waitUntilKnown(1, at: 2, 3)
        try await client.put("k", "3")
        #expect(try await cluster.client(1).get("k") == "3")
      }
    }

    @Test("writes go on while the lead is taken back: each is answered, and none is done twice")
    func handover() async throws {
      try await Cluster.with(3, preferredLeader: 1) { cluster in
        try await cluster.waitForLeader(is: 1)
        try await cluster.stop(1)
        try await cluster.waitForLeader()
        let client = cluster.client(2, 3)
        let isDone = Mutex(false)
        async let sums = {
          var (done, unknown) = (0, 0)
          while !isDone.withLock({ $0 }) || done == 0 {
            do {
              _ = try await client.add("c", 1)
              done += 1
            } catch let failure as CallFailure where failure.applied != .no { unknown += 1 } catch is CallFailure {}
          }
          return (done, unknown)
        }()
        try await cluster.start(1)
        try await cluster.waitForLeader(is: 1)
        isDone.withLock { $0 = true }
        let (done, unknown) = try await sums
        let total = try await client.add("c", 0)
        #expect(total >= Int64(done) && total <= Int64(done + unknown))
      }
    }

    @Test("one of three is down: writes and reads go on; it catches up when it is back")
    func minorityDown() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let down = leader % 3 + 1
        try await cluster.stop(down)
        let client = cluster.client(leader)
        for number in 1...20 { try await client.put("k", "\(number)") }
        #expect(try await client.get("k") == "20")
        try await cluster.start(down)
        let back = cluster.client(down)
        try await eventually("node \(down) has caught up") { try await back.get("k", .any) == "20" }
        #expect(try await back.get("k") == "20")
      }
    }

    @Test("two of three are down: writes fail in time, never 'no' and applied after all; 'any' reads still answer")
    func majorityDown() async throws {
      try await Cluster.with(3) { cluster in
        let leader = try await cluster.waitForLeader()
        let client = cluster.client(leader)
        try await client.put("k", "before")
        try await cluster.stopAll(but: leader)
        var refused: [String] = []
        for number in 1...6 {
          let began = ContinuousClock.now
          let failed = try await failure { try await client.put("w\(number)", "x", timeout: .milliseconds(300)) }
          #expect(ContinuousClock.now - began < .seconds(2))
          #expect([.deadlineExceeded, .unavailable].contains(failed.status.code) && failed.applied != .yes)
          if failed.applied == .no { refused.append("w\(number)") }
        }
        let read = try await failure { _ = try await client.get("k", timeout: .milliseconds(300)) }
        #expect([.deadlineExceeded, .unavailable].contains(read.status.code))
        #expect(try await client.get("k", .any) == "before")
        try await cluster.startAll()
        try await eventually("writes go on") { (try? await client.put("k", "after")) != nil }
        for key in refused { #expect(try await client.get(key) == nil, "\(key) was said not to be applied") }
      }
    }

    @Test("the disk of a node fails: it ends with its exit code, says nothing wrong, and gives its directory back")
    func diskFails() async throws {
      let cluster = try Cluster(1)
      try await cluster.start(1)
      try await cluster.waitForLeader()
      let server = try cluster.server(1)
      let client = cluster.client(1)
      try await client.put("k", "v")
      // The next segment cannot be made in a directory that is not there.
      let aside = cluster.directory(1) + ".aside"
      try FileManager.default.moveItem(atPath: cluster.directory(1), toPath: aside)
      let ended = Mutex<ServerFailure?>(nil)
      let waiter = Task {
        do throws(ServerFailure) { try await server.waitUntilStopped() } catch { ended.withLock { $0 = error } }
      }
      let value = String(repeating: "x", count: 60_000)
      var written: [Int] = []
      var round = 0
      try await eventually("the node ends") {
        round += 1
        let first = 12 * round
        written += await withTaskGroup(of: Int?.self) { group in
          for number in first..<first + 12 {
            group.addTask {
              (try? await client.put("k\(number)", value, timeout: .milliseconds(500))).map { _ in number }
            }
          }
          return await group.reduce(into: []) { all, number in if let number { all.append(number) } }
        }
        return ended.withLock { $0 } != nil
      }
      await waiter.value
      #expect(ended.withLock { $0?.kind } == .disk)
      try await cluster.stop(1)
      try FileManager.default.moveItem(atPath: aside, toPath: cluster.directory(1))
      try await eventually("the directory is given back") { (try? await cluster.start(1)) != nil }
      try await cluster.waitForLeader()
      for number in written.suffix(20) {
        #expect(try await cluster.client().get("k\(number)")?.utf8.count == 60_000)
      }
      try await cluster.end()
    }
  }
}
