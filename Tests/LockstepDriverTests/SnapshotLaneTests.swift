import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

/// One node alone, whose disk answers when the test says so.
private final class Alone {
  let node: TestNode
  let sink = FakeSink()
  private var clock: UInt64
  private var calls: UInt64 = 0

  init(id: UInt64 = 1, clock: UInt64 = 1, _ limits: (inout DriverLimits) -> Void) throws {
    self.clock = clock
    node = try TestNode(configuration(id, of: 1, limits: limits))
  }

  func settle(_ ticks: Int = 1, answersDisk: Bool = true) {
    for _ in 0..<ticks {
      clock += World.tickLength
      node.node.tick(now: clock, wall: clock)
      while node.node.turn(now: clock, wall: clock) || answersDisk && node.answerDisk() {}
    }
  }

  func lead() throws {
    for _ in 0..<60 where !node.isLeader { settle() }
    try #require(node.isLeader)
  }

  func put(bytes: Int, answersDisk: Bool = true) throws {
    calls += 1
    try node.call(sink, calls, Array(repeating: 4, count: bytes))
    settle(2, answersDisk: answersDisk)
  }

  /// What became of those that an operator has asked for.
  private(set) var answers: [Result<SnapshotDone, CallStatus>] = []

  func ask() {
    node.node.takeSnapshot(of: .first) { self.answers.append($0) }
    settle()
  }

  /// The snapshot that was asked for last is durable.
  func finish(bytes: Int = 1000, unsound: [LogIndex] = []) throws {
    let job = try #require(node.snapshots.jobs.last)
    let stored = StoredSnapshot(header: job.header, fileBytes: bytes)
    var result = SnapshotResult(job.header, .written(stored), nanoseconds: 5)
    result.unsound = unsound.map { SnapshotResult.Unsound(index: $0, reason: "damaged") }
    node.node.snapshotFinished(result)
    settle()
  }

  /// Of which entry.
  func snapshot(unsound: [LogIndex] = []) throws -> LogIndex {
    try put(bytes: 10)
    node.node.takeSnapshot(of: .first) { _ in }
    settle()
    try finish(unsound: unsound)
    return try #require(node.snapshots.jobs.last).header.last.id.index
  }
}

@Suite("Snapshots")
struct SnapshotLaneTests {
  @Test("the log behind the last snapshot leads to the next one, when there is more of it than that snapshot has bytes")
  func byBytes() throws {
    let alone = try Alone { $0.snapshotLogBytes = 2000 }
    try alone.lead()
    try alone.put(bytes: 1000)
    #expect(alone.node.snapshots.jobs.isEmpty)
    try alone.put(bytes: 1000)
    #expect(alone.node.snapshots.jobs.count == 1)
    let applied = alone.node.group.lane.applied
    let header = alone.node.snapshots.jobs[0].header
    #expect(header.last.id.index == applied && header.last.chain == alone.node.node.chain(of: .first, at: applied))
    #expect(header.digest == alone.node.node.digest(of: .first))
    // Not another while one is written, and then after as much log as that has bytes.
    for _ in 0..<4 { try alone.put(bytes: 1000) }
    #expect(alone.node.snapshots.jobs.count == 1)
    try alone.finish(bytes: 6000)
    try alone.put(bytes: 1000)
    #expect(alone.node.snapshots.jobs.count == 1)
    for _ in 0..<2 { try alone.put(bytes: 1000) }
    #expect(alone.node.snapshots.jobs.count == 2)
  }

  @Test("what is in a snapshot is on this node's own disk: until then it waits")
  func notBeforeTheDisk() throws {
    let world = try World(3, limits: { $0.snapshotLogBytes = 1000 })
    try world.elect(1)
    // The followers alone make a majority.
    let leader = world[1]
    world.heldDisks = [NodeID(1)]
    let sink = FakeSink()
    for id in 1...4 as ClosedRange<UInt64> {
      try leader.call(sink, id, Array(repeating: 4, count: 600))
      try world.tick(2)
    }
    #expect(leader.group.lane.applied > leader.replica.log.durable && leader.snapshots.jobs.isEmpty)
    world.heldDisks = []
    try world.tick(2)
    #expect(leader.snapshots.jobs.count == 1)
    #expect(leader.snapshots.jobs[0].header.last.id.index <= leader.replica.log.durable)
  }

