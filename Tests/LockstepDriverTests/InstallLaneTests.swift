import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("A node that needs a snapshot")
struct InstallLaneTests {
  private let chain: UInt64 = 0xfeed

  /// A follower of three, with a log of its own.
  private func follower(_ applier: (any Applier)? = nil) throws -> TestNode {
    let node = try TestNode(configuration(1, of: 3), applier: applier)
    for peer in [2, 3] as [UInt64] { node.node.linkChanged(NodeID(peer), isUp: true) }
    try hear(node, previous: .zero)
    settle(node)
    return node
  }

  private func hear(_ node: TestNode, previous: EntryID, needs: Bool = false, commit: UInt64 = 0) throws {
    try node.receive(
      .append(
        AppendRequest(
          term: Term(4), previous: previous, entries: LogSlice(first: previous.index.next, last: previous.index),
          commit: LogIndex(commit), readRound: 0, needsSnapshot: needs)), from: NodeID(2))
  }

  private func settle(_ node: TestNode) {
    while node.node.turn(now: 1, wall: 1) || node.answerDisk() {}
  }

  private func result(_ index: UInt64, term: UInt64 = 3) -> InstallResult {
    let id = EntryID(term: Term(term), index: LogIndex(index))
    let header = SnapshotHeader(
      cluster: testCluster, group: .first,
      last: LogBase(id: id, chain: chain, members: Codec.packed(Members(voters: [1, 2, 3].map { NodeID($0) }))),
      addresses: [], machineVersion: 1, time: 77, digest: 0)
    let machine = Tape()
    return InstallResult(
      snapshot: StoredSnapshot(header: header, fileBytes: 4096), term: Term(4),
      applier: RestoredApplier(machine, last: id))
  }

