import Lockstep
import LockstepTransport
import LockstepWire
import NIOCore
import NIOPosix

@testable import LockstepTool

/// Answers calls, well or badly. On one event loop with the load that it gets.
final class FakeNode: ConnectionDelegate {
  enum Behaviour: Sendable {
    case answers
    /// Between these times after the first call, what is asked waits.
    case stalls(from: TimeAmount, until: TimeAmount)
    case fails
    case hangsUp(after: Int)
    /// And listens no more.
    case hangsUpForGood(after: Int)
    /// UNAVAILABLE, certainly not carried out; the leader is another node, or (0) not known.
    case refuses(leader: UInt64)
    /// Until so long after the first call, and names nobody.
    case refusesAtFirst(TimeAmount)
    /// UNAVAILABLE, and perhaps carried out.
    case losesTrack
    /// One request of each batch.
    case failsOnce
  }

  private let behaviour: Behaviour
  private let loop: any EventLoop
  private let number: UInt64
  private let codec = Codec(maximumMessage: 1 << 20)
  private var connections: [Connection] = []
  private var listener: Listener?
  private var firstCall: NIODeadline?
  private var held: [(Connection, UInt64)] = []
  private var calls = 0

  init(_ behaviour: Behaviour, number: UInt64, on loop: any EventLoop) {
    (self.behaviour, self.number, self.loop) = (behaviour, number, loop)
  }

  /// A load on nodes that behave like this, of which the first leads.
  static func run(_ load: Load, at behaviours: [Behaviour]) async throws -> LoadResult {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let result = await withCheckedContinuation {
      (done: CheckedContinuation<Result<LoadResult, CommandFailure>, Never>) in
      loop.execute {
        let nodes = behaviours.enumerated().map { FakeNode($1, number: UInt64($0) + 1, on: loop) }
        listen(nodes, ports: []) { ports in
          let targets = LoadTargets(
            endpoints: ports.map { Endpoint(host: "127.0.0.1", port: $0) }, first: [0],
            nodes: nodes.indices.map { (node: nodes[$0].number, place: $0) }, followsLeader: true)
          let generator = LoadGenerator(load, targets, on: loop) { _ in
          } finished: { result in
            for node in nodes { node.close() }
            done.resume(returning: result)
          }
          generator.start()
        }
      }
    }
    return try result.get()
  }

  private static func listen(_ nodes: [FakeNode], ports: [Int], _ ready: @escaping ([Int]) -> Void) {
    guard ports.count < nodes.count else { return ready(ports) }
    nodes[ports.count].listen { listen(nodes, ports: ports + [$0], ready) }
  }

  func listen(_ ready: @escaping (Int) -> Void) {
    Listener.bind(host: "127.0.0.1", port: 0, on: loop, delegate: self) { result in
      self.listener = try? result.get()
      ready(self.listener?.localPort ?? 0)
    }
  }

  func close() { listener?.close() }

  func connectionOpened(_ connection: Connection) { connections.append(connection) }
  func connectionReadCompleted(_ connection: Connection) { connection.flush() }
  func connectionWritabilityChanged(_ connection: Connection) {}
  func connectionClosed(_ connection: Connection, reason: CloseReason) { connections.removeAll { $0 === connection } }

  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer) {
    if kind == FrameKind.clientHello.rawValue {
      connection.established()
      codec.pack(ClientWelcome(version: 1, cluster: [], node: number, leader: 0, maximumRequestBytes: 1 << 20))
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
      if case .refuses(let leader) = behaviour {
        (reply.code, reply.message, reply.applied, reply.leader) = (14, "not here", .no, leader)
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
    case .hangsUpForGood(let number):
      if calls < number { return reply(connection, id) }
      close()
      for connection in connections { connection.closeNow(reason: .local("hung up")) }
    case .refuses(let leader): reply(connection, id, code: 14, message: "not here", applied: .no, leader: leader)
    case .refusesAtFirst(let time):
      firstCall = firstCall ?? NIODeadline.now()
      if NIODeadline.now() - (firstCall ?? .now()) > time { return reply(connection, id) }
      reply(connection, id, code: 14, message: "not yet", applied: .no)
    case .losesTrack: reply(connection, id, code: 14, message: "lost", applied: .unknown)
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

  private func reply(
    _ connection: Connection, _ id: UInt64, code: UInt32 = 0, message: String = "", applied: Applied = .unknown,
    leader: UInt64 = 0
  ) {
    var reply = CallReply(id: id)
    (reply.code, reply.message, reply.applied, reply.leader) = (code, message, applied, leader)
    codec.pack(reply)
    send(.callReply, connection)
  }

  private func send(_ kind: FrameKind, _ connection: Connection) {
    _ = codec.packed.withUnsafeBytes {
      connection.send(kind: kind.rawValue, header: $0, body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }
}
