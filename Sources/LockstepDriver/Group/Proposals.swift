import DequeModule
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire

/// The commands of one group that clients wait for: arrived in this turn, held until they can be proposed, or in the log and
/// waiting to be applied.
final class Proposals {
  /// A command in the log.
  private struct Awaited {
    let id: EntryID
    /// Nil: answered already. It stays while its entry is in the log, so that what it takes of the limits is counted.
    var target: ReplyTarget?
    let deadline: UInt64
    let bytes: Int
    let level: Acknowledgement
    /// So many voters, whatever else the level asks for.
    let leastVoters: Int
  }

  private let group: GroupID
  private let context: NodeContext
  /// To be proposed in this turn.
  private var arrived = CallBuffer()
  /// Arrived before those, while the lead was handed over, or too much was not committed.
  private var held = CallBuffer()
  /// Ordered by index, then term: what applying comes to first stands first.
  private var awaited: Deque<Awaited> = []
  /// Those of this time as leader that are answered as soon as this node's disk has them, in the order of the log.
  private var untilStored: Deque<EntryID> = []

  /// Takes over those that are carried out, and are to be answered at a wider level.
  private let wide: WideLevels

  init(group: GroupID, context: NodeContext, wide: WideLevels) {
    self.wide = wide
    self.group = group
    self.context = context
  }

  var areArrived: Bool { !arrived.isEmpty }
  var areHeld: Bool { !held.isEmpty }
  /// Somebody may wait for the answer of what is applied next.
  var areAwaited: Bool { !awaited.isEmpty }
  /// Somebody waits for more than a majority.
  var areWideAwaited: Bool { awaited.contains { $0.level.isWide && $0.target != nil } }
  var arrivedBytes: Int { arrived.callBytes + arrived.calls.count * EntryBlock.overheadBytes }
  var sizes: [Int] { arrived.calls.map(\.bytes) }

  func arrive(_ request: Request, for target: ReplyTarget, deadline: UInt64) {
    arrived.append(request, for: target, deadline: deadline)
  }

  // MARK: What becomes of a proposal

  /// `body` gets what the entries of the proposal are made of.
  func withArrived(_ body: (CallBuffer) -> Void) { body(arrived) }

  /// The proposal has become entries from `first` on.
  func becameEntries(from first: EntryID) {
    let isBehind = awaited.last.map { $0.id.index >= first.index } ?? false
    for (offset, call) in arrived.calls.enumerated() {
      let id = EntryID(term: first.term, index: first.index.advanced(by: offset))
      let (asked, floor) = (call.options.acknowledgement, context.limits.minimumAcknowledgement)
      let level = asked.raised(to: floor)
      awaited.append(
        Awaited(
          id: id, target: call.target, deadline: call.deadline, bytes: call.bytes, level: level,
          leastVoters: max(asked.leastVoters, floor.leastVoters)))
      if level == .leader { untilStored.append(id) }
    }
    // Commands of a former time as leader, replaced in the log since, still wait for what takes their places. They are
    // answered in the order of the log, or one of these would be taken for one that was replaced.
    guard isBehind else { return }
    awaited.sort { ($0.id.index, $0.id.term) < ($1.id.index, $1.id.term) }
  }

  func clearArrived() { arrived.removeAll() }

  /// Nothing was appended.
  func refused(_ refusal: ProposalRefusal, leader: NodeID?) {
    let refused = arrived
    arrived.removeAll()
    refused.forEachRequest(of: group) { request, target, deadline in
      switch refusal {
      case .transferring: held.append(request, for: target, deadline: deadline)
      case .overloaded:
        giveBack(request)
        let message = "too many commands wait for the leader's disk"
        context.answers.refuse(target, CallStatus(.resourceExhausted, message), leader: leader)
      case .noRoom(let nodes, let missing):
        giveBack(request)
        context.answers.refuse(target, Self.noRoom(nodes, missing), leader: leader)
      case .notLeader(let leader):
        context.forwarder.pass(
          request, of: group, for: target, to: leader, deadline: deadline, now: context.now, isCommand: true)
      }
    }
  }

