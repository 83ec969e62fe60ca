package import LockstepConsensus
package import LockstepExecution
import LockstepRequests

/// Entries that were submitted and are not carried out, in order, with their bytes: those of the log are borrowed.
struct WaitingEntries {
  private struct Kept {
    let id: EntryID
    let kind: EntryKind
    let timestamp: UInt64
    let session: UInt64
    let sequence: UInt64
    let sessionCall: SessionCall?
    let method: [UInt8]
    let request: [UInt8]
  }

  private var kept: [Kept] = []

  var isEmpty: Bool { kept.isEmpty }
  var count: Int { kept.count }

  func progress(_ failure: ApplierFailure?, atOnce: Int) -> ApplyProgress {
    if let failure { return .failed(failure) }
    if isEmpty { return .done }
    return count > atOnce ? .full : .underWay
  }

  mutating func append(_ entries: ArraySlice<Executor.Entry>) {
    kept += entries.map {
      Kept(
        id: $0.id, kind: $0.kind, timestamp: $0.timestamp, session: $0.session, sequence: $0.sequence,
        sessionCall: $0.sessionCall, method: [UInt8]($0.method), request: [UInt8]($0.request))
    }
  }

  /// Takes up to so many from the front; their bytes are there during the call.
  mutating func takeFirst<Failure: Error>(
    _ count: Int, _ body: (ArraySlice<Executor.Entry>) throws(Failure) -> Void
  ) throws(Failure) {
    let taken = kept.prefix(count)
    kept.removeFirst(taken.count)
    var bytes: [UInt8] = []
    let places = taken.map { entry in
      let start = bytes.count
      bytes += entry.method
      let middle = bytes.count
      bytes += entry.request
      return (method: start..<middle, request: middle..<bytes.count)
    }
    var result = Result<Void, Failure>.success(())
    bytes.withUnsafeBytes { bytes in
      let entries = zip(taken, places).map { entry, place in
        Executor.Entry(
          id: entry.id, kind: entry.kind, timestamp: entry.timestamp, session: entry.session, sequence: entry.sequence,
          call: MethodCall(
            method: UnsafeRawBufferPointer(rebasing: bytes[place.method]),
            request: UnsafeRawBufferPointer(rebasing: bytes[place.request])), sessionCall: entry.sessionCall)
      }
      do throws(Failure) { try body(entries[...]) } catch { result = .failure(error) }
    }
    try result.get()
  }
}

/// A machine that answers some time after it was given commands, some of them at once, and may say that it cannot go on: as
/// one with its own thread and disk does.
package final class SimulatedApplier: Applier {
  private var executor: Executor
  private var waiting = WaitingEntries()
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
  package var digest: UInt64 { executor.digest }
  package var schemas: [Schema] { executor.machine.schemas }
  package var isStored: Bool { false }

  private var progress: ApplyProgress { waiting.progress(failure, atOnce: atOnce) }

  package func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress {
    guard failure == nil else { return progress }
    waiting.append(entries)
    if !waiting.isEmpty { isWanted() }
    return progress
  }

  package func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress {
    guard failure == nil, !waiting.isEmpty else { return progress }
    if fails() {
      failure = ApplierFailure(applied: applied, message: "its disk is full")
      return progress
    }
    waiting.takeFirst(atOnce) { executor.apply($0, answer: onReply) }
    if !waiting.isEmpty { isWanted() }
    return progress
  }

  package func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? { try executor.check(call) }
  package func record(_ isRecording: Bool) { executor.record(isRecording) }
  package func takeChanges() -> [Change] { executor.takeChanges() }
  package func copy() -> FrozenMachine? { executor.copy() }
  package func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream { try executor.stream(call) }

  package func freeze() -> FrozenState? { waiting.isEmpty ? executor.freeze() : nil }
  package func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    try executor.query(call)
  }

  package func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) {}
}
