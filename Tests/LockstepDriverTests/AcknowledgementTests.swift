import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

/// A level that was asked for is met, or the command fails with what was reached: it is never weakened.
@Suite("Levels of acknowledgement")
struct AcknowledgementTests {
  private let late = UInt32(CallStatus.Code.deadlineExceeded.rawValue)
  private let unavailable = UInt32(CallStatus.Code.unavailable.rawValue)

  private func world(
    _ count: UInt64 = 3, _ limits: (inout DriverLimits) -> Void = { _ in }
  ) throws -> World {
    let world = try World(count, limits: limits)
    try world.elect(1)
    return world
  }

  @Test("leader: answered when its own disk has the command, without a reply, as nobody else need have it")
  func leader() throws {
    let world = try world()
    let sink = FakeSink()
    world.heldDisks = [NodeID(1), NodeID(2), NodeID(3)]
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.leader.number }
    try world.settle()
    #expect(sink.replies.isEmpty, "its disk has not answered")
    world.heldDisks = [NodeID(2), NodeID(3)]
    try world.settle()
    let reply = try #require(sink.reply(1))
    #expect(reply.code == 0 && reply.payload.isEmpty && reply.applied == .unknown)
    #expect(reply.ack == Acknowledgement.leader.number && reply.evidence?.holders == [1])
    #expect(LogIndex(reply.index) == world[1].replica.log.last && LogIndex(reply.index) > world[1].replica.commit)
    // It is carried out in the end, and not answered twice.
    world.heldDisks = []
    try world.settle()
    #expect(sink.replies.count == 1 && world[1].tape.lines == [[1]])
  }

  @Test("leader: a command that another leader has replaced was answered, and a command before it was stored is not")
  func leaderLost() throws {
    let world = try world()
    let sink = FakeSink()
    world.isolate(1)
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.leader.number }
    try world.settle()
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 2, [2]) { $0.ack = Acknowledgement.leader.number }
    try world.settle()
    #expect(sink.replies.map(\.id) == [1])
    try world.elect(2)
    world.isolate(1, false)
    try world.tick(3)
    #expect(!world[1].isLeader)
    world.heldDisks = []
    // Something else is committed in its place.
    let other = FakeSink()
    for id in 1...3 as ClosedRange<UInt64> { try world[2].call(other, id, [9]) }
    try world.run { sink.replies.count == 2 }
    let lost = try #require(sink.reply(2))
    #expect(lost.code == unavailable && lost.applied == .no, "\(lost)")
    #expect(world[1].tape.lines.allSatisfy { $0 == [9] })
  }

  @Test("all: answered when every voter's disk has it, with all of them named")
  func all() throws {
    let world = try world()
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.all.number }
    try world[1].call(sink, 2)
    try world.settle()
    #expect(sink.replies.map(\.id) == [2], "a majority has both")
    world.heldDisks = []
    try world.settle()
    let reply = try #require(sink.reply(1))
    #expect(reply.code == 0 && reply.applied == .yes && reply.payload == Array("line 1".utf8))
    #expect(reply.ack == Acknowledgement.all.number && reply.evidence?.holders == [1, 2, 3])
  }

  @Test("applied: answered when every voter has carried it out, and not when their disks have it")
  func applied() throws {
    let world = try world()
    let sink = FakeSink()
    // Node 3 hears of the entry, and not that it is committed.
    var isDeaf = true
    world.passes = { _, frame in
      guard isDeaf, frame.to == NodeID(3), frame.kind == .append else { return true }
      let codec = Codec(maximumMessage: 1 << 20)
      let message = frame.payload.withUnsafeBytes { try? codec.unpackMessage(.append, $0)?.message }
      guard case .append(let request)? = message else { return true }
      return request.commit < world[1].replica.log.last
    }
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.applied.number }
    try world[1].call(sink, 2) { $0.ack = Acknowledgement.all.number }
    try world.settle()
    #expect(sink.replies.map(\.id) == [2])
    isDeaf = false
    try world.tick(3)
    let reply = try #require(sink.reply(1))
    #expect(reply.code == 0 && reply.ack == Acknowledgement.applied.number)
    #expect(reply.evidence?.appliedBy == [1, 2, 3] && reply.evidence?.holders == [1, 2, 3])
    #expect(world[3].tape.lines.count == 2)
  }

  @Test("applied: nobody waits for a heartbeat: followers say so as soon as they have carried it out")
  func appliedAtOnce() throws {
    let world = try world()
    let sink = FakeSink()
    for id in 1...5 { try world[1].call(sink, UInt64(id)) { $0.ack = Acknowledgement.applied.number } }
    try world.settle()
    #expect(sink.replies.map(\.id) == [1, 2, 3, 4, 5])
  }

  @Test("by number: so many voters, the leader among them")
  func voters() throws {
    let world = try world(5)
    let sink = FakeSink()
    world.heldDisks = [NodeID(4), NodeID(5)]
    func call(_ id: UInt64, _ count: UInt32) throws {
      try world[1].call(sink, id) { ($0.ack, $0.voters) = (Acknowledgement.voters(0).number, count) }
    }
    for count in 1...5 { try call(UInt64(count), UInt32(count)) }
    try world.settle()
    #expect(sink.replies.map(\.id) == [1, 2, 3], "a majority is three, whatever less is asked for")
    world.heldDisks = [NodeID(5)]
    try world.settle()
    #expect(sink.reply(4)?.evidence?.holders == [1, 2, 3, 4])
    #expect(sink.reply(5) == nil)
    try call(6, 6)
    try call(7, 0)
    #expect(sink.reply(6)?.applied == .no && sink.reply(6)?.message.contains("there are 5") == true)
    #expect(sink.reply(7)?.code == UInt32(CallStatus.Code.invalidArgument.rawValue))
  }

  @Test("late: what is carried out and not where it was asked for fails with applied yes, and names who is missing")
  func tooLate() throws {
    let world = try world()
    let sink = FakeSink()
    world.isolate(3)
    for (id, level) in [(1, Acknowledgement.all), (2, .applied), (3, .voters(3))] {
      try world[1].call(sink, UInt64(id)) {
        ($0.ack, $0.voters, $0.timeoutMilliseconds) = (level.number, level.voters, 200)
      }
    }
    try world.settle()
    #expect(sink.replies.isEmpty)
    try world.tick(22)
    for id in 1...3 {
      let reply = try #require(sink.reply(UInt64(id)))
      #expect(reply.code == late && reply.applied == .yes && reply.index > 0)
      #expect(reply.evidence?.missing == [3] && reply.evidence?.holders == [1, 2], "\(reply)")
      #expect(reply.message.contains("node 3 has not") && reply.ack == Acknowledgement.quorum.number)
    }
    #expect(world[1].tape.lines.count == 3 && world[1].node.permits == 0)
  }

  @Test("late, and passed on: the leader's answer, with who is missing, comes before the other node gives it up")
  func tooLatePassedOn() throws {
    let world = try world()
    let sink = FakeSink()
    world.isolate(3)
    try world[2].call(sink, 1) { ($0.ack, $0.timeoutMilliseconds) = (Acknowledgement.all.number, 300) }
    try world.tick(32)
    let reply = try #require(sink.reply(1))
    #expect(reply.code == late && reply.applied == .yes && reply.evidence?.missing == [3], "\(reply)")
  }

  @Test("what has come in the moment of the deadline counts")
  func lastMoment() throws {
    let world = try world()
    let sink = FakeSink()
    var held: [FakeLinks.Frame] = []
    world.passes = { from, frame in
      guard from == NodeID(3), frame.kind == .appendReply else { return true }
      held.append(frame)
      return false
    }
    try world[1].call(sink, 1) { ($0.ack, $0.timeoutMilliseconds) = (Acknowledgement.all.number, 100) }
    try world.settle()
    #expect(sink.replies.isEmpty && !held.isEmpty)
    for frame in held { try world[1].receive(frame.kind, frame.payload, from: NodeID(3)) }
    try world.tick(11)
    #expect(sink.reply(1)?.code == 0)
  }

  @Test("a leader that leads no more cannot tell who has it, and says so at once")
  func leadLost() throws {
    let world = try world()
    let sink = FakeSink()
    world.isolate(3)
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.all.number }
    try world.settle()
    #expect(sink.replies.isEmpty && world[1].tape.lines.count == 1)
    try world.elect(2)
    let reply = try #require(sink.reply(1))
    #expect(reply.code == unavailable && reply.applied == .yes && reply.message.contains("does not lead any more"))
    #expect(reply.evidence?.missing == [], "it cannot tell")
  }

  @Test("the lead is handed over when the levels are reached that only this leader knows of, or after a while")
  func handOver() throws {
    let world = try world()
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    func call(_ id: UInt64) throws {
      try world[1].call(sink, id) { $0.ack = Acknowledgement.all.number }
      try world.settle()
    }
    try call(1)
    world[1].node.transferLeadership(of: .first, to: NodeID(2))
    try world.tick(2)
    #expect(world[1].isLeader && sink.replies.isEmpty)
    try call(2)
    world.heldDisks = []
    try world.run(upTo: 5) { world[2].isLeader }
    let reply = try #require(sink.reply(1))
    #expect(reply.code == 0 && reply.evidence?.holders == [1, 2, 3])
    // What came meanwhile goes on with the other leader.
    try world.run(upTo: 5) { sink.reply(2)?.code == 0 }
    // Who is missing for long does not keep the lead.
    world.heldDisks = [NodeID(3)]
    let other = FakeSink()
    try world[2].call(other, 3) { $0.ack = Acknowledgement.all.number }
    try world.settle()
    world[2].node.transferLeadership(of: .first, to: NodeID(1))
    try world.run(upTo: 8) { world[1].isLeader }
    #expect(other.reply(3)?.code == unavailable && other.reply(3)?.applied == .yes)
  }

  @Test("a node that has another disk under its number counts for nothing")
  func replacedDisk() throws {
    let world = try world()
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    try world[1].call(sink, 1) { $0.ack = Acknowledgement.all.number }
    try world.settle()
    world[1].node.diskReplaced(MemberDisk(node: NodeID(3), disk: [UInt8](repeating: 9, count: 16)))
    world.heldDisks = []
    try world.settle()
    #expect(sink.replies.isEmpty)
  }

  @Test("a floor: what asks for less is acknowledged at the level that the nodes insist on")
  func floor() throws {
    let world = try world(3) { $0.minimumAcknowledgement = .all }
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    for (id, level) in [(1, Acknowledgement.leader), (2, .quorum), (3, .voters(2)), (4, .all)] {
      try world[1].call(sink, UInt64(id)) { ($0.ack, $0.voters) = (level.number, level.voters) }
    }
    // Passed on by another node, and in a batch.
    try world[2].call(sink, 5)
    try world[1].batch(sink, 6, [[1], [2]])
    try world.settle()
    #expect(sink.replies.isEmpty && sink.batches.isEmpty)
    world.heldDisks = []
    try world.settle()
    #expect(sink.replies.map(\.ack) == Array(repeating: Acknowledgement.all.number, count: 5))
    #expect(sink.replies.allSatisfy { $0.evidence?.holders == [1, 2, 3] })
    #expect(sink.batches.map(\.ack) == [Acknowledgement.all.number])
  }

  @Test(
    "a number is a number, also beside another level: while a node may not vote, nobody makes do with fewer",
    arguments: [(Acknowledgement.voters(3), Acknowledgement.all), (.all, .voters(3))])
  func numberWhileDemoted(floor: Acknowledgement, asked: Acknowledgement) throws {
    let world = try world(3) { $0.minimumAcknowledgement = floor }
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    func call(_ id: UInt64) throws {
      try world[1].call(sink, id) {
        ($0.ack, $0.voters, $0.timeoutMilliseconds) = (asked.number, asked.voters, 200)
      }
    }
    try call(1)
    try world.settle()
    world[1].node.diskReplaced(MemberDisk(node: NodeID(3), disk: [UInt8](repeating: 9, count: 16)))
    try world.tick(3)
    #expect(world[1].replica.votingMembers == [NodeID(1), NodeID(2)])
    #expect(sink.replies.isEmpty, "two of two have it, and three were asked for")
    try call(2)
    let refused = try #require(sink.reply(2))
    #expect(refused.applied == .no && refused.message.contains("of 3 voters, and there are 2"), "\(refused)")
    try world.tick(20)
    let reply = try #require(sink.reply(1))
    #expect(reply.code == late && reply.applied == .yes && reply.message.contains("no more voters than 2"), "\(reply)")
  }

  @Test("a batch says what all of it has reached: the least, where the lead was lost meanwhile")
  func batch() throws {
    let world = try world()
    let sink = FakeSink()
    try world[1].batch(sink, 1, [[1], [2], [3]]) { $0.ack = Acknowledgement.applied.number }
    try world[1].batch(sink, 2, [[1], [2]]) { $0.ack = Acknowledgement.leader.number }
    try world.settle()
    let batches = sink.batches.sorted { $0.id < $1.id }
    #expect(batches.map(\.ack) == [Acknowledgement.applied.number, Acknowledgement.leader.number])
    #expect(batches[0].evidence?.appliedBy == [1, 2, 3] && batches[0].results.allSatisfy { $0.code == 0 })
    #expect(batches[1].results.count == 2 && batches[1].results.allSatisfy { $0.payload.isEmpty && $0.index > 0 })
  }

  @Test("long replies that wait for a level take of what calls may take, and are left out where that is full")
  func longReplies() throws {
    let world = try world(3) { $0.callBytes = 700_000 }
    let sink = FakeSink()
    world.heldDisks = [NodeID(3)]
    for id in 1...3 { try world[1].call(sink, UInt64(id), [253]) { $0.ack = Acknowledgement.all.number } }
    try world.settle()
    world.heldDisks = []
    try world.settle()
    #expect([1, 2].allSatisfy { sink.reply($0)?.payload.count == Tape.long.count })
    let left = try #require(sink.reply(3))
    #expect(left.code == UInt32(CallStatus.Code.resourceExhausted.rawValue) && left.applied == .yes)
    #expect(left.message.contains("left out") && world[1].node.permits == 0)
  }

  @Test("a node that passes nothing on refuses commands with the leader's number, and answers reads")
  func noForward() throws {
    let world = try world(3) { $0.refusesToForward = true }
    let sink = FakeSink()
    try world[2].call(sink, 1)
    try world[2].call(sink, 2, method: "t/Read")
    try world[1].call(sink, 3)
    try world.settle()
    let refused = try #require(sink.reply(1))
    #expect(refused.code == unavailable && refused.applied == .no && refused.leader == 1)
    #expect(refused.message.contains("node 1 does"))
    #expect(sink.reply(2)?.code == 0 && sink.reply(3)?.code == 0)
  }
}

extension Node {
  /// Calls under way.
  fileprivate var permits: Int { group(.first)?.permits.calls ?? 0 }
}
