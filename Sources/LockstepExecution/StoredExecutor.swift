package import LockstepConsensus

/// Carries out the agreed order on a state of its own storage: what `Executor` is for machines in memory. Of the thread that
/// has the state.
package final class StoredExecutor {
  package let group: GroupID
  package let state: any StoredState
  private var sessions: SessionTable
  /// What is stored, and what is carried out with the entries of the transaction that is under way.
  package private(set) var mark: StoredMark
  private var changes: [SessionRecord] = []
  private var batch: [CommandBatch.Waiting] = []
  private var answers: [Answer] = []
  /// Places in `answers` of those in `batch`.
  private var waiting: [Int] = []

  package struct Answer: Sendable {
    package let id: EntryID
    /// Nil: the entry is no command.
    package var reply: Replies.Reply?
  }

  package init(group: GroupID, state: any StoredState) throws(StoredMachineFailure) {
    self.group = group
    self.state = state
    mark = state.mark
    sessions = try SessionTable(from: try state.sessionRecords(), last: state.mark.last.index)
  }

  /// Carries out consecutive entries and stores them: when this returns, an answer may be given for each.
  package func apply(
    _ entries: ArraySlice<Executor.Entry>, repliesAreWanted: Bool
  ) throws(StoredMachineFailure) -> [Answer] {
    answers = []
    answers.reserveCapacity(entries.count)
    for entry in entries {
      precondition(
        entry.id.index == mark.last.index.next, "entry \(entry.id.index) is applied after \(mark.last.index)")
      // Its outcome may depend on a command of the same session before it, which is stored first.
      if entry.session != 0 || entry.kind == .openSession { try store(repliesAreWanted) }
      mark.last = entry.id
      mark.time = max(mark.time, entry.timestamp)
      switch entry.kind {
      case .command where entry.session == 0: add(entry)
      case .command: try applyInSession(entry)
      case .openSession:
        if let ended = sessions.open(at: entry.id.index) { changes.append(sessions.record(of: ended)) }
        changes.append(sessions.record(of: entry.id.index.rawValue))
        answers.append(Answer(id: entry.id))
      case .noOperation, .configuration: answers.append(Answer(id: entry.id))
      }
    }
    try store(repliesAreWanted)
    return answers
  }

  private func add(_ entry: Executor.Entry) {
    let context = ApplyContext(
      group: group, index: entry.id.index, term: entry.id.term, time: mark.time,
      session: entry.session == 0 ? nil : entry.session)
    batch.append(CommandBatch.Waiting(context: context, method: entry.method, request: entry.request))
    waiting.append(answers.count)
    answers.append(Answer(id: entry.id))
  }

  private func store(_ repliesAreWanted: Bool) throws(StoredMachineFailure) {
    try carryOut(repliesAreWanted)
    guard mark != state.mark else { return }
    try state.commit(mark, changes)
    changes = []
  }

  private func carryOut(_ repliesAreWanted: Bool) throws(StoredMachineFailure) {
    guard !batch.isEmpty else { return }
    var replies = Replies(areWanted: repliesAreWanted, count: batch.count)
    try state.apply(CommandBatch(batch[...]), into: &replies)
    precondition(
      replies.all.count == batch.count,
      "the machine answered \(replies.all.count) of \(batch.count) commands: apply must answer each exactly once")
    for (place, reply) in zip(waiting, replies.all) { answers[place].reply = reply }
    batch.removeAll(keepingCapacity: true)
    waiting.removeAll(keepingCapacity: true)
  }

  private func applyInSession(_ entry: Executor.Entry) throws(StoredMachineFailure) {
    let (session, sequence) = (entry.session, entry.sequence)
    switch sessions.look(session: session, sequence: sequence, at: entry.id.index) {
    case .answered(let reply): answers.append(Answer(id: entry.id, reply: reply))
    case .refused(let status): answers.append(Answer(id: entry.id, reply: .failure(status)))
    case .new:
      add(entry)
      // Recorded, whoever waits: the session's next node may have to say it again.
      try carryOut(true)
      guard let reply = answers[answers.count - 1].reply else { break }
      let forgotten = sessions.record(reply, session: session, sequence: sequence)
      changes.append(SessionTable.record(of: reply, session: session, sequence: sequence))
      if let forgotten { changes.append(SessionRecord(session: session, sequence: forgotten, bytes: nil)) }
    }
    // Also where it was answered already: who uses a session keeps it.
    if sessions[session] != nil { changes.append(sessions.record(of: session)) }
    try store(true)
  }
}
