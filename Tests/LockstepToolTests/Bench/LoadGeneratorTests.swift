import Lockstep
import NIOCore
import Testing

@testable import LockstepTool

@Suite("loads", .timeLimit(.minutes(1)))
struct LoadGeneratorTests {
  private static let load = Load(
    operation: .put, clients: 2, pace: .closed(depth: 1), extent: .time(warmup: 0, seconds: 1), valueBytes: 8,
    keys: 10)

  private func run(_ load: Load, at behaviours: FakeNode.Behaviour...) async throws -> LoadResult {
    try await FakeNode.run(load, at: behaviours)
  }

  @Test("an open loop counts a stall for every call that was due in it")
  func openLoop() async throws {
    var load = Self.load
    load.pace = .open(rate: 1000)
    let result = try await run(load, at: .stalls(from: .milliseconds(200), until: .milliseconds(800)))
    // Of the thousand calls six hundred were due in the stall and waited for its end, 300 ms in the middle.
    #expect(result.errorCount == 0 && result.unanswered == 0)
    #expect(result.latencies.p90 > 400_000_000 && result.latencies.longest > 500_000_000)
  }

  @Test("a closed loop counts the calls that it would have made in a stall")
  func closedLoop() async throws {
    var load = Self.load
    load.extent = .time(warmup: 0, seconds: 3)
    let result = try await run(load, at: .stalls(from: .milliseconds(200), until: .milliseconds(1400)))
    // Two calls waited for its end, which is nothing among all, however busy the machine is; yet of the three seconds
    // there was no service in more than one.
    #expect(result.errorCount == 0 && result.unanswered == 0 && result.succeeded > 20)
    #expect(result.answeredLatencies.p90 < 400_000_000 && result.answeredLatencies.longest > 1_000_000_000)
    let gap = try #require(result.outages.gaps.max { $0.length < $1.length })
    #expect(gap.length == result.outages.longestGap && gap.length > 1_000_000_000)
    #expect(result.outages.missed > 10 && result.latencies.p90 > 400_000_000)
  }

  @Test("an outage that lasts to the end counts too, also when all of it failed at once")
  func outageToTheEnd() async throws {
    var load = Self.load
    // Of which the first fifty calls take a part, however busy the machine is.
    load.extent = .time(warmup: 0, seconds: 3)
    let result = try await run(load, at: .hangsUpForGood(after: 50))
    #expect(result.errorCount > 0 && result.succeeded >= 48)
    let gap = try #require(result.outages.gaps.last)
    #expect(abs(Double(gap.to) / 1e9 - result.seconds) < 0.001 && gap.length > 500_000_000)
    #expect(result.latencies.longest > 400_000_000)
  }

  @Test("the load goes on at another node when its own is gone")
  func goesOn() async throws {
    var load = Self.load
    load.extent = .time(warmup: 0, seconds: 2)
    let result = try await run(load, at: .hangsUpForGood(after: 50), .answers)
    #expect((1...2).contains(result.errorCount) && result.outages.longestGap < 1_000_000_000)
    #expect(result.succeeded > 100)
  }

  @Test("what is refused, and was certainly not carried out, is sent to the leader that is named, or tried again")
  func refused() async throws {
    var load = Self.load
    load.extent = .time(warmup: 0, seconds: 2)
    let named = try await run(load, at: .refuses(leader: 2), .answers)
    #expect(named.errorCount == 0 && named.succeeded > 20)
    // Refusals that name nobody, for a time: the load asks here and there, and no call fails.
    let waited = try await run(load, at: .refusesAtFirst(.milliseconds(500)), .refusesAtFirst(.milliseconds(500)))
    #expect(waited.errorCount == 0 && waited.succeeded > 20 && waited.answeredLatencies.longest > 300_000_000)
    var batches = load
    batches.batch = 16
    #expect(try await run(batches, at: .refuses(leader: 2), .answers).errorCount == 0)
    var open = load
    open.pace = .open(rate: 200, depth: 4)
    #expect(try await run(open, at: .refuses(leader: 2), .answers).errorCount == 0)
  }

