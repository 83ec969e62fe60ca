package import LockstepConsensus

/// A machine in memory: it answers at once and cannot fail.
package final class ImmediateApplier: Applier {
  private var executor: Executor

  package init(group: GroupID, machine: any StateMachine) { executor = Executor(group: group, machine: machine) }

  /// As it was restored from a snapshot.
  package init(_ executor: Executor) { self.executor = executor }

  package var group: GroupID { executor.group }
  package var submitted: LogIndex { executor.applied }
  package var applied: LogIndex { executor.applied }
  package var appliedTerm: Term { executor.appliedTerm }
  package var time: UInt64 { executor.time }
  package var machine: (any StateMachine)? { executor.machine }
  package var digest: UInt64 { executor.machine.digest }
  package var schemas: [Schema] { executor.machine.schemas }
  package var isStored: Bool { false }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    executor.apply(entries, repliesAreWanted: repliesAreWanted, answer: onReply)
    return .done
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress { .done }

  package func check(_ call: Call) throws(Status) -> MethodKind? { try executor.check(call) }

  package func query(_ call: Call, id: UInt64, deadline: UInt64) throws(Status) -> [UInt8]? {
    try executor.query(call)
  }

  package func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {}

  package func freeze() -> FrozenState? { executor.freeze() }
}
