package import LockstepConsensus
package import LockstepExecution

/// A machine that answers some time after it was given commands, some of them at once, and may say that it cannot go on: as
/// one with its own thread and disk does.
package final class SimulatedApplier: Applier {
  private struct Kept {
    let id: EntryID
    let kind: EntryKind
    let timestamp: UInt64
    let session: UInt64
    let sequence: UInt64
    let method: [UInt8]
    let request: [UInt8]
  }

  private var executor: Executor
  /// Submitted and not carried out, in order.
  private var waiting: [Kept] = []
  private var failure: ApplierFailure?
  private let atOnce: Int
  /// Called when something waits: `collect` is to be called some time later.
  private let isWanted: () -> Void
  /// Asked before some commands are carried out.
  private let fails: () -> Bool

  package init(
    _ executor: Executor, atOnce: Int, isWanted: @escaping () -> Void,
    fails: @escaping () -> Bool = { false }
  ) {
    self.executor = executor
    self.atOnce = atOnce
    self.isWanted = isWanted
    self.fails = fails
  }

  package var group: GroupID { executor.group }
  package var submitted: LogIndex { executor.applied.advanced(by: waiting.count) }
  package var applied: LogIndex { executor.applied }
  package var appliedTerm: Term { executor.appliedTerm }
  package var time: UInt64 { executor.time }
  package var machine: (any StateMachine)? { executor.machine }
  package var digest: UInt64 { executor.machine.digest }
  package var schemas: [Schema] { executor.machine.schemas }
  package var isStored: Bool { false }

  private var progress: ApplyProgress {
    if let failure { return .failed(failure) }
    return waiting.isEmpty ? .done : .underWay
  }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    guard failure == nil else { return progress }
    waiting += entries.map {
      Kept(
        id: $0.id, kind: $0.kind, timestamp: $0.timestamp, session: $0.session, sequence: $0.sequence,
        method: [UInt8]($0.method), request: [UInt8]($0.request))
    }
    if !waiting.isEmpty { isWanted() }
    return progress
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress {
    guard failure == nil, !waiting.isEmpty else { return progress }
    if fails() {
      failure = ApplierFailure(applied: applied, message: "its disk is full")
      return progress
    }
    for kept in waiting.prefix(atOnce) {
      kept.method.withUnsafeBytes { method in
        kept.request.withUnsafeBytes { request in
          let entry = Executor.Entry(
            id: kept.id, kind: kept.kind, timestamp: kept.timestamp, session: kept.session, sequence: kept.sequence,
            call: Call(method: method, request: request))
          executor.apply([entry], answer: onReply)
        }
      }
    }
    waiting.removeFirst(min(atOnce, waiting.count))
    if !waiting.isEmpty { isWanted() }
    return progress
  }

  package func check(_ call: Call) throws(Status) -> MethodKind? { try executor.check(call) }
  package func freeze() -> FrozenState? { waiting.isEmpty ? executor.freeze() : nil }
  package func query(_ call: Call, id: UInt64, deadline: UInt64) throws(Status) -> [UInt8]? {
    try executor.query(call)
  }

  package func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {}
}
