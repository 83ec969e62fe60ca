package import LockstepConsensus

/// Carries out the agreed order on a state of its own storage: what `Executor` is for machines in memory. Of the thread that
/// has the state.
package final class StoredExecutor {
  package let group: GroupID
  package let state: any StoredState
  private var sessions: SessionTable
  /// What is stored, and what is carried out with the entries of the transaction that is under way.
  package private(set) var mark: StoredMark
  private var batch: [CommandBatch.Waiting] = []
  private var answers: [Answer] = []
  /// Places in `answers` of those in `batch`.
  private var waiting: [Int] = []
  /// Those in `batch` that are of sessions.
  private var inSessions: [SessionSequence] = []
  /// Of a batch with commands in sessions: what is recorded has replies, however long.
  private static let repliesAtOnce = 64
  /// Nil: nobody follows the changes.
  private var recorder: ChangeRecorder?

  package struct Answer: Sendable {
    package let id: EntryID
    /// Nil: the entry is no command.
    package var reply: Replies.Reply?
  }

  package init(group: GroupID, state: any StoredState, limits: SessionLimits = .usual) throws(StoredMachineFailure) {
    self.group = group
    self.state = state
    mark = state.mark
    sessions = try SessionTable(from: try state.sessionRecords(), last: state.mark.last.index, limits)
  }

  /// As that of an `Executor`.
  package var digest: UInt64 { state.digest &+ sessions.digest }

  /// Those that were carried out since the last time, and noted.
  package func takeChanges() -> [Change] { recorder?.take() ?? [] }

  /// Carries out consecutive entries and stores them: when this returns, an answer may be given for each. `isRecording`:
  /// commands are noted, with their replies.
  package func apply(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool, isRecording: Bool = false
  ) throws(StoredMachineFailure) -> [Answer] {
    recorder = isRecording ? recorder ?? ChangeRecorder() : nil
    answers = []
    answers.reserveCapacity(entries.count)
    for entry in entries {
      precondition(
        entry.id.index == mark.last.index.next, "entry \(entry.id.index) is applied after \(mark.last.index)")
      let time = max(mark.time, entry.timestamp)
      // What it depends on is carried out, and stored, first: the state is asked for each batch once, and then to commit.
      let isFull = batch.count >= Self.repliesAtOnce && (entry.session != 0 || !inSessions.isEmpty)
      if isFull || entry.kind == .session || entry.session != 0 && sessions.mustWait(for: entry, time: time) {
        try store(repliesAreWanted)
      }
      (mark.last, mark.time) = (entry.id, time)
      switch entry.kind {
      case .command where entry.session == 0: add(entry)
      case .command: addInSession(entry)
      case .session:
        let reply = sessions.carryOut(entry.sessionCall ?? .invalid, at: entry.id.index, time: mark.time)
        answers.append(Answer(id: entry.id, reply: reply))
      case .noOperation, .configuration: answers.append(Answer(id: entry.id))
      }
    }
    try store(repliesAreWanted)
    return answers
  }

  private func add(_ entry: Executor.Entry) {
    let context = ApplyContext(
      group: group, index: entry.id.index, term: entry.id.term, time: mark.time,
      session: entry.session == 0 ? nil : entry.session, recorder: recorder?.number ?? .none)
    batch.append(CommandBatch.Waiting(context: context, method: entry.method, request: entry.request))
    waiting.append(answers.count)
    answers.append(Answer(id: entry.id))
  }

  private func store(_ repliesAreWanted: Bool) throws(StoredMachineFailure) {
    try carryOut(repliesAreWanted)
    if mark != state.mark { try state.commit(mark, sessions.takeChanges()) }
  }

  private func carryOut(_ repliesAreWanted: Bool) throws(StoredMachineFailure) {
    guard !batch.isEmpty else { return }
    var replies = Replies(areWanted: repliesAreWanted || !inSessions.isEmpty || recorder != nil, count: batch.count)
    try state.apply(CommandBatch(batch[...]), into: &replies)
    precondition(
      replies.all.count == batch.count,
      "the machine answered \(replies.all.count) of \(batch.count) commands: apply must answer each exactly once")
    for command in inSessions {
      sessions.record(replies.all[command.place], session: command.session, sequence: command.sequence)
    }
    for (place, reply) in zip(waiting, replies.all) { answers[place].reply = reply }
    recorder?.carriedOut(batch, replies.all)
    inSessions.removeAll(keepingCapacity: true)
    batch.removeAll(keepingCapacity: true)
    waiting.removeAll(keepingCapacity: true)
  }

  /// Commands in sessions share a batch with others, and what they are answered is recorded, whoever waits.
  private func addInSession(_ entry: Executor.Entry) {
    switch sessions.look(entry, time: mark.time) {
    case .success(.answered(let reply)): answers.append(Answer(id: entry.id, reply: reply))
    case .failure(let status): answers.append(Answer(id: entry.id, reply: .failure(status)))
    case .success(.new):
      add(entry)
      inSessions.append(SessionSequence(place: batch.count - 1, session: entry.session, sequence: entry.sequence))
    }
  }
}
