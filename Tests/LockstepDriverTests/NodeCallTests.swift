import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Calls to one node")
struct NodeCallTests {
  @Test("one node: a command is committed, applied, answered once and flushed")
  func command() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 7, [5])
    try world.settle()
    let reply = try #require(sink.replies.first)
    #expect(sink.replies.count == 1 && sink.flushes == 1)
    #expect(reply.id == 7 && reply.code == 0 && reply.applied == .yes && reply.node == 1)
    #expect(reply.payload == Array("line 1".utf8))
    #expect(reply.evidence == CallReply.Evidence(term: 1, index: 2, holders: [1]))
    #expect(world[1].tape.lines == [[5]])
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("one node: a command that fails in the machine is applied, and its failure is the reply")
  func recordedFailure() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1, [33])
    try world.settle()
    #expect(sink.reply(1)?.code == UInt32(CallStatus.Code.aborted.rawValue))
    #expect(sink.reply(1)?.applied == .yes)
  }

  @Test("one node: nothing is answered while the disk is silent, and one job is under way at a time")
  func heldDisk() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 1, [1])
    try world.settle()
    #expect(world[1].disk.jobs.count == 1)
    for id in 2...20 as ClosedRange<UInt64> {
      try world[1].call(sink, id, [UInt8(id)])
      try world.tick()
    }
    #expect(sink.replies.isEmpty && world[1].tape.lines.isEmpty)
    #expect(world[1].disk.jobs.count == 1)
    world[1].answerDisk()
    try world.settle()
    #expect(sink.replies.map(\.id) == [1])
    // All that came meanwhile shares the next job.
    guard case .append(let writes) = try #require(world[1].disk.jobs.first).work else {
      Issue.record("not a write")
      return
    }
    #expect(world[1].disk.jobs.count == 1 && writes.count == 1 && writes.first?.count == 19)
    world[1].answerDisk()
    try world.settle()
    #expect(sink.replies.map(\.id) == Array(1...20))
  }

  @Test("one node: a failed write is the end: no reply, no frame, no further job")
  func failedDisk() throws {
    let world = try World(3)
    try world.elect(1)
    let node = world[1]
    let sink = FakeSink()
    world.heldDisks = [NodeID(1), NodeID(2), NodeID(3)]
    try node.call(sink, 1)
    try world.settle()
    let job = try #require(node.disk.jobs.first)
    node.disk.jobs.removeAll()
    let error = DiskError(operation: "sync", path: "x", reason: .other, text: "input/output error")
    node.node.diskFinished(DiskResult(job: job, outcome: .failed(.disk(error))))
    guard case .storage(.disk(error)) = node.node.failure else {
      Issue.record("no failure is set")
      return
    }
    let flushes = node.links.flushes
    try node.call(sink, 2)
    try world.tick(30)
    #expect(sink.replies.isEmpty && node.links.frames.isEmpty && node.links.flushes == flushes)
    #expect(node.disk.jobs.isEmpty)
    #expect(!node.node.turn(now: world.now, wall: world.wall))
  }

  @Test("refused by name: a level of acknowledgement that is not known", arguments: [6, 9, UInt32.max])
  func acknowledgements(level: UInt32) throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1) { $0.ack = level }
    try world.settle()
    let reply = try #require(sink.reply(1))
    #expect(reply.code == UInt32(CallStatus.Code.unimplemented.rawValue) && reply.applied == .no)
    #expect(reply.message.contains("number \(level)"))
    #expect(world[1].tape.lines.isEmpty)
  }

  @Test("refused by name: read levels that are not served", arguments: [7, UInt32.max])
  func reads(level: UInt32) throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1, method: "t/Read") { $0.read = level }
    try world.settle()
    let reply = try #require(sink.reply(1))
    #expect(reply.code == UInt32(CallStatus.Code.unimplemented.rawValue) && reply.applied == .no)
    #expect(reply.message.contains("number \(level)"))
  }

  @Test("refused before the log: too large, undecodable, unknown method, unknown group, sessions")
  func refusals() throws {
    let world = try World(1) { $0.requestBytes = 100 }
    try world.elect(1)
    let sink = FakeSink()
    let last = world[1].replica.log.last
    try world[1].call(sink, 1, [UInt8](repeating: 1, count: 101))
    try world[1].call(sink, 2, [255])
    try world[1].call(sink, 3, method: "t/\u{7}\u{1b}[2J" + String(repeating: "x", count: 500))
    try world[1].call(sink, 4) { $0.group = 9 }
    try world[1].call(sink, 5) { $0.session = 3 }
    try world[1].call(sink, 6, [UInt8](repeating: 1, count: 100))
    try world.settle()
    let codes: [CallStatus.Code] = [
      .resourceExhausted, .invalidArgument, .unimplemented, .notFound, .invalidArgument, .ok,
    ]
    for (place, code) in codes.enumerated() {
      #expect(sink.reply(UInt64(place) + 1)?.code == UInt32(code.rawValue))
      #expect(sink.reply(UInt64(place) + 1)?.applied == (code == .ok ? .yes : .no))
    }
    let name = try #require(sink.reply(3)?.message)
    #expect(name.utf8.allSatisfy { $0 >= 32 } && name.utf8.count < 300)
    #expect(world[1].replica.log.last == last.next)
  }

  @Test("bytes that are no call are thrown back, and leave nothing behind")
  func garbage() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    let good = packed(CallHeader(id: 1, timeoutMilliseconds: 1000), method: "t/Add", [1, 2, 3])
    forDamaged(good) { bytes in
      _ = try? bytes.withUnsafeBytesTyped { (bytes) throws(WireError) in
        try world[1].deliver(.call, bytes, to: sink)
      }
    }
    try world.tick(100)
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
    #expect(world[1].node.failure == nil)
  }

  @Test("limits: calls and bytes under way are bounded, counted once each, and given back")
  func limits() throws {
    let world = try World(1) {
      $0.calls = 3
      $0.callBytes = 1000
    }
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    for id in 1...5 as ClosedRange<UInt64> { try world[1].call(sink, id) }
    try world.settle()
    #expect(sink.replies.map(\.id) == [4, 5])
    #expect(
      sink.replies.allSatisfy { $0.code == UInt32(CallStatus.Code.resourceExhausted.rawValue) && $0.applied == .no })
    world.heldDisks = []
    try world.settle()
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
    world.heldDisks = [NodeID(1)]
    try world[1].call(sink, 6, [UInt8](repeating: 1, count: 900))
    try world[1].call(sink, 7, [UInt8](repeating: 1, count: 900))
    #expect(sink.replies.last?.id == 7)
    world.heldDisks = []
    try world.settle()
    #expect(sink.reply(6)?.code == 0)
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("limits: calls that a follower passes on are bounded too")
  func forwardLimit() throws {
    let world = try World(3) { $0.calls = 3 }
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .forward }
    for id in 1...5 as ClosedRange<UInt64> { try world[2].call(sink, id) }
    try world.settle()
    #expect(sink.replies.map(\.id) == [4, 5])
    #expect(
      sink.replies.allSatisfy { $0.code == UInt32(CallStatus.Code.resourceExhausted.rawValue) && $0.applied == .no })
  }
}