  @Test("what is refused until its time-out has failed, and what was perhaps carried out is not sent again")
  func refusedForGood() async throws {
    var load = Self.load
    load.options.timeout = .milliseconds(200)
    let result = try await run(load, at: .refuses(leader: 0))
    #expect(result.succeeded == 0 && Set(result.errors.keys) == [.unavailable] && result.errorCount < 40)
    // On a machine so busy that the first answer comes after the time-out, what the node said.
    let reasons = ["UNAVAILABLE: refused until its time-out, and certainly not carried out", "UNAVAILABLE: not here"]
    #expect(reasons.contains(result.firstError ?? "none"))
    let unknown = try await run(load, at: .losesTrack)
    #expect(unknown.succeeded == 0 && unknown.errorCount > 2 && unknown.firstError == "UNAVAILABLE: lost")
  }

  @Test("a load on all nodes does not follow the leader; one on the leader does, also when its calls succeed elsewhere")
  func follows() {
    let endpoints = (1...3).map { Endpoint(host: "h", port: $0) }
    let nodes: [(node: UInt64, place: Int)] = [(7, 0), (8, 1), (9, 2)]
    let all = LoadTargets(endpoints: endpoints, nodes: nodes, followsLeader: false)
    #expect(all.first == [0, 1, 2] && all.place(ofLeader: 8) == nil)
    let leader = LoadTargets(endpoints: endpoints, first: [1], nodes: nodes, followsLeader: true)
    #expect(leader.place(ofLeader: 9) == 2 && leader.place(ofLeader: 0) == nil && leader.place(ofLeader: 4) == nil)
  }

  @Test("what is due and never answered is not forgotten")
  func unanswered() async throws {
    var load = Self.load
    load.pace = .open(rate: 100)
    let result = try await run(load, at: .stalls(from: .milliseconds(500), until: .seconds(60)))
    #expect(result.unanswered > 0 && result.succeeded + result.unanswered == 100 && result.errorCount == 0)
    #expect(result.latencies.longest > 1_000_000_000)
  }

  @Test("a closed loop that is not answered any more says so")
  func standstill() async throws {
    let result = try await run(Self.load, at: .stalls(from: .milliseconds(500), until: .seconds(60)))
    #expect(result.unanswered == 2 && result.succeeded > 0 && result.errorCount == 0)
    #expect(result.latencies.longest > 1_000_000_000)
  }

  @Test("a connection that cannot be made is no failed command")
  func unreachable() {
    var meter = LoadMeter()
    meter.connectionFailed(isMeasured: true, "refused")
    let result = meter.result(lasting: 1)
    #expect(result.errorCount == 0 && result.failedConnections == 1 && result.firstError == "UNAVAILABLE: refused")
  }

  @Test("failures are counted by their code, and have no latency")
  func failures() async throws {
    let result = try await run(Self.load, at: .fails)
    #expect(result.succeeded == 0 && result.errorCount > 0 && Set(result.errors.keys) == [.resourceExhausted])
    #expect(result.firstError == "RESOURCE_EXHAUSTED: no more" && result.latencies.longest == 0)
  }

  @Test("batches: commands are counted, and each batch has one latency")
  func batches() async throws {
    var load = Self.load
    load.batch = 16
    let result = try await run(load, at: .answers)
    #expect(result.errorCount == 0 && result.succeeded > 0 && result.succeeded.isMultiple(of: 16))
    let refused = try await run(load, at: .fails)
    #expect(refused.succeeded == 0 && refused.errorCount > 0 && refused.errorCount.isMultiple(of: 16))
    #expect(refused.firstError == "RESOURCE_EXHAUSTED: no more")
    // Of each sixteen one fails.
    let mixed = try await run(load, at: .failsOnce)
    #expect(mixed.errorCount > 0 && Set(mixed.errors.keys) == [.aborted] && mixed.firstError == "ABORTED: not this one")
    #expect(mixed.succeeded == 15 * mixed.errorCount && mixed.latencies.longest > 0)
  }

  @Test("lost connections are failures, and are made again")
  func lost() async throws {
    let result = try await run(Self.load, at: .hangsUp(after: 10))
    #expect(result.succeeded >= 20 && (result.errors[.unavailable] ?? 0) >= 1)
  }

  @Test("every key once, for a cluster that is to be read")
  func everyKey() async throws {
    var load = Self.load
    (load.extent, load.keys, load.pace) = (.everyKey, 1000, .closed(depth: 16))
    let result = try await run(load, at: .answers)
    #expect(result.errorCount == 0 && result.succeeded == 1000)
    // Reads of keys that are not there would look fast.
    #expect(try await run(load, at: .fails).errorCount > 0)
  }
}
