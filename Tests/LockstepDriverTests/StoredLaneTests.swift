import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("A machine with its own storage")
struct StoredLaneTests {
  @Test("it is given an entry when the log has it on its own disk, and not when it is committed elsewhere")
  func durable() throws {
    let applier = BusyApplier()
    let node = try TestNode(configuration(1, of: 3), applier: applier)
    for peer in [2, 3] as [UInt64] { node.node.linkChanged(NodeID(peer), isUp: true) }
    var block = EntryBlock(first: LogIndex(1), previousChain: node.group.tail.lastChain)
    for _ in 0..<3 { block.append(term: Term(4), kind: .noOperation, timestamp: 1) }
    try node.receive(
      .append(
        AppendRequest(term: Term(4), previous: .zero, entries: block.slice, commit: LogIndex(3), readRound: 0)),
      from: NodeID(2), entries: block, previousChain: block.previousChain)
    while node.node.turn(now: 1, wall: 1) {}
    #expect(applier.submitted == .zero)
    while node.node.turn(now: 1, wall: 1) || node.answerDisk() {}
    #expect(applier.submitted == LogIndex(3))
  }
}

extension StoredLaneTests {
  @Test(
    "it is given what comes while it is at work, and nothing more when it says that it is full",
    arguments: [false, true])
  func gathers(isFull: Bool) throws {
    let applier = BusyApplier()
    applier.progress = isFull ? .full : .underWay
    let node = try TestNode(configuration(1, of: 3), applier: applier)
    for peer in [2, 3] as [UInt64] { node.node.linkChanged(NodeID(peer), isUp: true) }
    for index in 1...3 as ClosedRange<UInt64> {
      let previous = index > 1 ? EntryID(term: Term(4), index: LogIndex(index - 1)) : .zero
      var block = EntryBlock(first: LogIndex(index), previousChain: node.group.tail.lastChain)
      block.append(term: Term(4), kind: .noOperation, timestamp: 1)
      try node.receive(
        .append(
          AppendRequest(
            term: Term(4), previous: previous, entries: block.slice, commit: LogIndex(index), readRound: 0)),
        from: NodeID(2), entries: block, previousChain: block.previousChain)
      while node.node.turn(now: 1, wall: 1) || node.answerDisk() {}
    }
    #expect(applier.submitted == LogIndex(isFull ? 1 : 3))
  }
}

extension StoredLaneTests {
  @Test("queries: so many are under way at once, and what waits for a client's room is asked again, not kept")
  func queries() throws {
    let applier = BusyApplier()
    applier.answer = [UInt8](repeating: 7, count: 40_000)
    let node = try TestNode(configuration(1, of: 1), applier: applier)
    let (slow, quick) = (FakeSink(), FakeSink())
    slow.limit = 50_000
    func read(_ sink: FakeSink, _ id: UInt64) throws {
      try node.call(sink, id, method: "t/Read") { $0.read = Consistency.any.number }
    }
    func settle() { while node.node.turn(now: 1, wall: 1) || node.answerDisk() {} }
    for id in 1...40 as ClosedRange<UInt64> { try read(slow, id) }
    settle()
    #expect(applier.asked.count == 16 && slow.replies.isEmpty)
    applier.isReady = true
    node.node.applierReady(.first)
    settle()
    // The second takes the room that the first has left.
    #expect(slow.replies.count == 2 && node.node.underWay.calls == 38)
    try read(quick, 41)
    settle()
    node.node.applierReady(.first)
    settle()
    #expect(quick.replies.map(\.id) == [41], "others do not wait for it")
    slow.limit = .max
    for now in 2...20 as ClosedRange<UInt64> {
      node.node.tick(now: now, wall: now)
      settle()
      node.node.applierReady(.first)
      settle()
    }
    #expect(Set(slow.replies.map(\.id)) == Set(1...40) && slow.replies.count == 40)
    #expect(slow.replies.allSatisfy { $0.code == 0 && $0.payload.count == 40_000 })
    #expect(node.node.underWay.calls == 0 && node.node.underWay.bytes == 0)
  }
}

/// A machine that has more to do than it ever gets done: nothing is answered before `isReady`.
final class BusyApplier: Applier {
  private(set) var asked: [UInt64] = []
  private(set) var submitted = LogIndex.zero
  var applied = LogIndex.zero
  var isReady = false
  var progress = ApplyProgress.underWay
  var answer: [UInt8] = []
  private let inner = ImmediateApplier(group: .first, machine: Tape())
  var group: GroupID { .first }
  var appliedTerm: Term { .zero }
  var time: UInt64 { 0 }
  var machine: (any StateMachine)? { nil }
  var digest: UInt64 { inner.digest }
  var schemas: [Schema] { [] }
  var isStored: Bool { true }
  func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    if let last = entries.last { submitted = last.id.index }
    return progress
  }
  func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress { progress }
  func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? { try inner.check(call) }
  func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    asked.append(id)
    return nil
  }
  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {
    guard isReady else { return }
    for id in asked { onAnswer(id, StoredAnswer(mark: StoredMark(), result: .success(answer))) }
    asked = []
  }
  func freeze() -> FrozenState? { nil }
  func record(_ isRecording: Bool) {}
  func takeChanges() -> [Change] { [] }
}
