import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Reads: which index they wait for, and who asks for it")
struct NodeReadTests {
  private let unavailable = UInt32(CallStatus.Code.unavailable.rawValue)

  @Test("reads: 'at' waits for its index; linearizable waits for a round that began after it")
  func reads() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    try world[2].call(sink, 1, method: "t/Read") {
      $0.read = Consistency.at(0).number
      $0.readIndex = 2
    }
    try world.settle()
    #expect(sink.replies.isEmpty)
    try world[1].call(sink, 2)
    try world.tick(4)
    #expect(sink.reply(1)?.index == 2 && sink.reply(1)?.payload == Array("1 lines".utf8))
    world.isolate(1)
    try world[1].call(sink, 3, method: "t/Read")
    try world.settle()
    #expect(sink.reply(3) == nil)
    world.isolate(1, false)
    try world.tick(4)
    #expect(sink.reply(3)?.code == 0)
  }

  @Test("reads at a follower: what comes while an index is asked for shares the next request")
  func shared() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    var requests = 0
    world.passes = { _, frame in
      if frame.kind == .readIndex { requests += 1 }
      return true
    }
    for id in 1...20 as ClosedRange<UInt64> {
      try world[2].call(sink, id, method: "t/Read")
      // A turn of its own, with no answer before the next one.
      _ = world[2].node.turn(now: world.now, wall: world.wall)
    }
    #expect(world[2].links.frames.count { $0.kind == .readIndex } == 1)
    try world.settle()
    #expect((1...20).allSatisfy { sink.reply($0)?.code == 0 } && requests == 2)
    // One that is lost holds up the others until it is repeated, and no longer.
    world.passes = { _, frame in frame.kind != .readIndex }
    try world[2].call(sink, 21, method: "t/Read")
    try world.settle()
    try world[2].call(sink, 22, method: "t/Read")
    try world.settle()
    world.passes = { _, _ in true }
    #expect(sink.reply(21) == nil && sink.reply(22) == nil)
    try world.tick(60)
    #expect(sink.reply(21)?.code == 0 && sink.reply(22)?.code == 0)
  }

  @Test("reads at a leader alone, while it begins: what comes while an index is asked for is asked for next")
  func readsOfOne() throws {
    let world = try World(1)
    let sink = FakeSink()
    let (node, calls) = (world[1], 300 as UInt64)
    for id in 1...calls {
      world.now += World.tickLength
      node.node.tick(now: world.now, wall: world.wall)
      try node.call(sink, id, method: "t/Read")
      // With one turn for each read, and a disk that is slower than they come.
      _ = node.node.turn(now: world.now, wall: world.wall)
      if id.isMultiple(of: 3) { _ = node.answerDisk() }
    }
    try world.settle()
    let codes = (1...calls).map { sink.reply($0)?.code }
    #expect(codes.allSatisfy { $0 == 0 || $0 == unavailable } && codes.suffix(100).allSatisfy { $0 == 0 })
  }

  @Test("reads: one whose time is over while others are asked for is told so, and those behind it are asked for")
  func expired() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .readIndex }
    try world[2].call(sink, 1, method: "t/Read") { $0.timeoutMilliseconds = 50 }
    try world.settle()
    try world[2].call(sink, 2, method: "t/Read") { $0.timeoutMilliseconds = 50 }
    try world[2].call(sink, 3, method: "t/Read") { $0.timeoutMilliseconds = 5000 }
    try world.settle()
    world.passes = { _, _ in true }
    try world.tick(8)
    for id in [1, 2] as [UInt64] { #expect(sink.reply(id)?.code == UInt32(CallStatus.Code.deadlineExceeded.rawValue)) }
    #expect(sink.reply(3)?.code == 0)
  }
}
