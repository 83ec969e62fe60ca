import LockstepConsensus
import LockstepRequests
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("room on the disk")
struct RoomTests {
  private static let disk = DiskSpace(used: 1, limit: 2, available: 3)

  private func world(_ count: UInt64) throws -> World {
    try World(count) {
      $0.measureEvery = 50_000_000
      ($0.reservedLogBytes, $0.roomForProposed) = (1_000, 4_000)
    }
  }

  private func room(_ bytes: Int, missing: Int = 0, overdrawn: Int = 0) -> LogSpace {
    LogSpace(log: bytes, longest: 0, missing: missing, overdrawn: overdrawn, disk: Self.disk)
  }

  @Test("what is short is said before what was proposed is lost, and counts as back when there is somewhat more")
  func levels() {
    var limits = DriverLimits()
    (limits.reservedLogBytes, limits.roomForProposed, limits.appendBytes) = (1_000, 8_000, 500)
    func level(_ bytes: Int, waiting: Int = 0, arriving: Int = 0, missing: Int = 0, before: LogRoom = .ample) -> LogRoom
    {
      limits.room(in: room(bytes, missing: missing), waiting: waiting, arriving: arriving, before: before)
    }
    #expect(level(9_000) == .ample && level(8_999) == .short(missing: 1))
    // As much as the longest may stay unused at the end of this segment and of the next.
    #expect(level(9_600, waiting: 200) == .ample && level(9_599, waiting: 200) == .short(missing: 1))
    #expect(level(10_500, arriving: 500) == .ample && level(10_499, arriving: 500) == .short(missing: 1))
    #expect(level(1_000) == .short(missing: 8_000) && level(999) == .none(missing: 8_001))
    #expect(level(5_000, missing: 70_000) == .short(missing: 70_000))
    #expect(level(10_999, before: .short(missing: 1)) == .short(missing: 1))
    #expect(level(11_000, before: .short(missing: 1)) == .ample)
    #expect(level(1_999, before: .none(missing: 1)) == .none(missing: 9_001))
    #expect(level(2_000, before: .none(missing: 1)) == .short(missing: 9_000))
  }

  @Test("a directory that has outgrown its budget takes no command, whatever its log has room for, and votes as ever")
  func overdrawn() throws {
    let world = try world(1)
    world[1].disk.space = room(100_000)
    try world.elect(1)
    let sink = FakeSink()
    world[1].disk.space = room(100_000, overdrawn: 7_777)
    try world.tick(10)
    try world[1].call(sink, 1)
    try world[1].call(sink, 2, method: "t/Read")
    try world.tick(2)
    #expect(sink.reply(1)?.code == UInt32(CallStatus.Code.resourceExhausted.rawValue))
    #expect(sink.reply(1)?.applied == .no && sink.reply(2)?.code == 0)
    #expect(world[1].node.status().disk?.missing == 7_777)
    #expect(world[1].node.inspect(.first)?.isLeader == true)
    world[1].disk.space = room(100_000)
    try world.tick(10)
    try world[1].call(sink, 3)
    try world.tick(2)
    #expect(sink.reply(3)?.code == 0)
  }

  @Test("log gathers behind a snapshot up to its size or the usual, and on a small disk no more than fits with three")
  func allowance() {
    var limits = DriverLimits()
    limits.snapshotLogBytes = 1_000
    #expect(limits.snapshotAllowance(last: nil) == 1_000 && limits.snapshotAllowance(last: 5_000) == 5_000)
    limits.diskBytes = 100_000
    #expect(limits.snapshotAllowance(last: 5_000) == 5_000)
    limits.snapshotLogBytes = 1 << 40
    #expect(limits.snapshotAllowance(last: nil) == 100_000 / 6)
    for size in stride(from: 0, through: 20_000, by: 1_000) {
      let log = limits.snapshotAllowance(last: size)
      #expect(2 * log + log / 2 + 3 * size + size / 4 <= 100_000)
    }
    // A state that fills the disk: what is left is for the refusal to find.
    #expect(limits.snapshotAllowance(last: 60_000) == 100_000 / 16)
  }

