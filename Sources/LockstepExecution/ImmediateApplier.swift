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
  package var machine: any StateMachine { executor.machine }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    executor.apply(entries, repliesAreWanted: repliesAreWanted, answer: onReply)
    return .done
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress { .done }

  package func check(_ call: Call) throws(Status) -> MethodKind? { try executor.check(call) }

  package func query(_ call: Call) throws(Status) -> [UInt8] { try executor.query(call) }

  package func freeze() -> FrozenState? { executor.freeze() }
}