  /// What is not committed has to have room with all members, whoever was heard from: no more than `limit` bytes are. What has
  /// room is to be proposed, in the order in which it came, and the rest is held. With less room than half of all nothing of
  /// what is held goes on, as all of it is gone through for that; with more, one call does that is larger.
  func admit(_ limit: Int, _ commit: LogIndex, _ log: borrowing Log, termStart: LogIndex) {
    // The sizes of entries that a start has found are not known: what would stand behind them waits until they are committed.
    let isKnown = log.floor <= commit.next || commit >= termStart
    let (room, least) = (isKnown ? limit - log.bytes(behind: commit) : 0, limit / 2)
    guard !held.isEmpty || arrivedBytes > room else { return }
    let (former, new) = (held, arrived)
    held = CallBuffer()
    arrived.removeAll()
    var left = former.isEmpty || room >= least ? room : 0
    func sort(_ request: Request, _ target: ReplyTarget, _ deadline: UInt64) {
      let bytes = request.payloads.count * (EntryBlock.overheadBytes + request.method.count) + request.payloads.bytes
      if held.isEmpty, left >= bytes || arrived.isEmpty && left >= least {
        left -= bytes
        arrived.append(request, for: target, deadline: deadline)
      } else {
        context.deadlines.note(deadline)
        held.append(request, for: target, deadline: deadline)
      }
    }
    former.forEachRequest(of: group, sort)
    new.forEachRequest(of: group, sort)
  }

  /// Commands that waited for the lead to be handed over go on, where another node has it.
  func resume(_ body: (Request, ReplyTarget, _ deadline: UInt64) -> Void) {
    let resumed = held
    held = CallBuffer()
    resumed.forEachRequest(of: group, body)
  }

  private static func noRoom(_ nodes: [NodeID], _ missing: UInt64) -> CallStatus {
    let names = nodes.map(\.description).joined(separator: " and ")
    let whose = nodes.count == 1 ? "the disk of node \(names) has" : "the disks of nodes \(names) have"
    return CallStatus(
      .resourceExhausted,
      "\(whose) no room for more commands, \(missing) bytes are missing: make room on it, or give it more with --disk-budget"
    )
  }

  private func giveBack(_ request: Request) {
    context.ledger.giveBack(calls: request.payloads.count, bytes: CallLedger.bytes(request))
  }

  // MARK: Stored

  /// This node leads, and its disk has all up to `index`. There is no reply yet, and it may be lost with this node.
  func stored(through index: LogIndex, evidence: (LogIndex) -> Evidence) {
    while let id = untilStored.first, id.index <= index {
      untilStored.removeFirst()
      guard let position = position(of: id), let target = awaited[position].target else { continue }
      awaited[position].target = nil
      context.answers.write(
        Outcome(.reply([]), applied: .unknown, index: id.index, term: id.term), to: target, evidence(id.index))
    }
  }

  /// Another node may put other entries in the place of these: they are answered when they are carried out. Those that are
  /// have waited for what only a leader knows.
  func leadLost(_ replica: Replica, applied: LogIndex) {
    untilStored.removeAll()
    wide.leadLost(replica, applied: applied)
  }

  private func position(of id: EntryID) -> Int? {
    var (low, high) = (0, awaited.count)
    while low < high {
      let middle = (low + high) / 2
      let other = awaited[middle].id
      if (other.index, other.term) < (id.index, id.term) { low = middle + 1 } else { high = middle }
    }
    return low < awaited.count && awaited[low].id == id ? low : nil
  }

  // MARK: Applied

  /// The entry `id` has been applied: whoever waits for it, or for another one in its place, is answered, or goes on
  /// waiting for a wider level.
  func applied(_ id: EntryID, _ reply: Replies.Reply?, _ evidence: Evidence) {
    while !awaited.isEmpty, awaited[0].id.index <= id.index {
      let command = awaited.removeFirst()
      let outcome = Self.outcome(id, reply)
      // What was refused where it would have been carried out waits for nobody.
      if command.level.isWide, command.id == id, outcome.applied == .yes, let target = command.target {
        wide.wait(
          for: command.level, leastVoters: command.leastVoters, outcome, id, target,
          deadline: command.deadline, bytes: command.bytes)
        continue
      }
      context.ledger.giveBack(bytes: command.bytes)
      guard let target = command.target else { continue }
      if command.id == id {
        context.answers.write(outcome, to: target, evidence)
      } else {
        // Another entry is committed in its place: this one can never be (State Machine Safety, Raft figure 3).
        let entry = "entry \(command.id.index) of term \(command.id.term)"
        context.answers.fail(
          target, CallStatus(.unavailable, "\(entry) was replaced by a later leader's; send it again"),
          leader: evidence.leader)
      }
    }
  }

