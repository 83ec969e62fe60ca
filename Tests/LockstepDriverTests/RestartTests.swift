import Foundation
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

/// A directory that goes when the test does.
private final class Directory {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite("From the disk")
struct RestartTests {
  private var options: LogOptions {
    var options = LogOptions()
    options.segmentBytes = 1 << 20
    return options
  }

  /// A node alone, as its directory has it; closes the directory after `body`.
  private func start(
    _ directory: Directory, limits: (inout DriverLimits) -> Void = { _ in }, core: (inout Limits) -> Void = { _ in },
    _ body: (TestNode) throws -> Void
  ) throws {
    let place = try NodeDirectory.open(
      disk: PosixDisk(), path: directory.path, cluster: testCluster, node: NodeID(1),
      members: [DiskIdentity.Member(node: NodeID(1), address: "127.0.0.1:1")],
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: options)
    let opened = try DurableLog.open(place, options: options)
    let groups = opened.groups
    // Unsafe: all of this test happens on one thread.
    nonisolated(unsafe) let log = opened.log
    let worker = DiskWorker(log: log)
    try body(
      TestNode(configuration(1, of: 1, limits: limits, core: core), recovered: groups, worker: worker))
    try worker.close()
    place.close()
  }

  private func settle(_ node: TestNode, _ clock: inout UInt64, wall: UInt64, ticks: Int = 1) {
    for _ in 0..<ticks {
      clock += World.tickLength
      node.node.tick(now: clock, wall: wall)
      while node.node.turn(now: clock, wall: wall) || node.answerDisk() {}
    }
  }

  private static func smallCache(_ limits: inout Limits) {
    limits.cacheEntries = 4
    limits.cacheBytes = 2000
    limits.windowBytes = 1000
    limits.appendBytes = 500
  }

  /// So many commands of a hundred bytes, each carried through before the next.
  private func add(_ count: UInt64, to node: TestNode, _ sink: FakeSink, then carryThrough: () -> Void) throws {
    for id in 1...count {
      try node.call(sink, id, Array(repeating: 4, count: 100))
      carryThrough()
    }
  }

  private func lead(_ node: TestNode, _ clock: inout UInt64, wall: UInt64) throws {
    for _ in 0..<60 where !node.isLeader { settle(node, &clock, wall: wall) }
    try #require(node.isLeader)
  }

  @Test("restart: what others had acknowledged to this node is committed, though the log does not say so yet")
  func acknowledged() throws {
    let directory = Directory()
    func open() throws -> (NodeDirectory, DurableLog, [RecoveredGroup]) {
      let place = try NodeDirectory.open(
        disk: PosixDisk(), path: directory.path, cluster: testCluster, node: NodeID(1),
        members: [1, 2, 3].map { DiskIdentity.Member(node: NodeID($0), address: "127.0.0.1:\($0)") },
        newDiskID: { [UInt8](repeating: 9, count: 16) }, options: options)
      let opened = try DurableLog.open(place, options: options)
      return (place, opened.log, opened.groups)
    }
    var entries = EntryBlock(
      first: LogIndex(1), previousChain: Checksum.chainOrigin(cluster: testCluster, group: GroupID.first.rawValue))
    for time in 1...5 as ClosedRange<UInt64> { entries.append(term: Term(3), kind: .noOperation, timestamp: time) }
    let (place, log, _) = try open()
    try log.append([LogWrite(group: .first, hardState: HardState(term: Term(3), vote: NodeID(1)), entries: entries)])
    try place.store(acknowledged: [Acknowledged(node: NodeID(3), group: .first, term: Term(3), index: LogIndex(4))])
    try log.close()
    place.close()
    let (again, opened, groups) = try open()
    // Unsafe: all of this test happens on one thread.
    nonisolated(unsafe) let sent = opened
    let worker = DiskWorker(log: sent)
    let node = try TestNode(configuration(1, of: 3), recovered: groups, worker: worker)
    #expect(node.node.inspect(.first)?.hardState.commit == LogIndex(4))
    try worker.close()
    again.close()
  }

