package import LockstepConsensus

/// A machine in memory: it carries commands out at once and cannot fail. Queries are answered at once as well, but for those
/// that take long, if there is somebody to do them.
package final class ImmediateApplier: Applier {
  private var executor: Executor
  private let longQueries: (any LongQueries)?

  package init(group: GroupID, machine: any StateMachine) {
    executor = Executor(group: group, machine: machine)
    longQueries = nil
  }

  /// As it was restored from a snapshot.
  package init(_ executor: Executor, longQueries: (any LongQueries)? = nil) {
    self.executor = executor
    self.longQueries = longQueries
  }

  package var group: GroupID { executor.group }
  package var submitted: LogIndex { executor.applied }
  package var applied: LogIndex { executor.applied }
  package var appliedTerm: Term { executor.appliedTerm }
  package var time: UInt64 { executor.time }
  package var machine: (any StateMachine)? { executor.machine }
  package var digest: UInt64 { executor.digest }
  package var schemas: [Schema] { executor.machine.schemas }
  package var isStored: Bool { false }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    executor.apply(entries, repliesAreWanted: repliesAreWanted, answer: onReply)
    return .done
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress { .done }

  package func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? { try executor.check(call) }

  package func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    guard let longQueries, executor.isLong(call) else { return try executor.query(call) }
    longQueries.ask(id, call, of: executor.copy(), deadline: deadline)
    return nil
  }

  package func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {
    for (id, answer) in longQueries?.collect() ?? [] { onAnswer(id, answer) }
  }

  package func record(_ isRecording: Bool) { executor.record(isRecording) }
  package func takeChanges() -> [Change] { executor.takeChanges() }
  package func copy() -> FrozenMachine? { executor.copy() }
  package func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream { try executor.stream(call) }

  package func freeze() -> FrozenState? { executor.freeze() }
}

/// Answers queries on other threads, from copies of the state, while commands go on.
package protocol LongQueries: Sendable {
  /// The bytes of the call are borrowed. `deadline`: monotonic, in nanoseconds.
  func ask(_ id: UInt64, _ call: MethodCall, of state: FrozenMachine, deadline: UInt64)

  /// The answers that have become ready.
  func collect() -> [(UInt64, StoredAnswer)]
}

/// A copy of a machine, and the entry that it is of.
package struct FrozenMachine: Sendable {
  let machine: any StateMachine
  let group: GroupID
  let mark: StoredMark

  /// The last entry that it has.
  package var last: EntryID { mark.last }

  /// The next part of what a stream begins with; see `MachineStream`.
  package func state(of stream: MachineStream, behind last: [UInt8]?) throws(CallStatus) -> [[UInt8]] {
    try stream.state(machine, QueryContext(group: group, index: mark.last.index, time: mark.time), last)
  }

  package func end(of stream: MachineStream) -> [UInt8]? {
    stream.stateEnd(QueryContext(group: group, index: mark.last.index, time: mark.time))
  }

  package func query(_ call: MethodCall) -> StoredAnswer {
    let context = QueryContext(group: group, index: mark.last.index, time: mark.time)
    do throws(CallStatus) { return StoredAnswer(mark: mark, result: .success(try machine.query(call, context))) } catch
    {
      return StoredAnswer(mark: mark, result: .failure(error))
    }
  }
}