  @Test(
    "a command for which there is no room is refused as not carried out, reads are answered, and it goes on by itself")
  func refused() throws {
    let world = try world(1)
    world[1].disk.space = room(100_000)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1)
    try world.tick(2)
    #expect(sink.replies.map(\.code) == [0])
    // A stranger has taken what there was; nothing of ours told so.
    world[1].disk.space = room(4_000, missing: 12_345)
    try world.tick(10)
    try world[1].call(sink, 2)
    try world[1].call(sink, 3, method: "t/Read")
    try world.tick(2)
    #expect(sink.replies.count == 3)
    let refusal = try #require(sink.replies.first { $0.id == 2 })
    #expect(refusal.code == UInt32(CallStatus.Code.resourceExhausted.rawValue) && refusal.applied == .no)
    #expect(
      refusal.message.contains("node 1") && refusal.message.contains("12345 bytes are missing"), "\(refusal.message)")
    #expect(sink.replies.first { $0.id == 3 }?.code == 0)
    #expect(world[1].node.status().disk?.missing == 12_345)
    #expect(world[1].node.underWay.calls == 0)
    world[1].disk.space = room(100_000)
    try world.tick(10)
    try world[1].call(sink, 4)
    try world.tick(2)
    #expect(sink.replies.first { $0.id == 4 }?.code == 0)
    #expect(world[1].node.status().disk?.missing == 0)
  }

  @Test(
    "a command that enters at a follower is refused as the leader refuses it; one follower without room holds up nobody"
  )
  func followers() throws {
    let world = try world(3)
    for id in 1...UInt64(3) { world[id].disk.space = room(100_000) }
    try world.elect(1)
    let sink = FakeSink()
    world[2].disk.space = room(500)
    try world.tick(20)
    try world[1].call(sink, 1)
    try world.tick(2)
    #expect(sink.replies.map(\.code) == [0])
    let before = world[2].replica.log.last
    #expect(before < world[1].replica.log.last)
    world[3].disk.space = room(3_000)
    try world.tick(20)
    let other = FakeSink()
    try world[3].call(other, 2)
    try world.tick(5)
    let refusal = try #require(other.replies.first)
    #expect(refusal.code == UInt32(CallStatus.Code.resourceExhausted.rawValue) && refusal.applied == .no)
    #expect(refusal.message.contains("nodes 2 and 3"), "\(refusal.message)")
    for id in 1...UInt64(3) { world[id].disk.space = room(100_000) }
    try world.tick(40)
    #expect(world[2].replica.log.last == world[1].replica.log.last)
    try world[3].call(other, 3)
    try world.tick(5)
    #expect(other.replies.last?.code == 0)
  }

  /// It proposes 2,000 bytes beyond what is committed.
  private func leaderOfThree() throws -> (World, FakeSink) {
    let world = try World(3, core: { ($0.appendBytes, $0.uncommittedBytes) = (1_000, 2_000) })
    try world.elect(1)
    return (world, FakeSink())
  }

  /// See seed 987000000288 of the simulator.
  @Test(
    "no more is proposed unheard than the others keep room for: the rest waits, in its order, and is committed with them"
  )
  func unheard() throws {
    let (world, sink) = try leaderOfThree()
    let before = world[1].replica.log.last
    world.passes = { _, frame in frame.kind != .append }
    for id in 1...UInt64(20) { try world[1].call(sink, id, [UInt8](repeating: UInt8(id), count: 300)) }
    try world.settle()
    let proposed = world[1].replica.log.last.distance(after: before)
    #expect(proposed > 3 && proposed < 8 && sink.replies.isEmpty)
    // What comes later does not overtake what waits.
    try world[1].call(sink, 21)
    try world.settle()
    #expect(world[1].replica.log.last.distance(after: before) == proposed)
    world.passes = { _, _ in true }
    try world.run { sink.replies.count == 21 }
    #expect(sink.replies.map(\.id) == Array(1...21) && sink.replies.allSatisfy { $0.code == 0 })
    #expect(world[1].node.underWay.calls == 0)
  }

  @Test("one call that is larger than all that may be proposed unheard goes alone, and in its turn")
  func largerThanAll() throws {
    let (world, sink) = try leaderOfThree()
    for (id, count) in [(1, 300), (2, 9_000), (3, 300), (4, 9_000)] {
      try world[1].call(sink, UInt64(id), [UInt8](repeating: 1, count: count))
    }
    try world.run { sink.replies.count == 4 }
    #expect(sink.replies.map(\.id) == [1, 2, 3, 4] && sink.replies.allSatisfy { $0.code == 0 })
  }

  @Test("what waits to be proposed is told when its time is over, and was not carried out")
  func heldForAllOfItsTime() throws {
    let (world, sink) = try leaderOfThree()
    world.passes = { _, frame in frame.kind != .append }
    for id in 1...UInt64(20) {
      try world[1].call(sink, id, [UInt8](repeating: 1, count: 300)) { $0.timeoutMilliseconds = 100 }
    }
    try world.tick(15)
    #expect(sink.replies.count == 20)
    #expect(sink.replies.contains { $0.applied == .unknown } && sink.replies.contains { $0.applied == .no })
    let last = sink.replies.first { $0.id == 20 }
    #expect(last?.applied == .no && last?.message.contains("too much was not committed") == true)
  }

  @Test("a follower refuses what it has no room for once, with the smaller piece behind it, until there is room")
  func refusedOnce() throws {
    let world = try world(3)
    for id in 1...UInt64(3) { world[id].disk.space = room(100_000) }
    try world.elect(1)
    world[2].disk.space = room(9_000)
    try world.tick(10)
    #expect(world[2].replica.room.isAmple)
    let sink = FakeSink()
    try world[1].call(sink, 1, [UInt8](repeating: 1, count: 3_000))
    try world[1].call(sink, 2)
    try world.tick(40)
    #expect(sink.replies.map(\.code) == [0, 0])
    var told: [Bool] {
      world[2].journal.events.compactMap { event in
        switch event {
        case .roomIsShort: false
        case .roomIsBack: true
        default: nil
        }
      }
    }
    #expect(!world[2].replica.room.takesEntries && told == [false])
    #expect(world[2].replica.log.last < world[1].replica.log.last)
    // What the leader of another term sends may be another thing. Here it is the same.
    try world.elect(3)
    try world.tick(40)
    #expect(!world[2].replica.room.takesEntries && told == [false, true, false])
    world[2].disk.space = room(100_000)
    try world.tick(40)
    #expect(world[2].replica.room.isAmple && told == [false, true, false, true])
    #expect(world[2].replica.log.last == world[3].replica.log.last)
  }

  @Test("a command that is too long for the disk is refused, and the shorter one behind it is not")
  func tooLong() throws {
    let world = try world(1)
    world[1].disk.space = room(9_000)
    try world.elect(1)
    let sink = FakeSink()
    for (id, length) in [(UInt64(1), 3_000), (2, 10), (3, 3_000), (4, 10)] {
      try world[1].call(sink, id, [UInt8](repeating: 1, count: length))
      try world.tick(2)
    }
    let refused = UInt32(CallStatus.Code.resourceExhausted.rawValue)
    #expect(sink.replies.sorted { $0.id < $1.id }.map(\.code) == [refused, 0, refused, 0])
  }

  @Test("the disk is asked one thing at a time")
  func measured() throws {
    let world = try world(1)
    world.heldDisks = [NodeID(1)]
    try world.tick(40)
    let measures = world[1].disk.jobs.count { if case .measure = $0.work { true } else { false } }
    #expect(measures == 1)
  }
}
