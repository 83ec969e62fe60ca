import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Long replies, and clients that are slow to read them")
struct LongReplyTests {
  @Test("forwarded or not: a reply that fits in no frame is left out, and said to be carried out")
  func tooLong() throws {
    let world = try World(3)
    try world.elect(1)
    for node in [1, 2] as [UInt64] {
      let sink = FakeSink()
      try world[node].call(sink, 1, [254])
      try world[node].call(sink, 2, [254], method: "t/Read")
      try world[node].call(sink, 3)
      try world.settle()
      try world.tick(4)
      let (command, query) = (try #require(sink.reply(1)), try #require(sink.reply(2)))
      #expect(command.code == 8 && command.applied == .yes && command.message.hasPrefix("carried out; the reply has"))
      #expect(command.payload.isEmpty && command.index > 0)
      #expect(query.code == 8 && query.applied == .no && query.payload.isEmpty)
      #expect(sink.reply(3)?.code == 0)
    }
  }

  @Test("reads: those of a client that has much to read already wait; other clients' and commands do not")
  func noRoom() throws {
    let world = try World(1)
    try world.elect(1)
    let (slow, quick) = (FakeSink(), FakeSink())
    slow.hasRoom = false
    try world[1].call(slow, 1, method: "t/Read")
    try world[1].call(slow, 2)
    try world[1].call(quick, 3, method: "t/Read")
    try world.tick(3)
    #expect(slow.replies.map(\.id) == [2] && quick.replies.map(\.id) == [3])
    slow.hasRoom = true
    try world.tick()
    #expect(slow.reply(1)?.payload == Array("1 lines".utf8) && world[1].node.underWay.calls == 0)
  }

  @Test("reads: a client of which a thousand wait is asked once a tick whether it has room")
  func questions() throws {
    let world = try World(1)
    try world.elect(1)
    let slow = FakeSink()
    slow.hasRoom = false
    for id in 1...1000 as ClosedRange<UInt64> { try world[1].call(slow, id, method: "t/Read") }
    try world.tick()
    for _ in 0..<5 {
      let before = slow.questions
      try world.tick()
      #expect(slow.questions - before <= 2)
    }
    slow.hasRoom = true
    try world.tick()
    #expect(slow.replies.map(\.id) == Array(1...1000))
  }

  @Test("long replies: a turn makes as many as its limit allows, and the other commands wait for the next")
  func longReplies() throws {
    let world = try World(1)
    try world.elect(1)
    let node = world[1]
    let sink = FakeSink()
    for id in 1...100 as ClosedRange<UInt64> { try node.call(sink, id, [253]) }
    var perTurn: [Int] = []
    while sink.replies.count < 100, perTurn.count < 1000 {
      let before = sink.replies.count
      let isMore = node.node.turn(now: world.now, wall: world.wall)
      perTurn.append(sink.replies.count - before)
      #expect(isMore || node.answerDisk() || sink.replies.count == 100)
    }
    #expect(sink.replies.map(\.id) == Array(1...100) && sink.replies.allSatisfy { $0.payload.count == 300_000 })
    #expect(perTurn.max() ?? 0 <= 7, "\(perTurn)")
  }

  @Test("long replies: one for which its client has no room is left out, and said to be; a short one is not")
  func noRoomForLongReplies() throws {
    let world = try World(3)
    try world.elect(1)
    // At the leader, and passed on by a follower to which it has much to say already.
    world[1].links.crowded = [NodeID(2)]
    for node in [1, 2] as [UInt64] {
      let sink = FakeSink()
      sink.hasRoom = node == 2
      try world[node].call(sink, 1, [253])
      try world[node].call(sink, 2)
      try world.tick(2)
      let long = try #require(sink.reply(1))
      #expect(long.code == 8 && long.applied == .yes && long.payload.isEmpty && long.index > 0)
      #expect(long.message.contains("earlier answers still wait to be read"))
      #expect(sink.reply(2)?.code == 0)
    }
  }

  @Test("passed on: a client of a follower that does not read keeps its connection, and hears what was carried out")
  func passedOnToSlowReader() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    sink.hasRoom = false
    try world[2].call(sink, 1, [253])
    try world[2].call(sink, 2)
    try world[2].batch(sink, 3, [[253], [5]])
    try world.tick(2)
    let long = try #require(sink.reply(1))
    #expect(long.code == 8 && long.applied == .yes && long.payload.isEmpty && long.index > 0)
    #expect(long.message.contains("earlier answers still wait to be read"))
    #expect(sink.reply(2)?.code == 0)
    let batch = try #require(sink.batches.first)
    #expect(batch.id == 3 && batch.results.map(\.code) == [8, 0] && batch.results.allSatisfy { $0.applied == .yes })
    #expect(sink.bytes < 10_000)
  }
}