  @Test("by age, if anything was applied since, however long the machine has been up")
  func byAge() throws {
    let alone = try Alone(clock: 1_000_000 * World.tickLength) { $0.snapshotAge = 100 * World.tickLength }
    try alone.lead()
    #expect(alone.node.snapshots.jobs.isEmpty, "the first entry of a term is no reason")
    alone.settle(101)
    #expect(alone.node.snapshots.jobs.count == 1)
    try alone.finish()
    alone.settle(300)
    #expect(alone.node.snapshots.jobs.count == 1, "nothing has happened since")
    try alone.put(bytes: 10)
    alone.settle(101)
    #expect(alone.node.snapshots.jobs.count == 2)
  }

  @Test(
    "an operator gets one at once, whoever asks meanwhile waits for the next, and the last one when nothing was applied"
  )
  func asked() throws {
    let alone = try Alone { _ in }
    try alone.lead()
    alone.ask()
    try alone.put(bytes: 10)
    alone.ask()
    #expect(alone.answers.isEmpty && alone.node.snapshots.jobs.count == 1)
    try alone.finish()
    #expect(alone.answers.count == 1 && alone.node.snapshots.jobs.count == 2)
    try alone.finish()
    alone.ask()
    let done = try alone.answers.map { try $0.get() }
    #expect(done.count == 3 && done[0].last.index < done[1].last.index && done[2].last == done[1].last)
    #expect(done[0].nanoseconds == 5 && done[2].nanoseconds == 0)
  }

  @Test("one that cannot be written is told, and the next is tried when its time comes")
  func failures() throws {
    let alone = try Alone { $0.snapshotLogBytes = 1000 }
    try alone.lead()
    var answers: [Result<SnapshotDone, CallStatus>] = []
    alone.node.node.takeSnapshot(of: .first) { answers.append($0) }
    alone.settle()
    let header = try #require(alone.node.snapshots.jobs.last).header
    alone.node.node.snapshotFinished(SnapshotResult(header, .failed(CallStatus(.resourceExhausted, "no space"))))
    alone.settle()
    #expect(throws: CallStatus(.resourceExhausted, "no space")) { try #require(answers.first).get() }
    #expect(alone.node.snapshots.jobs.count == 1 && alone.node.node.failure == nil)
    for _ in 0..<2 { try alone.put(bytes: 600) }
    #expect(alone.node.snapshots.jobs.count == 2)
  }

  @Test("after one that had no room the next is tried as soon as a stranger's file is gone")
  func roomIsBack() throws {
    let alone = try Alone { $0.measureEvery = 50_000_000 }
    func look(used: Int, others: Int) {
      alone.node.disk.space = LogSpace(
        log: 1 << 30, longest: 0, missing: 0,
        disk: DiskSpace(used: used, limit: 200 << 20, available: 200 << 20 - used, others: others))
      alone.settle(30)
    }
    try alone.lead()
    look(used: 150 << 20, others: 60 << 20)
    try alone.put(bytes: 10)
    alone.ask()
    let header = try #require(alone.node.snapshots.jobs.last).header
    alone.node.node.snapshotFinished(SnapshotResult(header, .failed(CallStatus(.resourceExhausted, "no space"))))
    look(used: 100 << 20, others: 60 << 20)
    look(used: 100 << 20, others: 60 << 20 - 1000)
    #expect(alone.node.snapshots.jobs.count == 1)
    look(used: 40 << 20, others: 0)
    #expect(alone.node.snapshots.jobs.count == 2)
    try alone.finish()
    look(used: 140 << 20, others: 60 << 20)
    look(used: 40 << 20, others: 0)
    #expect(alone.node.snapshots.jobs.count == 2, "that one has had room")
  }

  @Test(
    "the log begins behind the one before the last, unless that does not hold: then behind the one before it, for good")
  func unsound() throws {
    let alone = try Alone { _ in }
    try alone.lead()
    let first = try alone.snapshot()
    #expect(alone.node.snapshots.jobs.last?.kept.isEmpty == true && alone.node.replica.log.base.index == .zero)
    let second = try alone.snapshot()
    #expect(alone.node.snapshots.jobs.last?.kept.map(\.last.index) == [first])
    #expect(alone.node.replica.log.base.index == first)
    let third = try alone.snapshot(unsound: [second])
    #expect(alone.node.snapshots.jobs.last?.kept.map(\.last.index) == [first, second])
    alone.settle(10)
    #expect(alone.node.replica.log.base.index == first)
    _ = try alone.snapshot()
    #expect(alone.node.snapshots.jobs.last?.kept.map(\.last.index) == [first, third])
    #expect(alone.node.replica.log.base.index == third)
    let told = alone.node.journal.events.filter { if case .snapshotUnsound(_, second, _) = $0 { true } else { false } }
    #expect(told.count == 1)
  }

