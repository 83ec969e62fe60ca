import Lockstep
import LockstepTransport
import LockstepWire
import NIOCore
import NIOPosix
import Testing

@testable import LockstepTool

@Suite("loads", .timeLimit(.minutes(1)))
struct LoadGeneratorTests {
  private static let load = Load(
    operation: .put, clients: 2, pace: .closed(depth: 1), extent: .time(warmup: 0, seconds: 1), valueBytes: 8,
    keys: 10)

  private func run(_ load: Load, at behaviour: FakeNode.Behaviour) async throws -> LoadResult {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let result = await withCheckedContinuation {
      (done: CheckedContinuation<Result<LoadResult, CommandFailure>, Never>) in
      loop.execute {
        let node = FakeNode(behaviour, on: loop)
        node.listen { port in
          let generator = LoadGenerator(load, endpoints: [Endpoint(host: "127.0.0.1", port: port)], on: loop) { _ in
          } finished: { result in
            node.close()
            done.resume(returning: result)
          }
          generator.start()
        }
      }
    }
    return try result.get()
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

  @Test("a closed loop does not")
  func closedLoop() async throws {
    var load = Self.load
    load.extent = .time(warmup: 0, seconds: 5)
    let result = try await run(load, at: .stalls(from: .milliseconds(200), until: .milliseconds(800)))
    // Two calls waited for its end, which is less than a tenth of all, however busy the machine is.
    #expect(result.errorCount == 0 && result.succeeded > 20)
    #expect(result.latencies.p90 < 400_000_000 && result.latencies.longest > 400_000_000)
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

/// Answers calls, well or badly. On one event loop with the load that it gets.
private final class FakeNode: ConnectionDelegate {
  enum Behaviour: Sendable {
    case answers
    /// Between these times after the first call, what is asked waits.
    case stalls(from: TimeAmount, until: TimeAmount)
    case fails
    case hangsUp(after: Int)
    /// One request of each batch.
    case failsOnce
  }

  private let behaviour: Behaviour
  private let loop: any EventLoop
  private let codec = Codec(maximumMessage: 1 << 20)
  private var listener: Listener?
  private var firstCall: NIODeadline?
  private var held: [(Connection, UInt64)] = []
  private var calls = 0

  init(_ behaviour: Behaviour, on loop: any EventLoop) {
    (self.behaviour, self.loop) = (behaviour, loop)
  }

  func listen(_ ready: @escaping (Int) -> Void) {
    Listener.bind(host: "127.0.0.1", port: 0, on: loop, delegate: self) { result in
      self.listener = try? result.get()
      ready(self.listener?.localPort ?? 0)
    }
  }

  func close() { listener?.close() }

  func connectionOpened(_ connection: Connection) {}
  func connectionReadCompleted(_ connection: Connection) { connection.flush() }
  func connectionWritabilityChanged(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, reason: CloseReason) {}

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    if kind == FrameKind.clientHello.rawValue {
      connection.established()
      codec.pack(ClientWelcome(version: 1, cluster: [], node: 1, leader: 1, maximumRequestBytes: 1 << 20))
      send(.clientWelcome, connection)
      return
    }
    if kind == FrameKind.batch.rawValue {
      answerBatch(payload, connection)
      return
    }
    var id: UInt64 = 0
    try? codec.unpackCall(payload) { header, _, _ in id = header.id }
    answer(connection, id)
  }

  private func answerBatch(_ payload: UnsafeRawBufferPointer, _ connection: Connection) {
    var reply = BatchReply(id: 0)
    try? codec.unpackBatch(payload) { header, _, payloads in
      reply.id = header.id
      if case .fails = behaviour {
        (reply.code, reply.message) = (8, "no more")
        return
      }
      for place in 0..<UInt64(payloads.count) {
        var result = BatchResult()
        (result.index, result.term, result.applied) = (1 + place, 1, .yes)
        if place == 3, case .failsOnce = behaviour { (result.code, result.message) = (10, "not this one") }
        reply.results.append(result)
      }
    }
    codec.pack(reply)
    send(.batchReply, connection)
  }

  private func answer(_ connection: Connection, _ id: UInt64) {
    calls += 1
    switch behaviour {
    case .answers, .failsOnce: reply(connection, id)
    case .fails: reply(connection, id, code: 8, message: "no more")
    case .hangsUp(let number):
      if calls.isMultiple(of: number) { connection.closeNow(reason: .local("hung up")) } else { reply(connection, id) }
    case .stalls(let from, let until):
      let now = NIODeadline.now()
      if firstCall == nil {
        firstCall = now
        loop.assumeIsolated().scheduleTask(in: until) { self.release() }
      }
      let age = now - (firstCall ?? now)
      if age >= from, age < until { held.append((connection, id)) } else { reply(connection, id) }
    }
  }

  private func release() {
    for (connection, id) in held {
      reply(connection, id)
      connection.flush()
    }
    held.removeAll()
  }

  private func reply(_ connection: Connection, _ id: UInt64, code: UInt32 = 0, message: String = "") {
    var reply = CallReply(id: id)
    (reply.code, reply.message) = (code, message)
    codec.pack(reply)
    send(.callReply, connection)
  }

  private func send(_ kind: FrameKind, _ connection: Connection) {
    _ = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }
}
