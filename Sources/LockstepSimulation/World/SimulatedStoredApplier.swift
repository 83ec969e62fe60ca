package import LockstepConsensus
import LockstepDriver
package import LockstepExecution
package import LockstepRequests

/// A machine with its own storage, which a real node has on a thread of its own: here some time passes between what it is
/// given and what it has done. Queries are answered later, too.
package final class SimulatedStoredApplier: StoredStateApplier {
  private struct Asked {
    let id: UInt64
    let method: [UInt8]
    let request: [UInt8]
  }

  private let executor: StoredExecutor
  private let reader: any StoredStateReader
  private let description: any StoredMachine
  /// So far all is stored and answered: where a commit fails, the executor is further.
  private var mark: StoredMark
  private var waiting = WaitingEntries()
  private var asked: [Asked] = []
  /// Of `asked`, those that are answered when they are collected next.
  private var answerable = 0
  private var failure: ApplierFailure?
  private var isStopped = false
  private var isRecording = false
  private let atOnce: Int
  /// Called when something waits: `collect` and `collectAnswers` are to be called some time later.
  private let isWanted: () -> Void
  /// Asked before some commands are carried out.
  private let fails: () -> Bool

  package init(
    _ executor: StoredExecutor, of machine: any StoredMachine, atOnce: Int, isWanted: @escaping () -> Void,
    fails: @escaping () -> Bool = { false }
  ) throws(StoredMachineFailure) {
    self.executor = executor
    mark = executor.mark
    reader = try executor.state.makeReader()
    description = machine
    self.atOnce = atOnce
    self.isWanted = isWanted
    self.fails = fails
  }

  package var group: GroupID { executor.group }
  package var submitted: LogIndex { applied.advanced(by: waiting.count) }
  package var applied: LogIndex { mark.last.index }
  package var appliedTerm: Term { mark.last.term }
  package var time: UInt64 { mark.time }
  package var machine: (any StateMachine)? { nil }
  package var digest: UInt64 { executor.digest }
  package var schemas: [Schema] { description.schemas }
  package var isStored: Bool { true }

  private var progress: ApplyProgress { waiting.progress(failure, atOnce: atOnce) }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    precondition(!isStopped, "a state that was closed is given entries")
    guard failure == nil else { return progress }
    waiting.append(entries)
    if !waiting.isEmpty { isWanted() }
    return progress
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress {
    guard failure == nil, !waiting.isEmpty, !isStopped else { return progress }
    if fails() {
      failure = ApplierFailure(applied: applied, message: "its disk is full")
      return progress
    }
    do throws(StoredMachineFailure) {
      try waiting.takeFirst(atOnce) { entries throws(StoredMachineFailure) in
        let answers = try executor.apply(entries, repliesAreWanted: true, isRecording: isRecording)
        mark = executor.mark
        for answer in answers { onReply(answer.id, answer.reply) }
      }
    } catch { failure = ApplierFailure(applied: applied, message: error.message) }
    if !waiting.isEmpty, failure == nil { isWanted() }
    return progress
  }

  package func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? {
    guard let kind = description.kind(ofMethod: call.method) else { return nil }
    try description.validate(call)
    return kind
  }

  package func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    asked.append(Asked(id: id, method: [UInt8](call.methodBytes), request: [UInt8](call.requestBytes)))
    isWanted()
    return nil
  }

  package func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {
    guard !isStopped else { return }
    // Those that were asked since are not answered in the turn in which they were asked.
    let answered = asked.prefix(answerable)
    asked.removeFirst(answerable)
    answerable = asked.count
    for one in answered {
      one.method.withUnsafeBytes { method in
        one.request.withUnsafeBytes { request in
          do throws(StoredMachineFailure) {
            onAnswer(one.id, try reader.query(MethodCall(method: method, request: request)) { false })
          } catch { failure = failure ?? ApplierFailure(applied: applied, message: error.message) }
        }
      }
    }
    if answerable > 0 { isWanted() }
  }

  package func record(_ isRecording: Bool) { self.isRecording = isRecording }
  package func takeChanges() -> [Change] { executor.takeChanges() }

  package func freeze() -> FrozenState? {
    guard progress == .done, !isStopped else { return nil }
    do throws(StoredMachineFailure) {
      return FrozenState(
        group: group, last: mark.last, time: time, machineVersion: description.version, digest: digest,
        content: try executor.state.freeze())
    } catch {
      failure = ApplierFailure(applied: applied, message: error.message)
      return nil
    }
  }

  package func stop() {
    isStopped = true
    executor.state.close()
  }
}
