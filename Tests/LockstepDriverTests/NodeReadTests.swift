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
    for id in 1...20 as ClosedRange<UInt64> {
      try world[2].call(sink, id, method: "t/Read")
      // A turn of its own, with no answer before the next one.
      _ = world[2].node.turn(now: world.now, wall: world.wall)
    }
    #expect(world[2].links.frames.count { $0.kind == .readIndex } == 1)
    try world.settle()
    #expect((1...20).allSatisfy { sink.reply($0)?.code == 0 } && world.sent(.readIndex) == 2)
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

  private let precondition = UInt32(CallStatus.Code.failedPrecondition.rawValue)
  private let late = UInt32(CallStatus.Code.deadlineExceeded.rawValue)

  private func token(
    _ term: UInt64, _ index: UInt64, group: UInt64 = 1, cluster: [UInt8] = testCluster
  ) -> [UInt8] {
    Codec.bytes(
      ReadToken(
        group: group, incarnation: Codec.incarnation(cluster: cluster), term: Term(term), index: LogIndex(index)))
  }

  @Test("session: waits until what the token has seen is applied, at any node, also under another leader")
  func session() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.isolate(3)
    try world[1].call(sink, 1)
    try world.settle()
    let written = try #require(sink.reply(1))
    func read(_ id: UInt64, at node: UInt64, _ token: [UInt8]) throws {
      try world[node].call(sink, id, method: "t/Read") {
        ($0.read, $0.token) = (Consistency.session.number, token)
      }
      try world.settle()
    }
    try read(2, at: 3, token(written.term, written.index))
    #expect(sink.reply(2) == nil, "it has not heard of it")
    try read(3, at: 3, [])
    #expect(sink.reply(3)?.payload == Array("0 lines".utf8), "who has seen nothing is answered from anything")
    try world.elect(2)
    world.isolate(3, false)
    try world.tick(5)
    #expect(sink.reply(2)?.payload == Array("1 lines".utf8) && sink.reply(2)?.read == Consistency.session.number)
    try read(4, at: 1, token(written.term, written.index))
    #expect(sink.reply(4)?.payload == Array("1 lines".utf8))
  }

  @Test("session: a token of another cluster, of another group, of what was lost, or of nothing is refused by name")
  func tokens() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    let term = world[1].replica.term.rawValue
    try world[1].call(sink, 1)
    try world.settle()
    let cases: [([UInt8], CallStatus.Code, String)] = [
      (token(term, 2, cluster: [1]), .failedPrecondition, "another cluster"),
      (token(term, 2, group: 7), .invalidArgument, "group 7"),
      (token(term + 5, 2), .failedPrecondition, "entry 2 of term \(term + 5), which was lost"),
      ([1, 2, 3], .invalidArgument, "the token is not one"), (token(0, 0), .invalidArgument, "the token is not one"),
    ]
    for (position, (token, code, text)) in cases.enumerated() {
      let id = UInt64(position) + 10
      try world[1].call(sink, id, method: "t/Read") { ($0.read, $0.token) = (Consistency.session.number, token) }
      try world.settle()
      let reply = try #require(sink.reply(id))
      #expect(reply.code == UInt32(code.rawValue) && reply.message.contains(text), "\(reply.message)")
    }
  }

  @Test("bounded: answered at once as long as the last proof is not too old, and by a new one after that")
  func bounded() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    func read(_ id: UInt64, _ milliseconds: UInt64) throws {
      try world[2].call(sink, id, method: "t/Read") {
        ($0.read, $0.readBoundMilliseconds) = (Consistency.bounded(.zero).number, milliseconds)
      }
      try world.settle()
    }
    try read(1, 1000)
    #expect(world.sent(.readIndex) == 1 && sink.reply(1)?.code == 0 && sink.reply(1)?.ageMicroseconds == 1)
    try world.tick(3)
    try read(2, 1000)
    #expect(world.sent(.readIndex) == 1 && sink.reply(2)?.ageMicroseconds == 30_001)
    try read(3, 29)
    #expect(world.sent(.readIndex) == 2 && sink.reply(3)?.ageMicroseconds == 1)
    // What is not asked to be fresh says how old it is, too.
    try world.tick(2)
    try world[2].call(sink, 4, method: "t/Read") { $0.read = Consistency.any.number }
    try world.settle()
    #expect(sink.reply(4)?.ageMicroseconds == 20_001)
  }

  @Test("an age is told with any read: asked for when one is told that is not known or old, and not more often")
  func age() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    func read(_ id: UInt64) throws {
      try world[2].call(sink, id, method: "t/Read") { $0.read = Consistency.any.number }
      try world.settle()
    }
    try read(1)
    #expect(sink.reply(1)?.ageMicroseconds == 0 && world.sent(.readIndex) == 1)
    try read(2)
    try world.tick(30)
    try read(3)
    #expect(sink.reply(2)?.ageMicroseconds == 1 && sink.reply(3)?.ageMicroseconds == 300_001)
    #expect(world.sent(.readIndex) == 1)
    try world.tick(80)
    for id in 4...6 as ClosedRange<UInt64> { try read(id) }
    #expect(sink.reply(4)?.ageMicroseconds == 1_100_001 && sink.reply(5)?.ageMicroseconds == 1)
    #expect(world.sent(.readIndex) == 2)
    // Where nobody answers, nobody is asked again and again.
    world.isolate(2)
    for id in 7...300 as ClosedRange<UInt64> {
      try world.tick()
      try read(id)
    }
    #expect(world.sent(.readIndex) <= 5 && sink.reply(300)?.ageMicroseconds == 2_940_001)
  }

  @Test("bounded: what takes longer to make sure of than it may be old is refused for good, not tried on and on")
  func boundTooTight() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    var isSlow = true
    world.passes = { from, frame in
      if frame.kind == .readIndex { isSlow = true }
      return !isSlow || from != NodeID(1) || frame.kind != .append
    }
    try world[2].call(sink, 1, method: "t/Read") {
      ($0.read, $0.readBoundMilliseconds) = (Consistency.bounded(.zero).number, 5)
    }
    try world.settle()
    for _ in 0..<2 {
      #expect(sink.replies.isEmpty)
      try world.tick(2)
      isSlow = false
      try world.tick(3)
    }
    let reply = try #require(sink.reply(1))
    #expect(reply.code == precondition && reply.applied == .no && reply.message.contains("5 ms were asked for"))
    #expect(world.sent(.readIndex) == 2, "one that had been asked for already, and one of its own")
  }

  @Test("bounded: refused with the age that the state has, where no majority confirms a newer one")
  func tooOld() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    func read(_ id: UInt64, at node: UInt64) throws {
      try world[node].call(sink, id, method: "t/Read") {
        ($0.read, $0.readBoundMilliseconds, $0.timeoutMilliseconds) = (Consistency.bounded(.zero).number, 100, 200)
      }
      try world.settle()
    }
    try read(1, at: 1)
    #expect(sink.reply(1)?.code == 0)
    // It leads still, and does not know that others may lead: what it has is no older than it can prove.
    world.isolate(1)
    try world.tick(5)
    try read(2, at: 1)
    #expect(sink.reply(2)?.code == 0 && sink.reply(2)?.ageMicroseconds == 50_001)
    try world.tick(6, only: [1])
    try read(3, at: 1)
    try world.tick(25)
    let refused = try #require(sink.reply(3))
    #expect(refused.code != 0 && refused.applied == .no && refused.message.contains("100 ms were asked for"))
    // A node that has never asked anybody knows nothing of its age.
    world.isolate(3)
    try read(4, at: 3)
    try world.tick(25)
    #expect(sink.reply(4)?.message.contains("nobody knows") == true)
  }

  @Test("bounded: a state that lags behind what was confirmed is too old until it has caught up")
  func lagging() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    // Node 2 hears nothing but the answer to its question.
    world.passes = { _, frame in frame.to != NodeID(2) || frame.kind == .readIndexReply }
    try world[1].call(sink, 1)
    try world.settle()
    try world[2].call(sink, 2, method: "t/Read") {
      ($0.read, $0.readBoundMilliseconds) = (Consistency.bounded(.zero).number, 10_000)
    }
    try world.tick(3)
    #expect(sink.reply(2) == nil)
    world.passes = { _, _ in true }
    try world.tick(5)
    #expect(sink.reply(2)?.payload == Array("1 lines".utf8))
  }
}
