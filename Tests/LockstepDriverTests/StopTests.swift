import LockstepConsensus
import LockstepExecution
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("A stop in good order")
struct StopTests {
  /// How many ticks the node takes to stop.
  private func stop(_ id: UInt64, _ world: World, _ each: (Int) throws -> Void = { _ in }) throws -> Int {
    world[id].node.stop()
    try world.settle()
    var ticks = 0
    while !world[id].node.isStopped, ticks < 1000 {
      try world.tick()
      try each(ticks)
      ticks += 1
    }
    try #require(world[id].node.isStopped)
    return ticks
  }

  @Test("stop: a leader hands over; what comes meanwhile is carried out by the next one, what comes later is refused")
  func leader() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    var asked: UInt64 = 0
    let ticks = try stop(1, world) { _ in
      asked += 1
      try world[1].call(sink, asked, [UInt8(truncatingIfNeeded: asked)])
    }
    try world.run { sink.replies.count == Int(asked) }
    // Who asks again and again is not waited for.
    #expect(ticks < 80 && !world[1].isLeader && world.nodes.contains { $0.isLeader })
    #expect(sink.replies.allSatisfy { $0.applied == .yes || $0.applied == .no })
    let refused = sink.replies.filter { $0.applied == .no }
    #expect(!refused.isEmpty && refused.allSatisfy { $0.code == UInt32(CallStatus.Code.unavailable.rawValue) })
    #expect(refused.allSatisfy { $0.leader > 1 && $0.message.contains("being stopped") })
    #expect(world[1].node.underWay.calls == 0)
  }

  @Test("stop: a command in the log is waited for and answered, and so is one that was passed on")
  func answers() throws {
    let world = try World(3)
    try world.elect(1)
    let (leader, follower) = (FakeSink(), FakeSink())
    world.heldDisks = [NodeID(2), NodeID(3)]
    try world[1].call(leader, 1, [1])
    try world[2].call(follower, 2, [2])
    try world.settle()
    world[2].node.stop()
    try world.tick(10)
    #expect(leader.replies.isEmpty && follower.replies.isEmpty && !world[2].node.isStopped)
    world.heldDisks = []
    for id in 2...3 as ClosedRange<UInt64> { while world[id].answerDisk() {} }
    try world.run { world[2].node.isStopped }
    #expect(leader.reply(1)?.applied == .yes && follower.reply(2)?.applied == .yes)
  }

  @Test("stop: nobody else can lead or commit: it ends in time all the same, and says what is not known")
  func alone() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.isolate(1)
    try world[1].call(sink, 1, [1])
    try world.settle()
    let ticks = try stop(1, world)
    #expect(ticks < 700 && sink.reply(1)?.applied == .unknown)
    #expect(sink.reply(1)?.code == UInt32(CallStatus.Code.unavailable.rawValue))
    // And where nothing is under way, nothing is waited for.
    let single = try World(1)
    try single.elect(1)
    #expect(try stop(1, single) < 10)
  }
}
