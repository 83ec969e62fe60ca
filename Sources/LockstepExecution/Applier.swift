package import LockstepConsensus

/// What a group's machine sits behind. Entries go in, in the order of the log; answers come out in the same order: at
/// once, or later, when the applier works on another thread or on a disk of its own.
///
/// Who owns it submits, and collects when the applier has said, in whatever way they have agreed on, that there is
/// something; collecting too often does no harm.
package protocol Applier: AnyObject {
  var group: GroupID { get }
  /// The last entry that was submitted, or restored: the next one is the one after it.
  var submitted: LogIndex { get }
  /// The last entry that is carried out and answered; at most `submitted`. Queries and snapshots are of this state.
  var applied: LogIndex { get }
  var appliedTerm: Term { get }
  /// The highest time stamp of the applied entries.
  var time: UInt64 { get }
  /// As of `applied`. To be looked at, not to be changed. Nil: it is not in memory.
  var machine: (any StateMachine)? { get }
  /// Of the machine, as of `applied`.
  var digest: UInt64 { get }
  var schemas: [Schema] { get }
  /// It keeps what it has carried out on a disk of its own, so it is given only what the log has on its disk: after a crash
  /// it must not know of more than the log. And it is given much at once: it stores each batch.
  var isStored: Bool { get }

  /// Carries out the entries after `submitted`, whose bytes are borrowed and valid during this call alone. `onReply` is
  /// called once for each entry, in order, in this call or in one of `collect`: with the machine's reply for a command,
  /// with nil for an entry that is none. Unless replies are wanted, those of commands outside sessions may lack their bytes.
  func submit(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, onReply: (EntryID, Replies.Reply?) -> Void
  ) -> ApplyProgress

  /// Gives the answers that have become ready.
  func collect(onReply: (EntryID, Replies.Reply?) -> Void) -> ApplyProgress

  /// What a call is to the machine, nil for no method of it; throws when the machine could not carry it out.
  func check(_ call: MethodCall) throws(CallStatus) -> MethodKind?

  /// The answer, as of `applied`; or nil: it will be among those of `collectAnswers`, under this id. `deadline`: monotonic,
  /// in nanoseconds; nobody waits for the answer after it.
  func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]?

  /// Gives the answers to queries that have become ready, each as of an entry that was applied when it was asked, or of
  /// one after that.
  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void)

  /// The state as of `applied`; takes no longer for a larger one. Nil: not now, answers are still to come.
  func freeze() -> FrozenState?

  /// From the next entry that is submitted on, commands are noted that are carried out; or none is any more.
  func record(_ isRecording: Bool)

  /// Those that were noted since the last time, up to `applied` at most.
  func takeChanges() -> [Change]

  /// What the machine gives to a call that is answered with a stream.
  func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream

  /// A copy of the machine as of `applied`, for a stream that begins with the state. Nil: it is not in memory.
  func copy() -> FrozenMachine?
}

extension Applier {
  package func copy() -> FrozenMachine? { nil }

  package func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream {
    throw CallStatus(.unimplemented, "'\(call.methodName)' answers with no stream here")
  }
}

package enum ApplyProgress: Sendable, Hashable {
  /// All that was submitted is answered.
  case done
  /// Some of it will be answered by a later `collect`; more may be submitted meanwhile.
  case underWay
  /// As `underWay`, and nothing more may be submitted before that.
  case full
  /// What is not answered never will be: the state behind the applier can go no further, because of its own disk, for
  /// one. The node must not serve this group any more.
  case failed(ApplierFailure)
}

package struct ApplierFailure: Error, Sendable, Hashable, CustomStringConvertible {
  /// The last entry that is certainly carried out.
  package let applied: LogIndex
  /// What happened, to what, and what to do.
  package let message: String

  package init(applied: LogIndex, message: String) {
    self.applied = applied
    self.message = message
  }

  package var description: String { "the machine stopped after entry \(applied): \(message)" }
}