  @Test("whoever waits for one when the node has stopped is told so, and whoever asks after that")
  func stopped() throws {
    let alone = try Alone { _ in }
    try alone.lead()
    alone.ask()
    try alone.put(bytes: 10)
    alone.ask()
    #expect(alone.answers.isEmpty && alone.node.snapshots.jobs.count == 1)
    alone.node.node.stop()
    for _ in 0..<10_000 where !alone.node.node.isStopped { alone.settle() }
    try #require(alone.node.node.isStopped)
    #expect(alone.answers.count == 2, "the one that is being written, and the one behind it")
    alone.ask()
    for answer in alone.answers {
      let status = #expect(throws: CallStatus.self) { try answer.get() }
      #expect(status?.code == .unavailable && status?.message.contains("is being stopped") == true, "\(answer)")
    }
    try alone.finish()
    #expect(alone.answers.count == 3, "nobody is answered twice")
  }

  @Test("one that does not hold where another node was to read it is replaced at once by the state that is here")
  func replaced() throws {
    let alone = try Alone { _ in }
    try alone.lead()
    let index = try alone.snapshot()
    alone.settle(3)
    #expect(alone.node.snapshots.jobs.count == 1)
    alone.node.node.snapshotIsUnsound(of: .first, index, "damaged")
    alone.settle()
    #expect(alone.node.snapshots.jobs.count == 2)
    #expect(alone.node.snapshots.jobs.last?.header.last.id.index == index && alone.node.snapshots.jobs.last?.kept == [])
    try alone.finish()
    // One that is not counted on any more is nobody's business.
    alone.node.node.snapshotIsUnsound(of: .first, LogIndex(index.rawValue - 1), "damaged")
    alone.settle(3)
    #expect(alone.node.snapshots.jobs.count == 2)
    // One that a start has found damaged, and could not remove, is what others are sent until a newer one is there.
    try alone.put(bytes: 10)
    alone.node.node.snapshotIsUnsound(of: .first, index.next, "damaged")
    alone.settle()
    #expect(alone.node.snapshots.jobs.count == 3)
  }

  @Test("short of room, with nothing new to write down, the log begins behind the last one, once that was read")
  func trimmed() throws {
    for isSound in [true, false] {
      let alone = try Alone { ($0.reservedLogBytes, $0.roomForProposed, $0.measureEvery) = (100, 100, 50_000_000) }
      try alone.lead()
      let first = try alone.snapshot()
      let second = try alone.snapshot()
      #expect(alone.node.replica.log.base.index == first)
      alone.node.disk.space = LogSpace(
        log: 150, longest: 0, missing: 5, disk: DiskSpace(used: 0, limit: 0, available: 0))
      alone.settle(30)
      #expect(alone.node.replica.room.isAmple == false)
      let before = alone.node.snapshots.jobs.count
      alone.settle(200)
      let jobs = alone.node.snapshots.jobs.dropFirst(before)
      let job = try #require(jobs.first { $0.content == nil })
      #expect(job.kept.map(\.last.index) == [first, second])
      var result = SnapshotResult(job.header, .trimmed)
      if !isSound { result.unsound = [SnapshotResult.Unsound(index: second, reason: "damaged")] }
      alone.node.node.snapshotFinished(result)
      alone.settle(2)
      #expect(alone.node.replica.log.base.index == (isSound ? second : first))
    }
  }

  @Test("replicas that apply the same log do not begin at the same entry")
  func apart() throws {
    let world = try World(3, limits: { $0.snapshotLogBytes = 3000 })
    try world.elect(1)
    let sink = FakeSink()
    for id in 1...20 as ClosedRange<UInt64> {
      try world[1].call(sink, id, Array(repeating: 4, count: 600))
      try world.tick(2)
    }
    let firsts = world.nodes.compactMap { $0.snapshots.jobs.first?.header.last.id.index }
    #expect(firsts.count == 3 && Set(firsts).count == 3, "\(firsts)")
  }
}
