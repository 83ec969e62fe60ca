import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire

/// From committed to applied: what the applier of one group is given next, from memory or from the disk, and what becomes
/// of its answers.
final class ApplyLane {
  private let group: GroupID
  private let context: NodeContext
  private var applier: any Applier
  /// Committed up to here: never behind what is submitted.
  private var target: LogIndex
  /// Entries are being read from the disk to be applied next.
  private(set) var isLoading = false
  /// The applier will answer later.
  private var isUnderWay = false
  /// Nothing more is submitted until it has.
  private var isFull = false
  /// Nothing more is submitted, so that the applier comes to rest and its state can be frozen.
  private(set) var isHeld = false
  /// Up to here, commands were there when the node started; less when a leader has replaced them.
  private var recoveredLast = LogIndex.zero
  /// All that was there when the node started has been applied.
  private(set) var isCaughtUp = true
  /// Of all entries that were submitted since the start, in bytes.
  private(set) var appliedBytes = 0
  /// Of the last entry that was submitted; nil: none was, since the start.
  private var submittedChain: UInt64?
  /// Bytes of replies that this turn may still make.
  private var replyBudget = 0
  /// Somebody may follow what is carried out, and hears the replies.
  private var isRecording = false

  /// `chain`: of the last entry that the applier was restored with.
  init(group: GroupID, context: NodeContext, applier: any Applier, chain: UInt64?, commit: LogIndex) {
    submittedChain = chain
    self.group = group
    self.context = context
    self.applier = applier
    target = commit
  }

  /// Commands up to here were found on the disk, and are to be carried out before this node is what it was.
  func replay(through last: LogIndex) {
    recoveredLast = last
    isCaughtUp = last <= applied
  }

  var applied: LogIndex { applier.applied }
  var appliedTerm: Term { applier.appliedTerm }
  var time: UInt64 { applier.time }
  var machine: (any StateMachine)? { applier.machine }
  var digest: UInt64 { applier.digest }
  var schemas: [Schema] { applier.schemas }

  /// The first entry that must stay in memory to be applied; nil while what is applied next comes from the disk.
  var needed: LogIndex? { isLoading ? nil : applier.submitted.next }

  // MARK: Asking the machine

  /// What a call is to the machine, nil for no method of it; throws when it could not carry it out.
  func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? { try applier.check(call) }

  func query(_ call: MethodCall, id: UInt64, deadline: UInt64) throws(CallStatus) -> [UInt8]? {
    try applier.query(call, id: id, deadline: deadline)
  }

  func collectAnswers(_ onAnswer: (UInt64, StoredAnswer) -> Void) { applier.collectAnswers(onAnswer) }

  // MARK: Streams

  /// The last entry that was handed to the applier.
  var submitted: LogIndex { applier.submitted }

  /// What comes from now on is noted as it is carried out; or nothing is any more.
  func record(_ isRecording: Bool) {
    self.isRecording = isRecording
    applier.record(isRecording)
  }

  func takeChanges() -> [Change] { applier.takeChanges() }

  /// What the machine gives to a call that is answered with a stream, or this node itself.
  func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream {
    if let stream = try GroupChanges.stream(call) { return stream }
    switch try check(call) {
    case .stream: return try applier.stream(call)
    case nil: throw CallStatus(.unimplemented, "no service here has a method '\(Admission.readable(call.methodBytes))'")
    case .command, .query:
      throw CallStatus(
        .invalidArgument, "'\(Admission.readable(call.methodBytes))' answers once, and with no stream: 'lockstep call'")
    }
  }

  func copy() -> FrozenMachine? { applier.copy() }

  // MARK: Snapshots

  /// The chain hash of the last entry that is applied; nil while answers are to come, or nothing was.
  var appliedChain: UInt64? { applier.submitted == applied ? submittedChain : nil }

  func freeze() -> FrozenState? { applier.freeze() }

  /// Another state takes the place of this one; what it was asked, and has not answered, it never will.
  func reset(to other: any Applier, chain: UInt64) {
    applier = other
    applier.record(isRecording)
    submittedChain = chain
    (isUnderWay, isFull, isHeld) = (false, false, false)
    target = max(target, other.applied)
    noteCaughtUp()
  }

  /// Returns whether there is something to wait for.
  func hold() -> Bool {
    isHeld = isUnderWay
    return isHeld
  }

  /// Returns whether something waits to be submitted.
  func goOn() -> Bool {
    isHeld = false
    return applier.submitted < target
  }

  // MARK: Applying

  func committed(_ index: LogIndex) { target = index }

  /// What was found on the disk is no more from `index` on, and will never be carried out.
  func replaced(from index: LogIndex) { recoveredLast = min(recoveredLast, index.previous) }

  /// What is to be done beside applying what is in memory.
  enum Next {
    case rest
    case more
    /// Read entries from here to here, to be applied.
    case load(LogIndex, through: LogIndex)
  }

