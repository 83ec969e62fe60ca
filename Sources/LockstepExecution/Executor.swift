package import LockstepConsensus

/// A command in a batch, and what it is in its session.
struct SessionSequence {
  let place: Int
  let session: UInt64
  let sequence: UInt64
}

/// Carries out the agreed order: the session table first, then the machine. Knows which entry it has applied last, and
/// takes only the one after it, so that no entry is ever applied twice or left out.
package struct Executor {
  /// A committed entry, whose bytes are borrowed.
  package struct Entry {
    package let id: EntryID
    package let kind: EntryKind
    package let timestamp: UInt64
    package let session: UInt64
    package let sequence: UInt64
    /// Borrowed, as the call that they were taken from.
    package let method: UnsafeRawBufferPointer
    package let request: UnsafeRawBufferPointer
    /// Of an entry of kind `session`.
    package let sessionCall: SessionCall?

    package init(
      id: EntryID, kind: EntryKind, timestamp: UInt64, session: UInt64, sequence: UInt64, call: MethodCall,
      sessionCall: SessionCall? = nil
    ) {
      self.sessionCall = sessionCall
      self.id = id
      self.kind = kind
      self.timestamp = timestamp
      self.session = session
      self.sequence = sequence
      method = call.methodBytes
      request = call.requestBytes
    }
  }

  package let group: GroupID
  package private(set) var machine: any StateMachine
  package private(set) var sessions: SessionTable
  package private(set) var applied: LogIndex = .zero
  package private(set) var appliedTerm: Term = .zero
  package private(set) var time: UInt64 = 0
  private var batch: [CommandBatch.Waiting] = []
  private var batchIDs: [EntryID] = []
  /// Those in `batch` that are of sessions.
  private var inSessions: [SessionSequence] = []
  /// Nil: what the machine emits is not asked for.
  private var recorder: ChangeRecorder?
  /// Of a batch with commands in sessions.
  private static let repliesAtOnce = 16

  package init(group: GroupID, machine: any StateMachine, limits: SessionLimits = .usual) {
    self.group = group
    self.machine = machine
    sessions = SessionTable(limits: limits)
  }

  /// As it was when `freeze` gave what is read here. `first`: the machine as it was before the first command. Throws
  /// `dataLoss` for bytes that are not that, and `failedPrecondition` for the state of a later version of the machine.
  package init(
    group: GroupID, first: any StateMachine, last: EntryID, time: UInt64, digest: UInt64,
    from snapshot: inout SnapshotReader, limits: SessionLimits = .usual
  ) throws(CallStatus) {
    guard snapshot.version <= first.version else {
      throw CallStatus(
        .failedPrecondition,
        "the snapshot is of version \(snapshot.version) of the machine, and this is version \(first.version)")
    }
    let sessions = try SessionTable(from: &snapshot, last: last.index, limits)
    let machine = try first.restored(from: &snapshot)
    try snapshot.end()
    self.init(group: group, machine: machine)
    self.sessions = sessions
    guard self.digest == digest else {
      throw snapshot.damage("the state that was restored is not the one that was frozen: their digests differ")
    }
    (applied, appliedTerm, self.time) = (last.index, last.term, time)
  }

  /// What replicas compare: of the machine and the sessions. That of the machine alone, while there are none.
  package var digest: UInt64 { machine.digest &+ sessions.digest }

  /// The state as it is: O(1), to be read on another thread.
  package func freeze() -> FrozenState {
    FrozenState(
      group: group, last: EntryID(term: appliedTerm, index: applied), time: time, machineVersion: machine.version,
      digest: digest, content: JoinedSnapshot(sessions.freeze(), machine.freeze()))
  }

  /// Applies consecutive entries, and calls `answer` for each, in order: with the machine's reply for a command, that
  /// of the sessions' service, or nil for an entry that is neither. Unless replies are wanted, those
  /// of commands outside sessions may lack their bytes.
  package mutating func apply(
    _ entries: ArraySlice<Entry>, repliesAreWanted: Bool = true, answer: (EntryID, Replies.Reply?) -> Void
  ) {
    for entry in entries {
      precondition(entry.id.index == applied.next, "entry \(entry.id.index) is applied after \(applied)")
      applied = entry.id.index
      appliedTerm = entry.id.term
      time = max(time, entry.timestamp)
      switch entry.kind {
      case .command:
        // What is recorded has replies, however long, and they are all there until the batch is carried out.
        if batch.count >= Self.repliesAtOnce, entry.session != 0 || !inSessions.isEmpty {
          flush(repliesAreWanted, answer)
        }
        if entry.session == 0 { add(entry) } else { addInSession(entry, repliesAreWanted, answer) }
      case .session:
        flush(repliesAreWanted, answer)
        answer(entry.id, sessions.carryOut(entry.sessionCall ?? .invalid, at: entry.id.index, time: time))
      case .noOperation, .configuration:
        flush(repliesAreWanted, answer)
        answer(entry.id, nil)
      }
    }
    flush(repliesAreWanted, answer)
  }

  private mutating func add(_ entry: Entry) {
    let context = ApplyContext(
      group: group, index: entry.id.index, term: entry.id.term, time: time,
      session: entry.session == 0 ? nil : entry.session, recorder: recorder?.number ?? .none)
    batch.append(CommandBatch.Waiting(context: context, method: entry.method, request: entry.request))
    batchIDs.append(entry.id)
  }

  /// Commands in sessions share a batch with others. What they are answered is recorded on every replica, whoever waits: the
  /// session's next node may have to say it again.
  private mutating func addInSession(
    _ entry: Entry, _ repliesAreWanted: Bool, _ answer: (EntryID, Replies.Reply?) -> Void
  ) {
    if sessions.mustWait(for: entry, time: time) { flush(repliesAreWanted, answer) }
    // Answers come in the order of the log.
    switch sessions.look(entry, time: time) {
    case .success(.answered(let reply)):
      flush(repliesAreWanted, answer)
      answer(entry.id, reply)
    case .failure(let status):
      flush(repliesAreWanted, answer)
      answer(entry.id, .failure(status))
    case .success(.new):
      add(entry)
      inSessions.append(SessionSequence(place: batch.count - 1, session: entry.session, sequence: entry.sequence))
    }
  }

  private mutating func flush(_ repliesAreWanted: Bool, _ answer: (EntryID, Replies.Reply?) -> Void) {
    guard !batch.isEmpty else { return }
    // Taken out while they are carried out, so that the buffer is used again.
    var ids: [EntryID] = []
    swap(&ids, &batchIDs)
    let replies = carryOut(repliesAreWanted: repliesAreWanted || !inSessions.isEmpty || recorder != nil)
    for command in inSessions {
      sessions.record(replies[command.place], session: command.session, sequence: command.sequence)
    }
    inSessions.removeAll(keepingCapacity: true)
    for place in ids.indices { answer(ids[place], replies[place]) }
    ids.removeAll(keepingCapacity: true)
    swap(&ids, &batchIDs)
  }

  private mutating func carryOut(repliesAreWanted: Bool) -> [Replies.Reply] {
    var replies = Replies(areWanted: repliesAreWanted, count: batch.count)
    machine.apply(CommandBatch(batch[...]), into: &replies)
    precondition(
      replies.all.count == batch.count,
      "the state machine answered \(replies.all.count) of \(batch.count) commands: apply must answer each exactly once")
    recorder?.carriedOut(batch, replies.all)
    batch.removeAll(keepingCapacity: true)
    return replies.all
  }

  // MARK: Changes

  /// From now on the commands are noted that are carried out, with their replies; or none is any more.
  package mutating func record(_ isRecording: Bool) { recorder = isRecording ? recorder ?? ChangeRecorder() : nil }

  /// Those that were carried out since the last time.
  package func takeChanges() -> [Change] { recorder?.take() ?? [] }

  // Mutating only in their names: what may change is asked where it lies, and otherwise Swift asks a copy.

  /// What a call is to the machine, nil for no method of it; throws when the machine could not carry it out.
  package mutating func check(_ call: MethodCall) throws(CallStatus) -> MethodKind? {
    guard let kind = machine.kind(ofMethod: call.method) else { return nil }
    try machine.validate(call)
    return kind
  }

  /// As `freeze` of a machine: because it is a value, this takes no longer for a larger one.
  package func copy() -> FrozenMachine {
    FrozenMachine(
      machine: machine, group: group,
      mark: StoredMark(last: EntryID(term: appliedTerm, index: applied), time: time))
  }

  /// Whether a query may take long, by what the machine says.
  mutating func isLong(_ call: MethodCall) -> Bool { machine.isLong(call) }

  package mutating func stream(_ call: MethodCall) throws(CallStatus) -> MachineStream { try machine.stream(call) }

  package mutating func query(_ call: MethodCall) throws(CallStatus) -> [UInt8] {
    try machine.query(call, QueryContext(group: group, index: applied, time: time))
  }
}
