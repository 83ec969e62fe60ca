import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Batches")
struct NodeBatchTests {
  private func expectNothingUnderWay(_ world: World) {
    for node in world.nodes {
      #expect(node.node.underWay.calls == 0 && node.node.underWay.bytes == 0 && node.node.underWay.forwards == 0)
    }
  }

  private func number(_ code: CallStatus.Code) -> UInt32 { UInt32(code.rawValue) }

  @Test("one node: 64 requests are entries in their order, one write, and one reply")
  func success() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    let requests = (0..<64).map { [UInt8($0) + 40] }
    try world[1].batch(sink, 7, requests)
    try world.settle()
    #expect(world[1].disk.jobs.count == 1 && sink.batches.isEmpty && world[1].node.underWay.calls == 64)
    world.heldDisks = []
    try world.settle()
    let reply = try #require(sink.batches.first)
    #expect(sink.batches.count == 1 && sink.replies.isEmpty && sink.flushes == 1)
    #expect(reply.id == 7 && reply.code == 0 && reply.node == 1 && reply.leader == 1)
    #expect(reply.ack == Acknowledgement.quorum.number)
    #expect(reply.evidence == CallReply.Evidence(term: 1, index: 65, holders: [1]))
    #expect(reply.results.map(\.payload) == (1...64).map { Array("line \($0)".utf8) })
    #expect(reply.results.map(\.index) == Array(2...65))
    #expect(reply.results.allSatisfy { $0.code == 0 && $0.term == 1 && $0.applied == .yes })
    #expect(world[1].tape.lines == requests)
    expectNothingUnderWay(world)
  }

  @Test("a request that fails in the machine keeps no other from being carried out, and its failure is its result")
  func mixed() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].call(sink, 1, [9])
    try world[1].batch(sink, 2, [[1], [33], [], [33], [5]])
    try world[1].call(sink, 3, [8])
    try world.settle()
    let results = try #require(sink.batches.first).results
    #expect(results.map(\.code) == [.ok, .aborted, .ok, .aborted, .ok].map(number))
    #expect(results.map(\.index) == Array(3...7) && results.allSatisfy { $0.applied == .yes && $0.term == 1 })
    #expect(results[1].message == "as asked" && results[4].payload == Array("line 6".utf8))
    #expect(world[1].tape.lines == [[9], [1], [33], [], [33], [5], [8]])
    #expect(sink.reply(1)?.code == 0 && sink.reply(3)?.index == 8)
    expectNothingUnderWay(world)
  }

  @Test("refused as a whole, and nothing is in the log: each reason by name")
  func refusals() throws {
    let world = try World(1) {
      $0.requestBytes = 100
      $0.batchRequests = 10
    }
    try world.elect(1)
    let sink = FakeSink()
    let last = world[1].replica.log.last
    let cases: [(CallStatus.Code, String, [[UInt8]], String, (inout BatchHeader) -> Void)] = [
      (.invalidArgument, "request 2 of 4, counted from 0: no request of", [[1], [2], [255], [4]], "t/Add", { _ in }),
      (.invalidArgument, "'t/Read' is a query", [[1]], "t/Read", { _ in }),
      (.invalidArgument, "no requests", [], "t/Add", { _ in }),
      (.unimplemented, "has a method 't/?Other'", [[1]], "t/\u{7}Other", { _ in }),
      (.failedPrecondition, "2 voters, and there are 1", [[1]], "t/Add", { ($0.ack, $0.voters) = (5, 2) }),
      (.notFound, "no group 9", [[1]], "t/Add", { $0.group = 9 }),
      (.resourceExhausted, "11 requests, the limit is 10", Array(repeating: [1], count: 11), "t/Add", { _ in }),
      (
        .resourceExhausted, "102 bytes, the limit is 100",
        Array(repeating: [UInt8](repeating: 1, count: 34), count: 3), "t/Add", { _ in }
      ),
    ]
    for (place, (code, text, requests, method, change)) in cases.enumerated() {
      try world[1].batch(sink, UInt64(place), requests, method: method, change)
      try world.settle()
      let reply = try #require(sink.batches.last)
      #expect(sink.batches.count == place + 1 && reply.id == UInt64(place))
      #expect(reply.code == number(code) && reply.applied == .no && reply.results.isEmpty && reply.node == 1)
      #expect(reply.message.contains(text), "\(reply.message)")
    }
    #expect(world[1].replica.log.last == last && world[1].node.failure == nil)
    try world[1].batch(sink, 99, Array(repeating: [UInt8](repeating: 1, count: 10), count: 10))
    try world.settle()
    #expect(sink.batches.last?.results.count == 10 && world[1].replica.log.last == last.advanced(by: 10))
    expectNothingUnderWay(world)
  }

  @Test("limits: each request counts as a call, and what was counted is given back")
  func limits() throws {
    let world = try World(1) { $0.calls = 10 }
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].batch(sink, 1, Array(repeating: [1], count: 6))
    try world[1].batch(sink, 2, Array(repeating: [2], count: 5))
    #expect(sink.batches.map(\.id) == [2] && sink.batches[0].code == number(.resourceExhausted))
    #expect(sink.batches[0].message.contains("6 calls under way and takes no 5 more"))
    try world[1].batch(sink, 3, Array(repeating: [3], count: 4))
    try world.settle()
    world.heldDisks = []
    try world.settle()
    #expect(sink.batches.map(\.id) == [2, 1, 3] && world[1].tape.lines.count == 10)
    expectNothingUnderWay(world)
  }

  @Test("replies that together are longer than a frame may be are left out, and said to be carried out")
  func longReplies() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    try world[1].batch(sink, 1, (0..<20).map { [253, $0] })
    try world.settle()
    let results = try #require(sink.batches.first).results
    #expect(results.count == 20 && results[9].payload == Tape.long)
    #expect(results[19].code == number(.resourceExhausted) && results[19].message.contains("more than 3145728 bytes"))
    #expect(results.allSatisfy { $0.applied == .yes } && results.map(\.index) == Array(2...21))
  }

  @Test("a node that does not lead passes the batch on in one frame; the leader's answer goes back as it is")
  func forwarded() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    try world[2].batch(sink, 1, [[1], [33], [3]] + (4..<64).map { [$0 == 33 ? 34 : $0] })
    #expect(world[2].links.count(.forward) == 1)
    try world.settle()
    try world.tick(2)
    let reply = try #require(sink.batches.first)
    #expect(sink.batches.count == 1 && reply.code == 0 && reply.node == 1 && reply.leader == 1)
    #expect(reply.results.count == 63 && reply.results[1].code == number(.aborted))
    #expect(reply.results[0].payload == Array("line 1".utf8) && reply.results[62].payload == Array("line 63".utf8))
    #expect(reply.results.allSatisfy { $0.applied == .yes && $0.term == reply.evidence?.term })
    let first = reply.results[0].index
    #expect(reply.results.map(\.index) == Array(first..<first + 63))
    #expect(reply.evidence?.index == first + 62 && (reply.evidence?.holders.count ?? 0) >= 2)
    expectNothingUnderWay(world)
  }

  @Test("a node without a leader, or without a connection to it, refuses the whole batch")
  func nobody() throws {
    let world = try World(3)
    let sink = FakeSink()
    try world[2].batch(sink, 1, [[1], [2]])
    try world.elect(1)
    world.isolate(2)
    try world[2].batch(sink, 2, [[1], [2]])
    try world.settle()
    #expect(sink.batches.map(\.code) == [number(.unavailable), number(.unavailable)])
    #expect(sink.batches.allSatisfy { $0.applied == .no && $0.results.isEmpty })
    #expect(sink.batches[1].message.contains("no connection to the leader, node 1"))
    expectNothingUnderWay(world)
  }

  @Test("the connection to the leader is lost: what was passed on is unknown")
  func lostForwards() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .forwardReply }
    try world[2].batch(sink, 1, [[1], [2]])
    try world.settle()
    world.setLink(1, 2, isUp: false)
    let reply = try #require(sink.batches.first)
    #expect(reply.code == number(.unavailable) && reply.applied == .unknown && reply.results.isEmpty)
    expectNothingUnderWay(world)
  }

  @Test("deadline: what is in the log is unknown, each by its entry; the batch is answered once")
  func deadline() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1)]
    try world[1].batch(sink, 1, [[1], [2], [3]]) { $0.timeoutMilliseconds = 50 }
    try world.tick(4)
    #expect(sink.batches.isEmpty)
    try world.tick(2)
    let reply = try #require(sink.batches.first)
    #expect(reply.code == 0 && reply.evidence == nil && reply.node == 1)
    #expect(reply.results.map(\.index) == [2, 3, 4])
    #expect(
      reply.results.allSatisfy { $0.code == number(.deadlineExceeded) && $0.applied == .unknown && $0.term == 1 })
    world.heldDisks = []
    try world.tick(10)
    #expect(world[1].tape.lines.count == 3 && sink.batches.count == 1)
    expectNothingUnderWay(world)
  }

  @Test("deadline: a batch that was passed on is answered when its time is over")
  func forwardedDeadline() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .forward }
    try world[2].batch(sink, 1, [[1], [2], [3]]) { $0.timeoutMilliseconds = 50 }
    try world.tick(8)
    let reply = try #require(sink.batches.first)
    #expect(reply.code == number(.deadlineExceeded) && reply.applied == .unknown && reply.results.isEmpty)
    expectNothingUnderWay(world)
  }

  @Test("passed on: taken in whole or not at all; one request that cannot be carried out keeps all out of the log")
  func forwardedWhole() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    let last = world[1].replica.log.last
    // The follower would say so itself: as if its machine knew less than the leader's.
    let codec = Codec(maximumMessage: 0)
    Array("t/Add".utf8).withUnsafeBytes { codec.pack(BatchHeader(id: 0), method: $0, payloads: [[1], [255], [3]]) }
    let call = codec.packed.withUnsafeBytes { call in
      Codec(maximumMessage: 0).pack(
        forward: 9, timeoutMilliseconds: 100,
        Request(
          group: .first, method: call, payloads: .batch(in: call, []), options: RequestOptions(), encoded: call)
      ) { [UInt8]($0) + [UInt8]($1) }
    }
    try world[1].receive(.forward, call, from: NodeID(2))
    try world.settle()
    #expect(world[1].replica.log.last == last && world[1].tape.lines.isEmpty && sink.batches.isEmpty)
    expectNothingUnderWay(world)
  }

  @Test("long replies of many batches that are not read: the connection lives, and what comes behind them is answered")
  func manyLongReplies() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    sink.limit = 8 << 20
    for id in 1...20 as ClosedRange<UInt64> { try world[1].batch(sink, id, [[253], [253], [253]]) }
    for id in 21...120 as ClosedRange<UInt64> { try world[1].call(sink, id) }
    try world.settle()
    #expect(sink.batches.count == 20 && sink.replies.count == 100 && sink.bytes < 16 << 20)
    #expect(sink.batches.flatMap(\.results).allSatisfy { $0.applied == .yes })
    #expect(sink.batches[0].results.allSatisfy { $0.payload == Tape.long })
    #expect(sink.batches[19].results.allSatisfy { $0.code == number(.resourceExhausted) && $0.payload.isEmpty })
    #expect(sink.replies.allSatisfy { $0.code == 0 })
    expectNothingUnderWay(world)
  }

  @Test("a leader that was cut off: entries that a later leader replaced were not applied, and each is said so")
  func replaced() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.isolate(1)
    try world[1].batch(sink, 1, [[1], [2], [3]]) { $0.timeoutMilliseconds = 60_000 }
    try world.settle()
    #expect(sink.batches.isEmpty)
    try world.run { world[2].isLeader || world[3].isLeader }
    let leader = try #require(world.nodes.last { $0.isLeader && $0.id != NodeID(1) })
    for id in 1...5 as ClosedRange<UInt64> { try leader.call(FakeSink(), id, [UInt8(100 + id)]) }
    try world.settle()
    world.isolate(1, false)
    try world.run { !sink.batches.isEmpty }
    let results = try #require(sink.batches.first).results
    #expect(results.count == 3 && results.allSatisfy { $0.code == number(.unavailable) && $0.applied == .no })
    #expect(results.allSatisfy { $0.message.contains("was replaced by a later leader's") })
    #expect(!world[1].tape.lines.contains([1]) && sink.batches.count == 1)
    expectNothingUnderWay(world)
  }

  @Test("handing over: a batch that came meanwhile goes to the new leader, and is answered once")
  func transfer() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world[1].node.transferLeadership(of: .first, to: NodeID(2))
    try world[1].batch(sink, 1, (1...10).map { [$0] })
    try world.tick(20)
    let reply = try #require(sink.batches.first)
    #expect(world[2].isLeader && sink.batches.count == 1 && reply.node == 2)
    #expect(reply.results.count == 10 && reply.results.allSatisfy { $0.code == 0 })
    #expect(world[2].tape.lines == (1...10).map { [$0] })
    expectNothingUnderWay(world)
  }

  @Test("bytes that are no batch are thrown back, and leave nothing behind")
  func garbage() throws {
    let world = try World(1)
    try world.elect(1)
    let sink = FakeSink()
    let codec = Codec(maximumMessage: 0)
    let header = BatchHeader(id: 1, timeoutMilliseconds: 1000)
    Array("t/Add".utf8).withUnsafeBytes { codec.pack(header, method: $0, payloads: [[1, 2, 3], [], [4]]) }
    let good = codec.packed
    forDamaged(good) { bytes in
      _ = try? bytes.withUnsafeBytesTyped { (bytes) throws(WireError) in
        try world[1].deliver(.batch, bytes, to: sink)
      }
    }
    try world.tick(100)
    #expect(world[1].node.failure == nil)
    expectNothingUnderWay(world)
  }
}
