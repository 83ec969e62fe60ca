import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Nodes among each other")
struct NodePeerTests {
  private let unavailable = UInt32(CallStatus.Code.unavailable.rawValue)

  private func block(_ first: UInt64, term: UInt64, count: Int = 1, chain: UInt64, timestamp: UInt64 = 1) -> EntryBlock
  {
    var block = EntryBlock(first: LogIndex(first), previousChain: chain)
    for _ in 0..<count { block.append(term: Term(term), kind: .noOperation, timestamp: timestamp) }
    return block
  }

  private func append(_ block: EntryBlock, term: UInt64, previous: EntryID = .zero, commit: UInt64 = 0) -> Message {
    .append(
      AppendRequest(
        term: Term(term), previous: previous, entries: block.slice, commit: LogIndex(commit), readRound: 0))
  }

  private var origin: UInt64 { Checksum.chainOrigin(cluster: testCluster, group: 1) }

  @Test("follower: an append is acknowledged when it is on the disk, and not before")
  func heldAcknowledgement() throws {
    let world = try World(3)
    let node = world[1]
    let entries = block(1, term: 1, chain: origin)
    try node.receive(append(entries, term: 1), from: NodeID(2), entries: entries, previousChain: origin)
    _ = node.node.turn(now: world.now, wall: world.wall)
    #expect(node.links.frames.isEmpty && node.disk.jobs.count == 1)
    node.answerDisk()
    _ = node.node.turn(now: world.now, wall: world.wall)
    #expect(node.links.count(.appendReply) == 1 && node.links.frames.count == 1)
  }

