import LockstepExecution
import LockstepWire
import Testing

@testable import Lockstep

@Suite("Clients: what is sent again", .timeLimit(.minutes(1)))
struct ClientRetryTests {
  private func nodes(_ count: UInt64, _ answer: @escaping @Sendable (Int) -> ScriptedNode.Answer) async throws
    -> [ScriptedNode]
  {
    var nodes: [ScriptedNode] = []
    for number in 1...count { nodes.append(try await ScriptedNode(number, answer)) }
    return nodes
  }

  private func with(
    _ nodes: [ScriptedNode], _ body: (LockstepClient) async throws -> Void
  ) async throws {
    let client = LockstepClient(endpoints: nodes.map(\.endpoint))
    do { try await body(client) } catch {
      await client.close()
      for node in nodes { await node.close() }
      throw error
    }
    await client.close()
    for node in nodes { await node.close() }
  }

  @discardableResult
  private func call(_ client: LockstepClient, timeout: Duration = .seconds(10)) async throws -> Reply {
    try await client.call("a/b", [], options: CallOptions(timeout: timeout))
  }

  @Test("a refusal goes to the next endpoint, and later calls go there at once")
  func nextEndpoint() async throws {
    let nodes = try await nodes(3) { _ in .refused() }
    nodes[2].answers { _ in .done }
    try await with(nodes) { client in
      for _ in 0..<3 {
        let reply = try await call(client)
        #expect(reply.node == 3)
      }
      #expect(nodes.map(\.calls) == [1, 1, 3])
    }
  }

  @Test("a leader that is named is asked first")
  func namedLeader() async throws {
    let nodes = try await nodes(3) { _ in .refused() }
    nodes[2].answers { _ in .done }
    try await with(nodes) { client in
      // Now it knows who is where.
      try await call(client)
      nodes[2].answers { _ in .refused(leader: 2) }
      nodes[1].answers { _ in .done }
      let reply = try await call(client)
      #expect(reply.node == 2)
      #expect(nodes.map(\.calls) == [1, 2, 2])
    }
  }

  @Test("a call during a failover uses its time-out, with pauses: it succeeds as soon as somebody leads")
  func failover() async throws {
    // Each refuses three times.
    let nodes = try await nodes(3) { $0 < 3 ? .refused() : .done }
    try await with(nodes) { client in
      let began = ContinuousClock.now
      try await call(client)
      // After the first round 10, 20, 40, … ms.
      #expect(ContinuousClock.now - began > .milliseconds(600))
      // What is left of its time goes along.
      let given = nodes.flatMap(\.timeouts)
      #expect((given.max() ?? 0) <= 10_000 && (given.min() ?? 0) < 9_500)
    }
    let alone = try await self.nodes(1) { $0 < 4 ? .refused() : .done }
    try await with(alone) { client in
      try await call(client)
      #expect(alone[0].calls == 5)
    }
  }

  @Test("refused until its time-out: what the node said, applied no, not before the time-out, and without a storm")
  func refusedForGood() async throws {
    for count in [1, 3] as [UInt64] {
      let nodes = try await nodes(count) { _ in .refused() }
      try await with(nodes) { client in
        let began = ContinuousClock.now
        let failed = try await failure { try await call(client, timeout: .milliseconds(700)) }
        #expect(failed.status.code == .unavailable && failed.applied == .no)
        #expect(failed.status.message.hasSuffix("does not") && failed.node ?? 0 > 0)
        #expect(ContinuousClock.now - began >= .milliseconds(690))
        #expect(nodes.reduce(0) { $0 + $1.calls } < 16)
      }
    }
  }

  @Test("what may have been carried out is never sent again: unknown, a lost connection, another code")
  func neverTwice() async throws {
    let answers: [(ScriptedNode.Answer, CallStatus.Code, CallFailure.Applied)] = [
      (.reply(code: 14, .unknown, leader: 2), .unavailable, .unknown), (.hangUp, .unavailable, .unknown),
      (.reply(code: 14, .yes, leader: 2), .unavailable, .yes),
      (.reply(code: 8, .no, leader: 2), .resourceExhausted, .no),
    ]
    for (answer, code, applied) in answers {
      let nodes = try await nodes(3) { _ in answer }
      try await with(nodes) { client in
        let failed = try await failure { try await call(client) }
        #expect(failed.status.code == code && failed.applied == applied)
        #expect(nodes.map(\.calls) == [1, 0, 0], "\(answer)")
      }
    }
  }

  @Test("a refusal takes no other call along: what is under way at that node is answered there")
  func underWay() async throws {
    let nodes = try await nodes(2) { $0 == 0 ? .silence : .refused() }
    nodes[1].answers { _ in .done }
    try await with(nodes) { client in
      async let first = call(client)
      try await eventually("the first is under way") { nodes[0].calls == 1 }
      let reply = try await call(client)
      #expect(reply.node == 2)
      await nodes[0].answerTheSilent()
      let late = try await first
      #expect(late.node == 1)
      #expect(nodes.map(\.calls) == [2, 1])
    }
  }

  @Test("a batch that is refused as a whole goes on like a call")
  func batch() async throws {
    let nodes = try await nodes(2) { _ in .refused() }
    nodes[1].answers { _ in .done }
    try await with(nodes) { client in
      let results = try await client.batch("a/b", [[], []])
      #expect(results.count == 2)
      #expect(nodes.map(\.calls) == [1, 1])
    }
  }

  @Test("a node that has refused and is then gone: its calls wait for it until their time-out, others fail at once")
  func gone() async throws {
    let node = try await ScriptedNode(1) { _ in .refused() }
    let client = LockstepClient(endpoints: [node.endpoint])
    async let refused = failure { try await call(client, timeout: .seconds(2)) }
    try await eventually("it is refused") { node.calls > 0 }
    await node.close()
    let patient = try await refused
    // Unknown, when the node is gone just when it is asked again.
    #expect(patient.applied != .yes)
    let began = ContinuousClock.now
    let failed = try await failure { try await call(client, timeout: .seconds(30)) }
    #expect(failed.status.code == .unavailable && failed.applied == .no)
    #expect(ContinuousClock.now - began < .seconds(5))
    await client.close()
  }
}

extension Servers.Clients {
  @Test("a read during a failover waits for the next leader")
  func readDuringFailover() async throws {
    try await Cluster.with(3) { cluster in
      let leader = try await cluster.waitForLeader()
      let client = cluster.client(leader % 3 + 1, (leader + 1) % 3 + 1)
      try await client.put("k", "1")
      try await cluster.stop(leader)
      #expect(try await client.get("k", timeout: .seconds(20)) == "1")
    }
  }
}