  @Test("restart: the machine is made again from the disk, in pieces, once each, and time goes on from there")
  func pieces() throws {
    let directory = Directory()
    var clock: UInt64 = 1
    let wall: UInt64 = 1_700_000_000_000_000_000
    var digest: UInt64 = 0
    try start(directory) { node in
      try lead(node, &clock, wall: wall)
      let sink = FakeSink()
      for id in 1...300 as ClosedRange<UInt64> {
        try node.call(sink, id, Array(repeating: UInt8(id & 0x7f), count: 100))
        if id.isMultiple(of: 7) { settle(node, &clock, wall: wall) }
      }
      settle(node, &clock, wall: wall)
      #expect(sink.replies.count == 300)
      digest = node.tape.digest
    }
    for _ in 0..<2 {
      try start(directory, limits: { $0.applyBytes = 1000 }) { node in
        // The clock of the machine is a day behind now.
        let earlier = wall - 86_400_000_000_000
        let sink = FakeSink()
        try lead(node, &clock, wall: earlier)
        settle(node, &clock, wall: earlier, ticks: 3)
        #expect(node.tape.lines.count == 300 && node.tape.digest == digest)
        let last = node.replica.log.last
        let stamp = try #require(node.group.tail.block(containing: last)?.header(at: last)?.timestamp)
        #expect(stamp >= wall, "the first entry after the start has no earlier time stamp than the last before")
        try node.call(sink, 1, method: "t/Read")
        settle(node, &clock, wall: earlier)
        #expect(sink.reply(1)?.payload == Array("300 lines".utf8))
        #expect(node.journal.events.contains { if case .caughtUp = $0 { true } else { false } })
      }
    }
  }

  @Test("restart: reads wait until all is applied again that was answered before")
  func readsWait() throws {
    let directory = Directory()
    var clock: UInt64 = 1
    try start(directory) { node in
      try lead(node, &clock, wall: 5)
      let sink = FakeSink()
      for id in 1...50 as ClosedRange<UInt64> { try node.call(sink, id, Array(repeating: 4, count: 200)) }
      settle(node, &clock, wall: 5)
    }
    try start(directory, limits: { $0.applyBytes = 500 }) { node in
      let sink = FakeSink()
      while !node.isLeader {
        clock += World.tickLength
        node.node.tick(now: clock, wall: 5)
        _ = node.node.turn(now: clock, wall: 5)
        node.answerDisk()
      }
      try node.call(sink, 1, method: "t/Read")
      var turns = 0
      while sink.replies.isEmpty, turns < 1000 {
        turns += 1
        _ = node.node.turn(now: clock, wall: 5)
        node.answerDisk()
      }
      #expect(sink.reply(1)?.payload == Array("50 lines".utf8))
    }
  }

  @Test("restart: what comes while old entries are read for the machine does not stay in memory")
  func newWhileOld() throws {
    let directory = Directory()
    var clock: UInt64 = 1
    try start(directory, core: Self.smallCache) { node in
      try lead(node, &clock, wall: 5)
      try add(100, to: node, FakeSink()) { settle(node, &clock, wall: 5) }
    }
    try start(directory, core: Self.smallCache) { node in
      func step() {
        clock += World.tickLength
        node.node.tick(now: clock, wall: 5)
        while node.node.turn(now: clock, wall: 5) || node.answerDisk(where: { $0.purpose != .apply }) {}
      }
      for _ in 0..<60 where !node.isLeader { step() }
      let sink = FakeSink()
      try add(400, to: node, sink, then: step)
      #expect(node.tape.lines.isEmpty && node.replica.log.durable == node.replica.log.last)
      #expect(node.group.tail.bytes < 20_000)
      settle(node, &clock, wall: 5, ticks: 2)
      #expect(node.tape.lines.count == 500 && sink.replies.count == 400)
    }
  }

  @Test("restart: entries that have left the memory are read from the disk for the machine")
  func smallCache() throws {
    let directory = Directory()
    var clock: UInt64 = 1
    try start(directory, core: Self.smallCache) { node in
      try lead(node, &clock, wall: 5)
      let sink = FakeSink()
      try add(400, to: node, sink) { settle(node, &clock, wall: 5) }
      #expect(sink.replies.count == 400 && node.tape.lines.count == 400)
      #expect(node.group.tail.bytes < 20_000)
    }
  }
}