  @Test("follower: what is too long for one append is written in parts, and the first part acknowledged first")
  func longAppends() throws {
    let world = try World(3, limits: { $0.appendBytes = 100 })
    let node = world[1]
    var chain = origin
    for place in 0..<4 {
      let entries = block(UInt64(place * 2 + 1), term: 1, count: 2, chain: chain)
      let previous = place == 0 ? EntryID.zero : EntryID(term: Term(1), index: LogIndex(UInt64(place * 2)))
      try node.receive(
        append(entries, term: 1, previous: previous, commit: 8), from: NodeID(2), entries: entries,
        previousChain: chain)
      chain = entries.lastChain
      _ = node.node.turn(now: world.now, wall: world.wall)
    }
    var parts: [LogSlice?] = []
    while case .append(let writes)? = node.disk.jobs.first?.work {
      parts.append(writes[0].slice)
      // The log never says that more is committed than it has.
      #expect(writes[0].hardState.commit <= writes[0].slice?.last ?? .zero)
      node.answerDisk()
      #expect(node.replica.log.durable == writes[0].slice?.last)
      _ = node.node.turn(now: world.now, wall: world.wall)
    }
    #expect(parts.count > 1 && parts.first??.first == LogIndex(1) && parts.last??.last == LogIndex(8))
    for (part, next) in zip(parts, parts.dropFirst()) { #expect(part?.last.next == next?.first) }
    #expect(node.links.count(.appendReply) > 1)
  }

  @Test("follower: entries that a new leader replaced before they were written are not missed")
  func replacedBeforeWritten() throws {
    let world = try World(3, limits: { $0.appendBytes = 100 })
    let node = world[1]
    let first = block(1, term: 1, count: 2, chain: origin)
    try node.receive(append(first, term: 1), from: NodeID(2), entries: first, previousChain: origin)
    _ = node.node.turn(now: world.now, wall: world.wall)
    // While those are written, more come, and then another leader that has only one of them.
    let second = block(3, term: 1, count: 4, chain: first.lastChain)
    try node.receive(
      append(second, term: 1, previous: EntryID(term: Term(1), index: LogIndex(2))), from: NodeID(2), entries: second,
      previousChain: first.lastChain)
    let other = block(4, term: 2, count: 2, chain: second.chain(at: LogIndex(3)))
    try node.receive(
      append(other, term: 2, previous: EntryID(term: Term(1), index: LogIndex(3))), from: NodeID(3), entries: other,
      previousChain: second.chain(at: LogIndex(3)))
    for _ in 0..<6 {
      _ = node.node.turn(now: world.now, wall: world.wall)
      node.answerDisk()
    }
    #expect(node.node.failure == nil && node.replica.log.durable == LogIndex(5))
    #expect(node.replica.log.lastID == other.lastID && node.disk.jobs.isEmpty)
  }

  @Test("follower: a vote leaves when it is on the disk, and not before")
  func heldVote() throws {
    let world = try World(3)
    let node = world[1]
    let request = VoteRequest(term: Term(1), last: .zero, isPreVote: false, isTransfer: false)
    try node.receive(.vote(request), from: NodeID(2))
    _ = node.node.turn(now: world.now, wall: world.wall)
    #expect(node.links.frames.isEmpty && node.disk.jobs.count == 1)
    node.answerDisk()
    _ = node.node.turn(now: world.now, wall: world.wall)
    #expect(node.links.count(.voteReply) == 1)
  }

  @Test("leader: with the followers' disks silent nothing is answered; with its own silent, their majority will do")
  func leaderDisks() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(2), NodeID(3)]
    try world[1].call(sink, 1)
    try world.settle()
    #expect(sink.replies.isEmpty)
    world.heldDisks = [NodeID(1)]
    try world.settle()
    #expect(sink.reply(1)?.code == 0)
    try world[1].call(sink, 2)
    try world.settle()
    #expect(sink.reply(2)?.code == 0 && sink.reply(2)?.evidence?.holders == [2, 3])
  }

  @Test("forwarded: a call to a follower is answered by the leader, through it")
  func forwarded() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    try world[2].call(sink, 41, [9])
    try world[3].call(sink, 42, [255])
    try world.settle()
    #expect(sink.reply(41)?.code == 0 && sink.reply(41)?.node == 1 && sink.replies.count == 2)
    #expect(sink.reply(42)?.code == UInt32(CallStatus.Code.invalidArgument.rawValue))
    #expect(world[2].node.underWay.forwards == 0 && world[3].node.underWay.forwards == 0)
  }

  @Test("transfer: a node that has yet to carry out what it found on its disk does not take the lead")
  func replaying() throws {
    let world = try World(3)
    try world.elect(1)
    let node = world[2]
    func leaderKnows() -> Bool { world[1].replica.progress.first { $0.node == NodeID(2) }?.isReplaying ?? false }
    node.group.lane.replay(through: LogIndex(1000))
    try world.tick(4)
    #expect(leaderKnows())
    try node.receive(.timeoutNow(term: node.replica.term), from: NodeID(1))
    #expect(node.replica.role == .follower(leader: NodeID(1)))
    node.group.lane.replay(through: LogIndex(1))
    try world.tick(4)
    #expect(!leaderKnows())
    try node.receive(.timeoutNow(term: node.replica.term), from: NodeID(1))
    #expect(node.replica.role == .candidate)
  }

  @Test("replaying: what a later leader has replaced need not be carried out to be through")
  func replayingReplaced() throws {
    let world = try World(3)
    try world.elect(1)
    world.isolate(1)
    for id in 1...5 as ClosedRange<UInt64> { try world[1].call(FakeSink(), id) }
    try world.settle()
    let node = world[1]
    // As after a restart.
    node.group.lane.replay(through: node.replica.log.last)
    try world.elect(2)
    world.isolate(1, false)
    try world.tick(10)
    #expect(node.replica.role == .follower(leader: NodeID(2)) && node.replica.log.last < LogIndex(6))
    #expect(node.group.lane.isCaughtUp)
  }

  @Test("forwarded: the link is lost: a command is unknown; the late answer is not passed on")
  func forwardLost() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.heldDisks = [NodeID(1), NodeID(3)]
    try world[2].call(sink, 1)
    try world.settle()
    #expect(sink.replies.isEmpty)
    world.setLink(1, 2, isUp: false)
    #expect(sink.reply(1)?.code == unavailable && sink.reply(1)?.applied == .unknown)
    world.setLink(1, 2, isUp: true)
    world.heldDisks = []
    try world.tick(5)
    #expect(sink.replies.count == 1 && world[1].tape.lines.count == 1)
  }

  @Test("forwarded: what a full link drops is refused at once, and has had no effect")
  func forwardFull() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world[2].links.full = [NodeID(1)]
    try world[2].call(sink, 1)
    try world[2].batch(sink, 2, [[1], [2]])
    #expect(sink.reply(1)?.code == unavailable && sink.reply(1)?.applied == .no)
    #expect(sink.batches.first?.code == unavailable && sink.batches.first?.applied == .no)
    #expect(world[2].node.underWay == (0, 0, 0))
  }

  @Test("forwarded: a leader that stands still is waited for until another one is looked for, and half a second more")
  func forwardedToPaused() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    // Its links stay up, and it says nothing.
    world.passes = { from, _ in from != NodeID(1) }
    try world[2].call(sink, 1) { $0.timeoutMilliseconds = 60_000 }
    try world[2].call(sink, 2, method: "t/Read") { $0.timeoutMilliseconds = 60_000 }
    try world.tick(100)
    let reply = try #require(sink.reply(1))
    #expect(reply.code == unavailable && reply.applied == .unknown && reply.message.contains("leads no more"))
    #expect(world[2].node.underWay.forwards == 0)
  }

  @Test("forwarded: an answer from a node that was not asked is not passed on as one")
  func forgedAnswer() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.passes = { _, frame in frame.kind != .forward }
    try world[2].call(sink, 1)
    try world.settle()
    let codec = Codec(maximumMessage: 1 << 16)
    var forged = CallReply(id: 1)
    forged.applied = .yes
    codec.pack(forged)
    let inner = codec.packed
    for id in [0, 1, 2, UInt64.max] {
      try world[2].receive(.forwardReply, forwardReply(id, inner), from: NodeID(3))
    }
    #expect(sink.replies.count <= 1 && sink.replies.allSatisfy { $0.code != 0 && $0.applied == .unknown })
  }

  @Test("follower without a leader: UNAVAILABLE, applied no; 'any' and 'at' reads still answer")
  func noLeader() throws {
    let world = try World(3)
    let sink = FakeSink()
    try world[2].call(sink, 1)
    try world[2].call(sink, 2, method: "t/Read")
    try world[2].call(sink, 3, method: "t/Read") { $0.read = Consistency.any.number }
    try world[2].call(sink, 4, method: "t/Read") { $0.read = Consistency.at(0).number }
    try world.settle()
    for id in [1, 2] as [UInt64] { #expect(sink.reply(id)?.code == unavailable && sink.reply(id)?.applied == .no) }
    for id in [3, 4] as [UInt64] { #expect(sink.reply(id)?.code == 0) }
  }

  @Test("superseded: a command that a later leader has replaced is UNAVAILABLE, applied no")
  func superseded() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.isolate(1)
    try world[1].call(sink, 1, [77]) { $0.timeoutMilliseconds = 60_000 }
    try world.settle()
    try world.elect(2)
    world.isolate(1, false)
    try world.run { sink.reply(1) != nil }
    #expect(sink.reply(1)?.code == unavailable && sink.reply(1)?.applied == .no)
    #expect(world.nodes.allSatisfy { !$0.tape.lines.contains([77]) })
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("superseded: commands whose places nothing takes use no room after their time", arguments: [false, true])
  func forgotten(isLateFirst: Bool) throws {
    let world = try World(3)
    try world.elect(1)
    world.isolate(1)
    let sink = FakeSink()
    for id in 1...10 as ClosedRange<UInt64> { try world[1].call(sink, id) }
    try world.settle()
    try world.elect(2)
    if isLateFirst { try world.tick(600) }
    world.isolate(1, false)
    try world.tick(600)
    #expect(world[1].replica.log.last == world[2].replica.log.last && sink.replies.count == 10)
    #expect(world[1].node.underWay.calls == 0 && world[1].node.underWay.bytes == 0)
  }

  @Test("superseded: a node that leads again does not mix up its former commands with the new ones")
  func leadsAgain() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    world.isolate(1)
    for id in 1...8 as ClosedRange<UInt64> { try world[1].call(sink, id, [77]) { $0.timeoutMilliseconds = 60_000 } }
    try world.settle()
    try world.elect(2)
    world.isolate(1, false)
    try world.run { !world[1].isLeader && world[1].replica.leader == NodeID(2) }
    try world.elect(1)
    for id in 11...13 as ClosedRange<UInt64> { try world[1].call(sink, id, [88]) }
    try world.tick(4)
    for id in 11...13 as ClosedRange<UInt64> { #expect(sink.reply(id)?.code == 0 && sink.reply(id)?.applied == .yes) }
    for id in 21...29 as ClosedRange<UInt64> { try world[1].call(sink, id, [88]) }
    try world.tick(4)
    for id in 1...8 as ClosedRange<UInt64> { #expect(sink.reply(id)?.applied == .no) }
    for id in 21...29 as ClosedRange<UInt64> { #expect(sink.reply(id)?.applied == .yes) }
    #expect(sink.replies.count == 20 && world[1].node.underWay.calls == 0)
  }

  @Test("diverged: the same entry with another history ends the node")
  func diverged() throws {
    let world = try World(3)
    try world.elect(1)
    let follower = world[2]
    let known = follower.replica.log.lastID
    let entries = block(known.index.rawValue + 1, term: 1, chain: 12345)
    try follower.receive(
      append(entries, term: 1, previous: known), from: NodeID(1), entries: entries, previousChain: 12345)
    guard case .diverged(_, known.index) = follower.node.failure else {
      Issue.record("no failure is set")
      return
    }
    let sent = follower.links.frames.count
    try world.tick(3)
    #expect(follower.links.frames.count == sent)
  }

  @Test("time stamps never go back when the leader's wall clock does, nor after a change of leader")
  func timestamps() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    for id in 1...5 as ClosedRange<UInt64> {
      try world[1].call(sink, id)
      try world.tick()
      world.wall -= 3_600_000_000_000
    }
    world.isolate(1)
    try world.elect(2)
    try world[2].call(sink, 6)
    try world.settle()
    let stamps = try (1...world[2].replica.log.last.rawValue).map { index in
      try #require(world[2].group.tail.block(containing: LogIndex(index))?.header(at: LogIndex(index))?.timestamp)
    }
    #expect(stamps == stamps.sorted())
    #expect(world[2].tape.times == world[2].tape.times.sorted())
  }

  @Test("hostile: frames of every kind with flipped and missing bytes never trap, and never end the node")
  func hostile() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    var seen: [FrameKind: [UInt8]] = [:]
    world.passes = { _, frame in
      if (seen[frame.kind]?.count ?? 0) <= frame.payload.count { seen[frame.kind] = frame.payload }
      return true
    }
    try world[2].call(sink, 1, Array(repeating: 3, count: 50))
    try world[2].call(sink, 2, method: "t/Read")
    world[1].node.transferLeadership(of: .first, to: NodeID(3))
    try world.tick(30)
    #expect(seen.count >= 9)
    let victim = try World(3)
    try victim.elect(1)
    var random = SplitMix(11)
    for (kind, payload) in seen.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      for _ in 0..<600 {
        var bytes = payload
        for _ in 0..<1 + random.below(3) where !bytes.isEmpty {
          bytes[random.below(bytes.count)] = random.oneIn(2) ? UInt8(random.below(256)) : 0xff
        }
        if random.oneIn(4) { bytes.removeLast(random.below(bytes.count + 1)) }
        for target in victim.nodes where target.node.failure == nil {
          let from = NodeID(1 + UInt64(random.below(3)))
          guard from != target.id else { continue }
          try? target.receive(kind, bytes, from: from)
          _ = target.node.turn(now: victim.now, wall: victim.wall)
          target.answerDisk()
          target.links.frames.removeAll()
        }
      }
    }
    for kind in FrameKind.allCases {
      try? victim[1].receive(kind, [], from: NodeID(2))
      try? victim[1].receive(kind, [8, 1], from: NodeID(99))
    }
  }
}
