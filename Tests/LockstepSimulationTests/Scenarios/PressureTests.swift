import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepWire
import Testing

@testable import LockstepSimulation

/// Links and clients that are slow to take what they are given.
@Suite("Pressure")
struct PressureTests {
  /// One process with some callers, long answers, and room for a few of them.
  private func crowd(_ contents: ClosedRange<Int> = 10_000...20_000, callers: Int = 8) throws -> Story {
    try Story(nodes: 3, clients: callers, contents: contents) {
      $0.callsAtOnce = callers
      $0.hasFavorites = true
      $0.thinkTime = 5_000_000
      $0.clientBytes = 4 * 21_000 + 16 * 4096
    }
  }

  @Test("pressure: what is long waits for a client that does not read, and goes on when it reads")
  func stoppedReader() throws {
    let story = try crowd(callers: 24)
    // Until there is something long to read.
    story.pass(0.3)
    let world = story.world
    world.stopReading(1, for: 12 * Story.second)
    #expect(world.run(within: 11 * Story.second) { world.faults[.clientWithoutRoom] > 0 })
    story.pass(13)
    let before = story.world.readsAnswered
    story.pass(2)
    #expect(story.world.readsAnswered > before)
    #expect(story.world.readers[0].sinks.allSatisfy { $0.waitingBytes <= $0.capacity })
    try story.allAreEqual()
  }

  @Test("pressure: a slow reader gets all its answers, one after the other")
  func slowReader() throws {
    let story = try crowd()
    story.world.readSlowly(1, bytesPerSecond: 100_000)
    story.pass(5)
    #expect(story.world.faults[.clientWithoutRoom] > 0)
    story.world.endFaults()
    try story.allAreEqual()
    story.pass(4)
    #expect(story.world.unansweredCalls.isEmpty)
  }

  @Test("pressure: a full link drops frames, and whoever missed them catches up")
  func fullLink() throws {
    let story = try Story(nodes: 3, clients: 8, contents: 2_000...10_000) {
      $0.thinkTime = 1_000_000
      $0.limits.appendBytes = 4_000
      $0.linkBytes = 2 * 16_000
    }
    let leader = try story.leader()
    let follower = try #require(story.followers.first)
    story.world.narrow(leader, follower, bytesPerSecond: 10_000)
    story.pass(5)
    #expect(story.world.faults[.linkFull] > 0)
    story.world.endFaults()
    try story.allAreEqual()
  }

  @Test("pressure: of a crowd that reads nobody's connection is closed, and nothing is left out")
  func readers() throws {
    let story = try crowd(2_000...4_000)
    story.pass(3)
    #expect(story.world.faults[.clientConnectionOverrun] == 0)
    #expect(story.world.readsAnswered > 100)
    try story.allAreEqual()
  }

  @Test("pressure: to close the connection of a client that reads breaks an invariant")
  func overrun() throws {
    let story = try Story(nodes: 1)
    let sink = SimulatedSink(
      world: story.world, reader: SimulatedReader(index: 0), index: 0, life: 1, capacity: 100)
    Array(repeating: 0 as UInt8, count: 200).withUnsafeBytes {
      sink.send(.callReply, header: UnsafeRawBufferPointer(start: nil, count: 0), body: $0)
    }
    #expect(story.world.failure?.invariant == .noAnswerLost)
    #expect(sink.isClosed && sink.waitingBytes == 0)
  }

  @Test("pressure: to leave out a reply that there is room for breaks an invariant", arguments: [false, true])
  func leftOut(hadRoom: Bool) throws {
    let story = try Story(nodes: 1)
    let client = SimulatedClient(place: 0, reader: SimulatedReader(index: 0))
    story.world.clients.append(client)
    let sink = SimulatedSink(world: story.world, reader: client.reader, index: 0, life: 1, capacity: 1000)
    sink.expect(1, from: 0)
    var reply = CallReply(id: 1)
    reply.code = UInt32(CallStatus.Code.resourceExhausted.rawValue)
    reply.applied = .yes
    reply.node = 1
    story.world.codec.pack(reply)
    let answer = story.world.leave(.callReply, story.world.codec.packed, over: sink, hadRoom: hadRoom)
    story.world.checkRoom(try #require(answer), of: sink)
    #expect(story.world.failure?.invariant == (hadRoom ? .noAnswerLost : nil))
  }

  @Test("pressure: a second answer to one call breaks an invariant")
  func twice() throws {
    let story = try Story(nodes: 1)
    let client = SimulatedClient(place: 0, reader: SimulatedReader(index: 0))
    story.world.clients.append(client)
    let sink = SimulatedSink(world: story.world, reader: client.reader, index: 0, life: 1, capacity: 1000)
    sink.expect(1, from: 0)
    story.world.codec.pack(CallReply(id: 1))
    for _ in 1...2 {
      #expect(story.world.failure == nil)
      _ = story.world.leave(.callReply, story.world.codec.packed, over: sink, hadRoom: true)
    }
    #expect(story.world.failure?.invariant == .answeredOnce)
  }
}
