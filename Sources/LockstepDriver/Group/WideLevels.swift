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
    var commands: Deque<Waiting> = []
  }

  private let context: NodeContext
  /// One a level that was ever asked for, so that there are no more than there are levels and voters.
  private var queues: [Queue] = []
  private(set) var count = 0

  init(context: NodeContext) { self.context = context }

  var areWaiting: Bool { count > 0 }
  /// The last command that waits to be applied by every voter; nil: none does.
  var lastToBeApplied: LogIndex? { queues.first { $0.level == .applied }?.commands.last?.id.index }

  /// The permit of the command goes over to this part.
  func wait(
    for level: Acknowledgement, _ outcome: Outcome, _ id: EntryID, _ target: ReplyTarget, deadline: UInt64, bytes: Int
  ) {
    let position = queues.firstIndex { $0.level == level } ?? queues.count
    if position == queues.count { queues.append(Queue(level: level)) }
    var (outcome, permit) = (outcome, bytes)
    // A reply that waits is in memory: what there is room for is bounded as the requests are.
    if outcome.bytes > context.limits.longReplyBytes {
      if context.ledger.grow(by: outcome.bytes) {
        permit += outcome.bytes
      } else {
        outcome.answer = .failure(
          CallStatus(
            .resourceExhausted, "carried out; the reply has \(outcome.bytes) bytes: it is left out, as too much waits"))
      }
    }
    queues[position].commands.append(
      Waiting(id: id, target: target, deadline: deadline, bytes: permit, outcome: outcome))
    count += 1
    context.deadlines.note(deadline)
  }

  /// Answers what has reached its level. `applied`: by this node.
  func answer(_ replica: Replica, applied: LogIndex) {
    guard count > 0 else { return }
    for position in queues.indices where !queues[position].commands.isEmpty {
      let level = queues[position].level
      let reached = Self.reached(level, replica, applied: applied)
      while let command = queues[position].commands.first, command.id.index <= reached {
        queues[position].commands.removeFirst()
        finish(command, command.outcome, evidence(level, command.id.index, replica, applied: applied))
      }
    }
  }

  /// This level is reached by all up to here.
  private static func reached(_ level: Acknowledgement, _ replica: Replica, applied: LogIndex) -> LogIndex {
    switch level {
    case .leader, .quorum: applied
    case .voters(let count): replica.stored(byAtLeast: count)
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
    var evidence = Evidence(of: replica, leader: replica.leader, holding: index, at: level)
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
    end(where: { $0.deadline <= now }, replica, applied: applied) { names in
      CallStatus(self.context.lateness, "carried out, and durable on a majority; \(names) in time")
    }
  }

  /// Only a leader knows who has what.
  func leadLost(_ replica: Replica, applied: LogIndex) {
    end(where: { _ in true }, replica, applied: applied) { _ in
      CallStatus(
        .unavailable,
        "carried out, and durable on a majority; node \(self.context.id) does not lead any more, and cannot tell who else has it"
      )
    }
  }

  private func end(
    where isOver: (Waiting) -> Bool, _ replica: Replica, applied: LogIndex, _ status: (String) -> CallStatus
  ) {
    guard count > 0 else { return }
    for position in queues.indices {
      let level = queues[position].level
      for command in queues[position].commands {
        guard isOver(command) else {
          context.deadlines.note(command.deadline)
          continue
        }
        var evidence = evidence(level, command.id.index, replica, applied: applied)
        // The level that was reached.
        evidence.acknowledgement = .quorum
        let have = level == .applied ? evidence.appliedBy : evidence.holders
        evidence.missing = replica.votingMembers.filter { !have.contains($0) }
        let verb = level == .applied ? "applied" : "stored"
        var outcome = command.outcome
        outcome.answer = .failure(
          status("\(Self.names(evidence.missing)) \(Self.negation(evidence.missing)) \(verb) it"))
        finish(command, outcome, evidence)
      }
      queues[position].commands.removeAll { isOver($0) }
    }
  }

  private static func names(_ nodes: [NodeID]) -> String {
    (nodes.count == 1 ? "node " : "nodes ") + nodes.map(\.description).joined(separator: ", ")
  }

  private static func negation(_ nodes: [NodeID]) -> String { nodes.count == 1 ? "has not" : "have not" }

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
