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
    var block = EntryBlock(first: LogIndex(1), previousChain: node.group.log.lastChain)
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
      var block = EntryBlock(first: LogIndex(index), previousChain: node.group.log.lastChain)
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

/// A machine that has more to do than it ever gets done: nothing is answered before `isReady`.
final class BusyApplier: Applier {
  private(set) var asked: [UInt64] = []
  private(set) var submitted = LogIndex.zero
  var applied = LogIndex.zero
  var isReady = false
  var progress = ApplyProgress.underWay
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
  func check(_ call: Call) throws(Status) -> MethodKind? { try inner.check(call) }
  func query(_ call: Call, id: UInt64, deadline: UInt64) throws(Status) -> [UInt8]? {
    asked.append(id)
    return nil
  }
  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {
    guard isReady else { return }
    for id in asked { onAnswer(id, StoredAnswer(mark: StoredMark(), result: .success([]))) }
  }
  func freeze() -> FrozenState? { nil }
}