  /// Applies what is committed and in memory, up to the limits of a turn: of the entries' bytes, and of their replies'.
  /// `evidence` is asked once a block, if somebody waits.
  func apply(_ tail: LogTail, durable: LogIndex, _ proposals: Proposals, evidence: () -> Evidence) -> Next {
    var budget = context.limits.applyBytes
    replyBudget = context.limits.answerBytes
    collect(proposals, evidence)
    let target = applier.isStored ? min(target, durable) : target
    while !isFull, !isHeld, applier.submitted < target, !context.hasFailed {
      let next = applier.submitted.next
      guard let block = tail.block(containing: next) else {
        guard !isLoading else { return .rest }
        isLoading = true
        // What has left the memory is on the disk: it is kept there until then.
        return .load(next, through: min(target, durable))
      }
      guard budget > 0, replyBudget > 0 else { return .more }
      let slice = LogSlice(first: next, last: min(block.last, target))
      budget -= block.region(slice).count
      let underWay = context.ledger.calls
      let time = context.stages.measuredApply { apply(block, slice, proposals, evidence) }
      // Clients go on while this node applies what comes next.
      if !context.hasFailed {
        context.stages.measuredReply(since: time, commands: underWay - context.ledger.calls, context.answers)
      }
    }
    noteCaughtUp()
    return .rest
  }

  /// What the applier was busy with may be ready.
  private func collect(_ proposals: Proposals, _ evidence: () -> Evidence) {
    guard isUnderWay else { return }
    let areAwaited = proposals.areAwaited
    let shared = areAwaited ? evidence() : Evidence(node: context.id, leader: nil)
    progressed(
      applier.collect { id, reply in
        if case .success(let payload)? = reply { replyBudget -= payload.count }
        if areAwaited { proposals.applied(id, reply, shared) }
      })
  }

  private func progressed(_ progress: ApplyProgress) {
    switch progress {
    case .done: (isUnderWay, isFull) = (false, false)
    case .underWay: (isUnderWay, isFull) = (true, false)
    case .full: (isUnderWay, isFull) = (true, true)
    case .failed(let failure): context.fail(.machine(group, failure))
    }
  }

  /// Entries have come from the disk.
  func loaded(_ blocks: [EntryBlock], _ proposals: Proposals, evidence: () -> Evidence) {
    isLoading = false
    replyBudget = context.limits.answerBytes
    for block in blocks {
      // What an applier has no time for is read again.
      guard !isFull, !isHeld, block.first == applier.submitted.next, !context.hasFailed else { return }
      let slice = LogSlice(first: block.first, last: min(block.last, target))
      if !slice.isEmpty { _ = context.stages.measuredApply { apply(block, slice, proposals, evidence) } }
    }
  }

  private func noteCaughtUp() {
    guard !isCaughtUp, applied >= recoveredLast else { return }
    isCaughtUp = true
    context.observe(.caughtUp(group, applied: applied))
  }

  /// Returns how many entries were applied: fewer than there are when their replies are long.
  private func apply(
    _ block: EntryBlock, _ slice: LogSlice, _ proposals: Proposals, _ evidence: () -> Evidence
  ) -> Int {
    let range = block.region(slice)
    return block.bytes.withUnsafeBytes { bytes in
      let entries: [Executor.Entry]
      do throws(WireError) {
        entries = try Self.entries(UnsafeRawBufferPointer(rebasing: bytes[range]), count: slice.count)
      } catch {
        context.fail(.corrupted(group, slice.first, error.description))
        return 0
      }
      // Followers, whom nobody asked, apply as many blocks as the leader.
      let shared = proposals.areAwaited ? evidence() : Evidence(node: context.id, leader: nil)
      var position = 0
      defer {
        if position > 0 {
          noteSubmitted(block, LogSlice(first: slice.first, last: slice.first.advanced(by: position - 1)))
        }
      }
      while position < entries.count, position == 0 || replyBudget > 0, !isFull {
        let areWanted = proposals.areAwaited
        let end =
          areWanted && !applier.isStored
          ? min(position + context.limits.commandsAtOnce, entries.count) : entries.count
        let progress = applier.submit(entries[position..<end], repliesAreWanted: areWanted) { id, reply in
          if case .success(let payload)? = reply { replyBudget -= payload.count }
          if areWanted { proposals.applied(id, reply, shared) }
        }
        position = end
        if progress != .done { progressed(progress) }
        guard !context.hasFailed else { return position }
      }
      return position
    }
  }

  private func noteSubmitted(_ block: EntryBlock, _ slice: LogSlice) {
    appliedBytes += block.region(slice).count
    submittedChain = block.chain(at: slice.last)
  }

  private static func entries(
    _ region: UnsafeRawBufferPointer, count: Int
  ) throws(WireError) -> [Executor.Entry] {
    var cursor = WireCursor(region)
    var entries: [Executor.Entry] = []
    entries.reserveCapacity(count)
    while !cursor.isAtEnd {
      _ = try cursor.varint()
      let entry = UnsafeRawBufferPointer(rebasing: cursor.bytes[try cursor.delimited()])
      let header = try EntryHeader(parsing: entry)
      let method = UnsafeRawBufferPointer(rebasing: entry[header.method])
      let payload = UnsafeRawBufferPointer(rebasing: entry[header.payload])
      entries.append(
        Executor.Entry(
          id: header.id, kind: header.kind, timestamp: header.timestamp, session: header.session,
          sequence: header.sequence, call: MethodCall(method: method, request: payload),
          sessionCall: header.kind == .session ? SessionCall(method: method, payload: payload) : nil))
    }
    return entries
  }

  // MARK: Invariants

  func check(commit: LogIndex, last: LogIndex) {
    precondition(applied <= applier.submitted && applier.submitted <= target, "applied beyond what was asked for")
    precondition(isUnderWay || !isFull, "an applier that is idle and takes nothing")
    precondition(isUnderWay || applied == applier.submitted, "an applier that is idle and owes answers")
    precondition(target <= commit, "applied beyond what is committed")
    precondition(commit <= last, "committed beyond the log")
  }
}
