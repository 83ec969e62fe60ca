import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("leases: reads without a word to another node")
struct LeaseTests {
  private static let tick = World.tickLength
  private static let electionTicks = 20
  /// As with clocks that do not drift.
  private static let leaseTicks = electionTicks - 2

  /// Node 1 leads, and has been heard by all.
  private func world(_ count: UInt64 = 3) throws -> World {
    let world = try World(count) {
      $0.leaseTime = UInt64(Self.leaseTicks) * Self.tick
    } core: {
      $0.electionTicks = Self.electionTicks
      $0.heartbeatTicks = 3
      $0.leases = .served
    }
    try world.elect(1)
    try world.tick(10)
    return world
  }

  /// What a read on a lease is answered at in the turn that it comes in; nil: not in that turn.
  private func level(_ world: World, at id: UInt64 = 1) throws -> UInt32? {
    let sink = FakeSink()
    try world[id].call(sink, 1, method: "t/Read") { $0.read = Consistency.lease.number }
    _ = world[id].node.turn(now: world.now, wall: world.wall)
    return sink.reply(1)?.read
  }

  private let lease = Consistency.lease.number

  @Test("a leader that a majority has heard answers at once, and says nothing to anybody")
  func answers() throws {
    let world = try world()
    #expect(try level(world) == lease)
    #expect(world[1].links.frames.isEmpty)
  }

  @Test("the answer has all that is committed, and says that it is of this moment")
  func fresh() throws {
    let world = try world()
    let sink = FakeSink()
    try world[1].call(sink, 1)
    try world.tick(2)
    try world[1].call(sink, 2, method: "t/Read") { $0.read = lease }
    _ = world[1].node.turn(now: world.now, wall: world.wall)
    #expect(sink.reply(2)?.payload == Array("1 lines".utf8) && sink.reply(2)?.index == sink.reply(1)?.index)
    #expect(sink.reply(2).map { $0.ageMicroseconds < 10 } == true)
  }

  @Test("a follower, and a leader without a lease, ask for a round, and the answer says 'linearizable'")
  func fallsBack() throws {
    let world = try world()
    let sink = FakeSink()
    try world[2].call(sink, 1, method: "t/Read") { $0.read = lease }
    try world.settle()
    #expect(sink.reply(1)?.read == Consistency.linearizable.number)
    world.now += 10 * Self.tick * UInt64(Self.electionTicks)
    #expect(try level(world) == nil)
    try world[1].call(sink, 2, method: "t/Read") { $0.read = lease }
    try world.settle()
    #expect(sink.reply(2)?.read == Consistency.linearizable.number)
  }

  @Test("a leader that is cut off has its lease for as long as the others keep the peace, and no longer")
  func isolated() throws {
    let world = try world()
    world.isolate(1)
    var held = 0
    while try level(world) == lease, held < 100 {
      held += 1
      // By the others' count too, nobody votes for another one meanwhile.
      #expect(!world[2].isLeader && !world[3].isLeader)
      try world.tick()
    }
    #expect(held > Self.electionTicks / 2 && held <= Self.leaseTicks)
    try world.run { world[2].isLeader || world[3].isLeader }
    #expect(try level(world) == nil)
  }

  @Test("a pause: the clock alone says that it is over, without a tick")
  func pause() throws {
    let world = try world()
    world.now += Self.tick * UInt64(Self.leaseTicks + 1)
    world.wall += Self.tick * UInt64(Self.leaseTicks + 1)
    #expect(try level(world) == nil)
  }

  @Test("the monotonic clock stands still, or is set back: the wall clock and the ticks say that it is over")
  func clockStandsStill() throws {
    for isSetBack in [false, true] {
      let world = try world()
      world.isolate(1)
      for _ in 0..<Self.leaseTicks + 1 {
        world[1].node.tick(now: world.now, wall: world.wall)
        _ = world[1].node.turn(now: world.now, wall: world.wall)
      }
      if isSetBack { world.now -= Self.tick * 5 }
      #expect(try level(world) == nil)
    }
    let world = try world()
    world.wall += Self.tick * UInt64(Self.leaseTicks + 1)
    #expect(try level(world) == nil)
  }

  @Test("a monotonic clock that was set back by less than has passed is believed until the next turn at most")
  func setBack() throws {
    let world = try world()
    #expect(try level(world) == lease)
    world.now -= 1
    #expect(try level(world) == nil)
    // Rounds that begin from then on count again.
    world.now += 1
    try world.tick(10)
    #expect(try level(world) == lease)
  }

  @Test("a wall clock that is set back ends it until the next round")
  func wallSetBack() throws {
    let world = try world()
    world.wall -= 1_000_000_000_000
    #expect(try level(world) == nil)
    try world.tick(10)
    #expect(try level(world) == lease)
  }

  @Test("a transfer that was begun, and is given up, leaves the term without leases")
  func transfer() throws {
    let world = try world()
    world.passes = { _, frame in frame.kind != .timeoutNow }
    world[1].node.transferLeadership(of: .first, to: NodeID(2))
    try world.tick(3)
    #expect(world[1].isLeader)
    #expect(try level(world) == nil)
    try world.tick(100)
    #expect(world[1].isLeader)
    #expect(try level(world) == nil)
    let sink = FakeSink()
    try world[1].call(sink, 9, method: "t/Read") { $0.read = lease }
    try world.settle()
    #expect(sink.reply(9)?.read == Consistency.linearizable.number)
  }

  @Test("a lease counts from the beginning of its round, not from the answers to it")
  func slowAnswers() throws {
    let world = try world()
    // The answers to one round are on their way for most of an election time-out.
    var held: [(from: NodeID, frame: FakeLinks.Frame)] = []
    world.passes = { from, frame in
      guard frame.kind == .appendReply else { return true }
      held.append((from, frame))
      return false
    }
    try world.tick(Self.leaseTicks - 4)
    let late = held
    held = []
    try world.tick(3)
    for (from, frame) in late where frame.to == NodeID(1) {
      try world[1].receive(frame.kind, frame.payload, from: from)
    }
    var count = 0
    while try level(world) == lease, count < 100 {
      count += 1
      for node in [world[1]] {
        world.now += Self.tick
        world.wall += Self.tick
        node.node.tick(now: world.now, wall: world.wall)
      }
    }
    #expect(count < Self.leaseTicks)
  }

  @Test("without leases the level is refused by name")
  func refused() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1, method: "t/Read") { $0.read = lease }
    try world.settle()
    #expect(sink.reply(1)?.code == UInt32(CallStatus.Code.failedPrecondition.rawValue))
    #expect(sink.reply(1)?.message.contains("--lease-drift") == true)
  }
}
