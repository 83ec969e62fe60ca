import DequeModule
import LockstepConsensus
import LockstepRequests

/// Commands of one group that are carried out, and whose clients wait for more voters than a majority: to have them on
/// their disks, or to have applied them.
final class WideLevels {
  private struct Waiting {
    let id: EntryID
    let target: ReplyTarget
    let deadline: UInt64
    /// The permit.
    let bytes: Int
    let outcome: Outcome
  }

  /// Those of one level, in the order of the log: what is reached for one is reached for all before it.
  private struct Queue {
    let level: Acknowledgement
    /// So many voters, whatever else the level asks for.
    let leastVoters: Int
    var commands: Deque<Waiting> = []
  }

  private let context: NodeContext
  /// One a level that was ever asked for, so that there are no more than there are levels and voters.
  private var queues: [Queue] = []
  private(set) var count = 0

  init(context: NodeContext) { self.context = context }

  var areWaiting: Bool { count > 0 }

  /// The permit of the command goes over to this part.
  func wait(
    for level: Acknowledgement, leastVoters: Int, _ outcome: Outcome, _ id: EntryID, _ target: ReplyTarget,
    deadline: UInt64, bytes: Int
  ) {
    let position = queues.firstIndex { $0.level == level && $0.leastVoters == leastVoters } ?? queues.count
    if position == queues.count { queues.append(Queue(level: level, leastVoters: leastVoters)) }
    var (outcome, permit) = (outcome, bytes)
    // A reply that waits is in memory: what there is room for is bounded as the requests are.
    if context.ledger.grow(by: outcome.bytes) {
      permit += outcome.bytes
    } else {
      outcome.answer = .failure(
        CallStatus(
          .resourceExhausted,
          "carried out; the reply has \(outcome.bytes) bytes: it is left out, as too much waits"))
    }
    queues[position].commands.append(
      Waiting(id: id, target: target, deadline: deadline, bytes: permit, outcome: outcome))
    count += 1
    context.deadlines.note(deadline)
  }

  /// This node has applied so much: who waits for others to have it is answered, if they have, and its leader, or the
  /// others if it leads, hear of it. Returns what the core is to do for that.
  func applied(_ index: LogIndex, _ replica: Replica) -> LocalEvent? {
    if replica.role != .leader {
      leadLost(replica, applied: index)
      return replica.isAppliedDue(index) ? .applied(index) : nil
    }
    answer(replica, applied: index)
    let awaited = queues.lazy.filter { $0.level == .applied }.compactMap { $0.commands.last?.id.index }.max()
    return awaited.flatMap { $0 > replica.appliedAwaited ? .appliedAwaited($0) : nil }
  }

  /// Answers what has reached its level. `applied`: by this node.
  private func answer(_ replica: Replica, applied: LogIndex) {
    guard count > 0 else { return }
    for position in queues.indices where !queues[position].commands.isEmpty {
      let (level, least) = (queues[position].level, queues[position].leastVoters)
      let all = Self.reached(level, replica, applied: applied)
      let reached = least > 0 ? min(all, replica.stored(byAtLeast: least)) : all
      while let command = queues[position].commands.first, command.id.index <= reached {
        queues[position].commands.removeFirst()
        finish(command, command.outcome, evidence(level, command.id.index, replica, applied: applied))
      }
    }
  }

  /// This level is reached by all up to here, beside the number of voters that is counted for itself.
  private static func reached(_ level: Acknowledgement, _ replica: Replica, applied: LogIndex) -> LogIndex {
    switch level {
    case .leader, .quorum, .voters: applied
    case .all: replica.votingMembers.reduce(LogIndex(.max)) { min($0, replica.stored(by: $1)) }
    case .applied:
      replica.votingMembers.reduce(min(applied, replica.log.durable)) {
        $1 == replica.configuration.id ? $0 : min($0, replica.applied(by: $1))
      }
    }
  }

  private func evidence(
    _ level: Acknowledgement, _ index: LogIndex, _ replica: Replica, applied: LogIndex
  ) -> Evidence {
    var evidence = Evidence(of: replica, holding: index, at: level)
    if level == .applied {
      evidence.appliedBy = replica.votingMembers.filter {
        ($0 == context.id ? min(applied, replica.log.durable) : replica.applied(by: $0)) >= index
      }
    }
    return evidence
  }

  private func finish(_ command: Waiting, _ outcome: Outcome, _ evidence: Evidence) {
    count -= 1
    context.ledger.giveBack(bytes: command.bytes)
    context.answers.write(outcome, to: command.target, evidence)
  }

  // MARK: What is not reached

  /// Commands whose time is over are told who is missing; the deadlines of the others are noted.
  func expire(_ now: UInt64, _ replica: Replica, applied: LogIndex) {
    // What has just come may be what they wait for.
    answer(replica, applied: applied)
    end(where: { $0.deadline <= now }) { command, level in
      var evidence = evidence(level, command.id.index, replica, applied: applied)
      let have = level == .applied ? evidence.appliedBy : evidence.holders
      evidence.missing = replica.votingMembers.filter { !have.contains($0) }
      let reason =
        evidence.missing.isEmpty
        ? "there are no more voters than \(evidence.holders.count) that could have it"
        : "\(Self.names(evidence.missing)) not \(level == .applied ? "applied" : "stored") it in time"
      return (CallStatus(context.lateness, "carried out, and durable on a majority; \(reason)"), evidence)
    }
  }

  /// Only a leader knows who has what: of this one nobody hears who is missing.
  func leadLost(_ replica: Replica, applied: LogIndex) {
    let message =
      "carried out, and durable on a majority; node \(context.id) does not lead any more, and cannot tell who else has it"
    end(where: { _ in true }) { command, level in
      (CallStatus(.unavailable, message), evidence(level, command.id.index, replica, applied: applied))
    }
  }

  private func end(
    where isOver: (Waiting) -> Bool, _ found: (Waiting, Acknowledgement) -> (CallStatus, Evidence)
  ) {
    guard count > 0 else { return }
    for position in queues.indices {
      for command in queues[position].commands {
        guard isOver(command) else {
          context.deadlines.note(command.deadline)
          continue
        }
        var outcome = command.outcome
        var (status, evidence) = found(command, queues[position].level)
        outcome.answer = .failure(status)
        // The level that was reached.
        evidence.acknowledgement = .quorum
        evidence.isShort = true
        finish(command, outcome, evidence)
      }
      queues[position].commands.removeAll { isOver($0) }
    }
  }

  private static func names(_ nodes: [NodeID]) -> String {
    let names = nodes.map(\.description).joined(separator: ", ")
    return nodes.count == 1 ? "node \(names) has" : "nodes \(names) have"
  }

  // MARK: Invariants

  /// What these commands count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    (count, queues.reduce(0) { $1.commands.reduce($0) { $0 + $1.bytes } })
  }

  func check(isLeading: Bool, applied: LogIndex) {
    precondition(count == queues.reduce(0) { $0 + $1.commands.count }, "commands that wait are counted wrongly")
    precondition(isLeading || count == 0, "a command waits for what only a leader knows")
    for queue in queues {
      precondition(queue.level.isWide, "a command waits for no more than it has")
      for (one, next) in zip(queue.commands, queue.commands.dropFirst()) {
        precondition(one.id.index < next.id.index, "commands that wait out of order")
      }
      precondition(queue.commands.last.map { $0.id.index <= applied } ?? true, "a command that is not applied yet")
    }
  }
}
