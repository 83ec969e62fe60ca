import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Deadlines")
struct NodeDeadlineTests {
  private let late = UInt32(CallStatus.Code.deadlineExceeded.rawValue)

  @Test("deadline: a command in the log is unknown, and nothing more is said when it commits later")
  func command() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 1) { $0.timeoutMilliseconds = 50 }
    try world.tick(4)
    #expect(sink.replies.isEmpty)
    try world.tick(2)
    let reply = try #require(sink.replies.first)
    #expect(reply.code == late && reply.applied == .unknown && reply.index == 2 && reply.term == 1)
    world.heldDisks = []
    try world.tick(10)
    #expect(world[1].tape.lines.count == 1 && sink.replies.count == 1)
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("deadline: the longest time-out of all does not overflow, and none is the node's own")
  func extremes() throws {
    let world = try World(1) {
      $0.maximumTimeout = 100
      $0.defaultTimeout = 30
    }
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 1) { $0.timeoutMilliseconds = .max }
    try world[1].call(sink, 2)
    try world.tick(4)
    #expect(sink.replies.map(\.id) == [2])
    try world.tick(8)
    #expect(sink.replies.map(\.id) == [2, 1])
  }

  @Test("deadline: a call that came between a tick and its turn is not forgotten by that tick")
  func betweenTickAndTurn() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 1) { $0.timeoutMilliseconds = 20 }
    try world.settle()
    world.now += 2 * World.tickLength
    // The tick at which the first call expires finds the others before their turn.
    try world[1].call(sink, 2) { $0.timeoutMilliseconds = 50 }
    try world[1].call(sink, 3, method: "t/Read") {
      $0.timeoutMilliseconds = 50
      $0.read = Consistency.at(0).number
      $0.readIndex = 99
    }
    world[1].node.tick(now: world.now, wall: world.wall)
    #expect(sink.replies.map(\.id) == [1])
    try world.tick(10)
    #expect(sink.replies.map(\.id).sorted() == [1, 2, 3])
  }

  @Test("deadline: a read that no majority confirms, a read of a later index, and a call that was passed on")
  func reads() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    // Heartbeats go on, so that the leader stays; its read rounds are never confirmed.
    world.passes = { from, frame in
      !(frame.kind == .appendReply && from != NodeID(1)) && frame.kind != .readIndex && frame.kind != .forward
    }
    try world[1].call(sink, 1, method: "t/Read") { $0.timeoutMilliseconds = 40 }
    try world[2].call(sink, 2, method: "t/Read") { $0.timeoutMilliseconds = 40 }
    try world[2].call(sink, 3, method: "t/Read") {
      $0.timeoutMilliseconds = 40
      $0.read = Consistency.at(0).number
      $0.readIndex = .max
    }
    try world[2].call(sink, 4) { $0.timeoutMilliseconds = 40 }
    try world.tick(6)
    #expect(sink.replies.map(\.id).sorted() == [1, 2, 3, 4])
    #expect(sink.replies.allSatisfy { $0.code == late })
    for id in 1...3 as ClosedRange<UInt64> { #expect(sink.reply(id)?.applied == .no) }
    #expect(sink.reply(4)?.applied == .unknown)
    for node in world.nodes { #expect(node.node.underWay.calls == 0 && node.node.underWay.bytes == 0) }
  }

  @Test("deadline: a command held while the lead is handed over has had no effect")
  func heldForTransfer() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .timeoutNow }
    world[1].node.transferLeadership(of: .first, to: NodeID(2))
    try world[1].call(sink, 1) { $0.timeoutMilliseconds = 50 }
    try world.settle()
    #expect(world[1].group.proposals.areHeld && world[1].node.underWay.calls == 1)
    try world.tick(6)
    #expect(sink.reply(1)?.code == late && sink.reply(1)?.applied == .no)
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("handing over: commands that came meanwhile go to the new leader, and are answered once")
  func transfer() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world[1].node.transferLeadership(of: .first, to: NodeID(2))
    for id in 1...10 as ClosedRange<UInt64> { try world[1].call(sink, id, [UInt8(id)]) }
    try world.tick(20)
    #expect(world[2].isLeader)
    #expect(sink.replies.map(\.id).sorted() == Array(1...10))
    #expect(sink.replies.allSatisfy { $0.code == 0 && $0.node == 2 })
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }
}
