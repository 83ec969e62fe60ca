import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

/// A clock that a test sets; each reading may take a moment.
private final class StageClock {
  var now: UInt64 = 0
  var step: UInt64 = 0

  func read() -> UInt64 {
    now += step
    return now
  }
}

@Suite("Where the time of commands goes")
struct StageTests {
  @Test("a batch counts with its time for each of its commands; nothing and a clock set back count as nothing")
  func weights() {
    var time = StageTime()
    time.record(100, commands: 3)
    time.record(from: 1000, to: 1050, commands: 1)
    time.record(500, commands: 0)
    #expect(time.count == 4 && time.total == 350 && time.maximum == 100)
    time.record(from: 2000, to: 1000, commands: 2)
    #expect(time.count == 6 && time.total == 350 && time.maximum == 100)
    let row = time.status(.sync, peer: 7)
    #expect(row.name == "sync" && row.peer == 7 && row.count == 6)
    #expect(row.totalNanoseconds == 350 && row.maximumNanoseconds == 100)
  }

  @Test("a total that wraps around leaves differences right")
  func wraps() {
    var time = StageTime()
    time.record(.max, commands: 1)
    let before = time.total
    time.record(10, commands: 4)
    #expect(time.total &- before == 40)
  }

  @Test("one node: each stage lasts from one reading of the clock to the next, for both commands of the turn")
  func oneNode() throws {
    let clock = StageClock()
    let world = try World(1, clock: clock.read)
    try world.elect(1)
    let node = world[1]
    let sink = FakeSink()
    node.node.stages.startOver()
    clock.step = 10
    try node.call(sink, 1)
    try node.call(sink, 2)
    _ = node.node.turn(now: world.now, wall: world.wall)
    node.answerDisk()
    _ = node.node.turn(now: world.now, wall: world.wall)
    #expect(sink.replies.count == 2)
    let stages = node.node.stages.recorded
    // Arrived 10, proposed 20, handed over 30, to the disk 40, durable 50, committed 60, applied from 70 to 80, sent 90.
    for time in [stages.queue, stages.append, stages.sync, stages.apply, stages.reply] {
      #expect(time.count == 2 && time.total == 20 && time.maximum == 10)
    }
    #expect(stages.quorum.count == 2 && stages.quorum.total == 60)
    #expect(stages.disk.count == 0 && stages.replicate.isEmpty)
    #expect(stages.turns == 2 && stages.batches == 1 && stages.syncs == 1 && stages.entries == 2)
    #expect(stages.bytes > 0 && stages.frames == 0)
  }

  /// Hands over what one node has sent to another.
  private func deliver(_ world: World, from: UInt64, to: UInt64) throws {
    let frames = world[from].links.frames.filter { $0.to == NodeID(to) }
    world[from].links.frames.removeAll { $0.to == NodeID(to) }
    for frame in frames { try world[to].receive(frame.kind, frame.payload, from: NodeID(from)) }
    _ = world[to].node.turn(now: world.now, wall: world.wall)
  }

  @Test("three nodes: queue, sync on each, the way to a follower and back, and quorum")
  func threeNodes() throws {
    let clock = StageClock()
    let world = try World(3, clock: clock.read)
    try world.elect(1)
    let leader = world[1]
    let follower = world[2]
    let sink = FakeSink()
    for node in world.nodes { node.node.stages.startOver() }
    clock.now = 10_000
    try leader.call(sink, 1)
    clock.now = 11_000
    try leader.call(sink, 2)
    clock.now = 14_000
    _ = leader.node.turn(now: world.now, wall: world.wall)
    clock.now = 20_000
    leader.answerDisk()
    _ = leader.node.turn(now: world.now, wall: world.wall)
    try deliver(world, from: 1, to: 2)
    clock.now = 25_000
    follower.answerDisk()
    _ = follower.node.turn(now: world.now, wall: world.wall)
    clock.now = 30_000
    try deliver(world, from: 2, to: 1)
    #expect(sink.replies.count == 2)
    let stages = leader.node.stages.recorded
    #expect(stages.queue.count == 2 && stages.queue.total == 2 * 4000)
    #expect(stages.sync.count == 2 && stages.sync.total == 2 * 6000)
    #expect(stages.quorum.count == 2 && stages.quorum.total == 2 * 16_000)
    #expect(stages.replicate.map(\.peer) == [NodeID(2)])
    #expect(stages.replicate.first?.time.count == 2 && stages.replicate.first?.time.total == 2 * 16_000)
    #expect(stages.apply.count == 2 && stages.apply.total == 0 && stages.reply.count == 2)
    #expect(follower.node.stages.recorded.sync.count == 2 && follower.node.stages.recorded.sync.total == 2 * 5000)
    #expect(follower.node.stages.recorded.queue.count == 0 && follower.node.stages.recorded.quorum.count == 0)
    let status = leader.node.status()
    #expect(status.stages.map(\.name) == Stage.allCases.map(\.rawValue))
    #expect(status.stages.first { $0.name == "replicate" }?.peer == 2)
    #expect(status.counters.first { $0.name == "entries" }?.value == 2)
  }

  @Test("what was on its way to a follower whose link is lost is not measured")
  func lostLink() throws {
    let clock = StageClock()
    let world = try World(3, clock: clock.read)
    try world.elect(1)
    world[1].node.stages.startOver()
    let sink = FakeSink()
    try world[1].call(sink, 1)
    _ = world[1].node.turn(now: world.now, wall: world.wall)
    #expect(world[1].group.stages.underWay.replicate.count { $0.commands > 0 } == 2)
    world.setLink(1, 3, isUp: false)
    #expect(world[1].group.stages.underWay.replicate.filter { $0.commands > 0 }.map(\.peer) == [NodeID(2)])
    try world.settle()
    #expect(world[1].node.stages.recorded.replicate.map(\.peer) == [NodeID(2)] && sink.replies.count == 1)
  }

  @Test("a leader that is deposed forgets what it followed; the disk's own time is counted when the queue knows it")
  func forgets() throws {
    let world = try World(3)
    try world.elect(1)
    world.isolate(1)
    try world[1].call(FakeSink(), 1)
    _ = world[1].node.turn(now: world.now, wall: world.wall)
    #expect(world[1].group.stages.underWay.quorum != nil)
    world[1].node.stages.startOver()
    let job = try #require(world[1].disk.jobs.first)
    world[1].disk.jobs.removeAll()
    var result = DiskResult(job: job, outcome: .appended)
    result.nanoseconds = 500
    world[1].node.diskFinished(result)
    #expect(world[1].node.stages.recorded.disk.count == 1 && world[1].node.stages.recorded.disk.total == 500)
    try world.elect(2)
    world.isolate(1, false)
    try world.run { world[1].replica.role != .leader }
    #expect(
      world[1].group.stages.underWay.quorum == nil
        && !world[1].group.stages.underWay.replicate.contains { $0.commands > 0 })
  }
}