  private static func outcome(_ id: EntryID, _ reply: Replies.Reply?) -> Outcome {
    switch reply {
    case .success(let payload)?: Outcome(.reply(payload), applied: .yes, index: id.index, term: id.term)
    case .failure(let status)?:
      Outcome(.failure(status), applied: status.applied ?? .yes, index: id.index, term: id.term)
    case nil: Outcome(.reply([]), applied: .yes, index: id.index, term: id.term)
    }
  }

  /// What is up to here is carried out, and whether these commands are among it is not known on this node.
  func overtaken(by index: LogIndex, leader: NodeID?) {
    while let command = awaited.first, command.id.index <= index {
      awaited.removeFirst()
      context.ledger.giveBack(bytes: command.bytes)
      guard let target = command.target else { continue }
      let message =
        "what became of entry \(command.id.index) of term \(command.id.term) is not known to node \(context.id), which has got a snapshot"
      context.answers.write(
        Outcome(
          .failure(CallStatus(.unavailable, message)), applied: .unknown, index: command.id.index, term: command.id.term
        ),
        to: target, Evidence(node: context.id, leader: leader))
    }
  }

  // MARK: Deadlines

  /// Calls whose time is over are told so; the deadlines of the others are noted.
  func expire(_ now: UInt64, commit: LogIndex, log: Log, leader: NodeID?) {
    for call in arrived.calls { context.deadlines.note(call.deadline) }
    expireHeld(now, leader: leader)
    var isAnyLate = false
    for position in awaited.indices {
      guard let target = awaited[position].target else { continue }
      guard awaited[position].deadline <= now else {
        context.deadlines.note(awaited[position].deadline)
        continue
      }
      let id = awaited[position].id
      awaited[position].target = nil
      isAnyLate = true
      let isCommitted = id.index <= commit && log.contains(id)
      let what = "entry \(id.index) of term \(id.term) is in the log of node \(context.id)"
      let message =
        isCommitted
        ? "\(what) and committed, and was not carried out in time; it will be"
        : "\(what) and was not committed in time; it may be later"
      context.answers.write(
        Outcome(.failure(CallStatus(context.lateness, message)), applied: .unknown, index: id.index, term: id.term),
        to: target, Evidence(node: context.id, leader: leader))
    }
    if isAnyLate { forgetReplaced(log) }
  }

  /// Drops commands that nobody waits for any more and that have left the log: what would take their places, and make
  /// room for others, may never come.
  func forgetReplaced(_ log: Log) {
    awaited.removeAll { command in
      guard command.target == nil, !log.contains(command.id) else { return false }
      context.ledger.giveBack(bytes: command.bytes)
      return true
    }
  }

  private func expireHeld(_ now: UInt64, leader: NodeID?) {
    guard !held.isEmpty else { return }
    let former = held
    held = CallBuffer()
    former.forEachRequest(of: group) { request, target, deadline in
      guard deadline <= now else {
        context.deadlines.note(deadline)
        held.append(request, for: target, deadline: deadline)
        return
      }
      giveBack(request)
      let message = "too much was not committed, or nobody led, for all of its time"
      context.answers.refuse(target, CallStatus(context.lateness, message), leader: leader)
    }
  }

  // MARK: Invariants

  /// What these calls count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    (
      arrived.calls.count + held.calls.count + awaited.count,
      awaited.reduce(arrived.callBytes + held.callBytes) { $0 + $1.bytes }
    )
  }

  func check(applied: LogIndex) {
    precondition(arrived.isEmpty, "commands that came before the turn are not proposed")
    for (one, next) in zip(awaited, awaited.dropFirst()) {
      precondition((one.id.index, one.id.term) < (next.id.index, next.id.term), "commands that wait out of order")
    }
    precondition(awaited.first.map { $0.id.index > applied } ?? true, "a command that is applied and not answered")
  }
}