  @Test("its leader says so: one fetch is begun, of the other members, the leader last; once, however often it is said")
  func begins() throws {
    let node = try follower()
    for _ in 0..<3 { try hear(node, previous: EntryID(term: Term(3), index: LogIndex(20)), needs: true) }
    settle(node)
    #expect(
      node.installs.jobs == [InstallJob(group: .first, atLeast: LogIndex(20), sources: [NodeID(3), NodeID(2)])])
  }

  @Test("while one is on its way, the status says so, and not before")
  func told() throws {
    let node = try follower()
    node.installs.progress = InstallProgress(
      source: NodeID(3), index: nil, bytes: 5, totalBytes: 40, bytesPerSecond: 10, waitsFor: "the disk")
    #expect(node.group.status().install == nil)
    try hear(node, previous: EntryID(term: Term(3), index: LogIndex(20)), needs: true)
    settle(node)
    var expected = InstallReport(source: 3)
    (expected.bytes, expected.totalBytes, expected.bytesPerSecond, expected.waitsFor) = (5, 40, 10, "the disk")
    #expect(node.group.status().install == expected && expected.percent == 12 && expected.secondsLeft == 4)
    node.node.installFinished(result(25))
    settle(node)
    #expect(node.group.status().install == nil)
  }

  @Test("what has arrived takes the place of log and state; the disk is told, and then it is a snapshot like any other")
  func installs() throws {
    let node = try follower()
    try hear(node, previous: EntryID(term: Term(3), index: LogIndex(20)), needs: true)
    settle(node)
    node.node.installFinished(result(25))
    #expect(node.replica.log.base.index == LogIndex(25) && node.group.lane.applied == LogIndex(25))
    #expect(node.group.tail.lastChain == chain && node.installs.settled.isEmpty)
    _ = node.node.turn(now: 2, wall: 2)
    let bases = node.disk.jobs.flatMap { job -> [LogBase] in
      if case .append(let writes) = job.work { writes.compactMap(\.base) } else { [] }
    }
    #expect(bases.map(\.id.index) == [LogIndex(25)])
    settle(node)
    #expect(node.installs.settled.map(\.index) == [LogIndex(25)] && node.installs.settled[0].isOfUse)
    // The leader goes on behind it.
    try hear(node, previous: EntryID(term: Term(3), index: LogIndex(25)), commit: 25)
    settle(node)
    #expect(node.journal.violations == 0 && node.node.failure == nil)
  }

  @Test("entries have come all the same, from a leader whose log reaches further back: the fetch is given up")
  func cancelled() throws {
    let node = try follower()
    try hear(node, previous: EntryID(term: Term(3), index: LogIndex(2)), needs: true)
    settle(node)
    var block = EntryBlock(first: LogIndex(1), previousChain: node.group.tail.lastChain)
    for _ in 0..<3 { block.append(term: Term(4), kind: .noOperation, timestamp: 1) }
    try node.receive(
      .append(
        AppendRequest(
          term: Term(4), previous: .zero, entries: block.slice, commit: LogIndex(3), readRound: 0)),
      from: NodeID(2), entries: block, previousChain: block.previousChain)
    settle(node)
    node.node.tick(now: 3, wall: 3)
    #expect(node.installs.cancelled == 1 && node.group.installs.atLeast == nil)
    // It comes in this very moment: nobody waits for it.
    node.node.installFinished(result(2))
    settle(node)
    #expect(node.replica.log.base == .zero && node.group.lane.applied == LogIndex(3))
    #expect(node.installs.settled.last?.index == LogIndex(2) && node.installs.settled.last?.isOfUse == false)
  }

  @Test("what the former state was asked, and has not answered, the new one is asked, and answers once")
  func askedAgain() throws {
    let former = BusyApplier()
    let node = try follower(former)
    let sink = FakeSink()
    try hear(node, previous: EntryID(term: Term(3), index: LogIndex(20)), needs: true)
    for id in 1...3 as ClosedRange<UInt64> {
      try node.call(sink, id, method: "t/Read") { $0.read = Consistency.any.number }
    }
    settle(node)
    #expect(former.asked.count == 3 && sink.replies.isEmpty)
    node.node.installFinished(result(25))
    settle(node)
    #expect(sink.replies.map(\.id) == [1, 2, 3] && sink.replies.allSatisfy { $0.index == 25 && $0.code == 0 })
    // Too late.
    former.isReady = true
    node.node.applierReady(.first)
    settle(node)
    #expect(sink.replies.count == 3 && node.node.underWay.calls == 0)
  }

  @Test("a state that is busy with commands, and held for a snapshot, is replaced all the same, and entries go on")
  func busy() throws {
    let former = BusyApplier()
    let node = try follower(former)
    var block = EntryBlock(first: LogIndex(1), previousChain: node.group.tail.lastChain)
    for _ in 0..<3 { block.append(term: Term(4), kind: .noOperation, timestamp: 1) }
    try node.receive(
      .append(
        AppendRequest(term: Term(4), previous: .zero, entries: block.slice, commit: LogIndex(3), readRound: 0)),
      from: NodeID(2), entries: block, previousChain: block.previousChain)
    settle(node)
    #expect(former.submitted == LogIndex(3))
    former.applied = LogIndex(1)
    try hear(node, previous: EntryID(term: Term(4), index: LogIndex(20)), needs: true)
    node.node.takeSnapshot(of: .first) { _ in }
    settle(node)
    #expect(node.group.lane.isHeld)
    node.node.installFinished(result(25, term: 4))
    settle(node)
    #expect(node.group.lane.applied == LogIndex(25))
    #expect(!node.group.lane.isHeld && node.node.failure == nil)
  }

  @Test("commands of a former time as leader, overtaken by it, are answered: what became of them is not known")
  func overtaken() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    let leader = world[1]
    world.isolate(1)
    try leader.call(sink, 1)
    try world.settle()
    #expect(sink.replies.isEmpty)
    let last = leader.replica.log.last
    let term = leader.replica.term.rawValue
    try leader.receive(
      .append(
        AppendRequest(
          term: Term(term + 1), previous: EntryID(term: Term(term + 1), index: last.advanced(by: 9)),
          entries: LogSlice(first: last.advanced(by: 10), last: last.advanced(by: 9)), commit: last, readRound: 0,
          needsSnapshot: true)), from: NodeID(2))
    try world.settle()
    leader.node.installFinished(result(last.rawValue + 9, term: term + 1))
    try world.settle()
    #expect(sink.reply(1)?.applied == .unknown && sink.reply(1)?.code == UInt32(CallStatus.Code.unavailable.rawValue))
  }
}

/// A machine as it was restored.
private final class RestoredApplier: Applier {
  private let inner: ImmediateApplier
  private let last: EntryID
  init(_ machine: any StateMachine, last: EntryID) {
    inner = ImmediateApplier(group: .first, machine: machine)
    self.last = last
  }
  var group: GroupID { .first }
  var submitted: LogIndex { last.index }
  var applied: LogIndex { last.index }
  var appliedTerm: Term { last.term }
  var time: UInt64 { 0 }
  var machine: (any StateMachine)? { inner.machine }
  var digest: UInt64 { inner.digest }
  var schemas: [Schema] { inner.schemas }
  var isStored: Bool { false }
  func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress { .done }
  func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress { .done }
  func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? { nil }
  func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? { [] }
  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {}
  func freeze() -> FrozenState? { nil }
  func record(_ isRecording: Bool) {}
  func takeChanges() -> [Change] { [] }
}
