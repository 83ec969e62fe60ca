import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepRequests
import LockstepWire

// What is checked of each answer.

extension World {
  /// What an honest client makes of the answer to one of its calls.
  func judge(_ reply: CallReply, _ planned: PlannedCall, _ open: SimulatedClient.Open) -> CallOutcome {
    let index = LogIndex(reply.index)
    if planned.isQuery {
      guard reply.code == 0 else { return .refused }
      readsAnswered += 1
      let isOnLease = reply.read == Consistency.lease.number
      if isOnLease { leaseReads += 1 }
      if isOnLease || reply.read == Consistency.linearizable.number {
        books.check(
          .freshReads, index >= open.floor,
          "call \(planned.number) reads entry \(index), and entry \(open.floor) was known when it began")
        acknowledgedIndex = max(acknowledgedIndex, index)
      }
      if reply.read == Consistency.at(0).number {
        books.check(
          .readAtIndex, index.rawValue >= open.header.readIndex,
          "call \(planned.number) asks for entry \(open.header.readIndex) and reads entry \(index)")
      }
      if reply.read == Consistency.session.number, let seen = open.seen {
        books.check(
          .sessionRead, index >= seen.index,
          "call \(planned.number) has seen entry \(seen.index) and reads entry \(index)")
      }
      judgeAge(reply, planned, open)
      // "falls back to the round": the reply says what it was answered at.
      let isFallenBack =
        open.header.read == Consistency.lease.number && reply.read == Consistency.linearizable.number
      if reply.read != open.header.read, !isFallenBack {
        books.fail(
          .honestAnswer, "call \(planned.number) asks for read level \(open.header.read) and gets \(reply.read)")
      }
      let time = books.replay.outcomes[index]?.time ?? 0
      if let problem = workload.judge(planned, at: index, time: time, answer: reply.payload) {
        books.fail(.honestAnswer, "call \(planned.number), answered by node \(reply.node): \(problem)")
      }
      return .answered(reply.payload)
    }
    switch reply.applied {
    case .no:
      // Of one in a session this is said of this sending alone, unless an entry says it.
      if planned.session == 0 || reply.index > 0 { books.isDenied(planned.number) }
      return .refused
    case .unknown:
      if reply.code == 0 { books.isStored(reply, planned.number, asked: level(of: open)) }
      return .unknown
    case .yes:
      acknowledged += 1
      let isWithheld = isShortOfItsLevel(reply, open)
      books.haveApplied(reply, planned.number)
      if reply.code == 0 { books.isMet(level(of: open), atLeast: leastVoters(of: open), reply, planned.number) }
      // A batch's reply has room for so much, and a connection that is not read for little that is long: what is left
      // out was carried out all the same.
      let isLeftOut = isLeftOut(reply)
      // One that another node passes on counts with all that stands beside it.
      let least = open.isBatch ? 0 : options.driver.longReplyBytes - 256
      books.isAcknowledged(
        reply, planned, leftOutFrom: isLeftOut ? least : nil, isWithheld: isWithheld)
      books.check(
        .freshReads, index > open.floor,
        "call \(planned.number) becomes entry \(index), after entry \(open.floor) was known")
      acknowledgedIndex = max(acknowledgedIndex, index)
      return reply.code == 0 ? .answered(reply.payload) : isLeftOut || isWithheld ? .unknown : .refused
    }
  }

  /// How old a state may be that somebody has asked for, and how old it is said to be, at most: all of it by clocks that
  /// run as clocks do.
  private func judgeAge(_ reply: CallReply, _ planned: PlannedCall, _ open: SimulatedClient.Open) {
    guard areClocksGood else { return }
    func isFresh(_ age: UInt64) -> Bool {
      // It was answered after it was asked.
      LogIndex(reply.index) >= knownIndex(at: open.began - min(open.began, age))
    }
    if reply.read == Consistency.bounded(.zero).number {
      let bound = open.header.readBoundMilliseconds * 1_000_000
      books.check(
        .boundedRead, isFresh(bound) && reply.ageMicroseconds > 0 && (reply.ageMicroseconds - 1) * 1000 <= bound,
        "call \(planned.number) asks for a state that is \(bound / 1_000_000) ms old, and reads entry \(reply.index), of \(reply.ageMicroseconds) µs"
      )
    }
    if reply.ageMicroseconds > 0 {
      books.check(
        .boundedRead, isFresh(reply.ageMicroseconds * 1000),
        "call \(planned.number) reads entry \(reply.index), which is said to be \(reply.ageMicroseconds) µs old, at most"
      )
    }
  }

  /// The largest index that anybody had been told of by then.
  private func knownIndex(at time: UInt64) -> LogIndex {
    var (low, high) = (0, known.count)
    while low < high {
      let middle = (low + high) / 2
      if known[middle].time <= time { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? .zero : known[low - 1].index
  }

  /// That the nodes are to answer at.
  private func level(of open: SimulatedClient.Open) -> Acknowledgement {
    let asked = Acknowledgement(number: open.header.ack, voters: open.header.voters) ?? .quorum
    return asked.raised(to: options.driver.minimumAcknowledgement)
  }

  /// A number is a number, whatever else is asked for.
  private func leastVoters(of open: SimulatedClient.Open) -> Int {
    let asked = Acknowledgement(number: open.header.ack, voters: open.header.voters) ?? .quorum
    return max(asked.leastVoters, options.driver.minimumAcknowledgement.leastVoters)
  }

  /// The command was carried out, and what more was asked for was not reached in time, or is not known any more.
  private func isShortOfItsLevel(_ reply: CallReply, _ open: SimulatedClient.Open) -> Bool {
    let codes = [CallStatus.Code.deadlineExceeded, .unavailable]
    return level(of: open).isWide && codes.contains { $0.rawValue == reply.code }
  }
}

extension Books {
  func isIssued(_ number: UInt64) { changeReplay { $0.isSent(number) } }

  func isDenied(_ number: UInt64) {
    if let problem = changeReplay({ $0.isDenied(number) }) { fail(problem.invariant, problem.message) }
  }

  /// An answer that says "carried out": it must be what a replay answers, at that place, or be left out if that is at
  /// least so long.
  func isAcknowledged(_ reply: CallReply, _ planned: PlannedCall, leftOutFrom: Int?, isWithheld: Bool) {
    let (index, number) = (LogIndex(reply.index), planned.number)
    guard let outcome = replay.outcomes[index], outcome.term.rawValue == reply.term else {
      fail(
        .honestAnswer,
        "command \(number) is acknowledged as entry \(reply.index) of term \(reply.term), which is not committed")
      return
    }
    // One in a session is as many entries as it was sent.
    if planned.session == 0, let known = replay.places[number], known.rawValue != reply.index {
      fail(.honestAnswer, "command \(number) is acknowledged as entry \(reply.index), and is entry \(known)")
    }
    let isSame =
      switch outcome.reply {
      case .success(let payload)?:
        if let leftOutFrom { payload.count >= leftOutFrom } else { reply.code == 0 && reply.payload == payload }
      case .failure(let status)?: Int(reply.code) == status.code.rawValue
      case nil: false
      }
    check(
      .honestAnswer, isSame || isWithheld,
      "command \(number), entry \(reply.index), is answered otherwise than a replay does")
    let holders = reply.evidence?.holders ?? []
    // One that leads anew has not heard yet who holds what it appended in an earlier term. Its answer may come when it has
    // ended.
    func hasLedAnew() -> Bool {
      leaders.contains { $0.key.rawValue > reply.term && $0.value == Int(reply.node) - 1 }
    }
    check(
      .honestAnswer,
      holders.count >= leastQuorum || reply.node != reply.leader || hasLedAnew() || isWithheld
        // Of a batch of which the last are not carried out yet.
        || reply.ack == Acknowledgement.leader.number,
      "command \(number) is acknowledged by its leader with the evidence of \(holders.count) of \(nodes.count) nodes")
    for holder in holders {
      let place = Int(clamping: holder) - 1
      check(
        .honestAnswer, unreliable[place] || holds(place, index),
        "command \(number) is acknowledged with the word of node \(holder), which does not have it")
    }
  }

  /// An answer that says "stored by the leader": it was, and nothing more is asked for.
  func isStored(_ reply: CallReply, _ number: UInt64, asked level: Acknowledgement) {
    let id = EntryID(term: Term(reply.term), index: LogIndex(reply.index))
    check(
      .levelIsMet, level == .leader && reply.ack == Acknowledgement.leader.number && reply.payload.isEmpty,
      "command \(number) asks for level \(level.name), and is answered at level number \(reply.ack) before it is applied"
    )
    check(
      .levelIsMet, onceStored[Int(clamping: reply.node) - 1].contains(id),
      "command \(number) is acknowledged as entry \(id.index) of term \(id.term), which node \(reply.node) did not have on its disk"
    )
    check(
      .honestAnswer, isCommand(number, at: id),
      "command \(number) is acknowledged as entry \(id.index) of term \(id.term), which is another command")
  }

  /// Those that an answer says to have applied have, also where that was not enough.
  func haveApplied(_ reply: CallReply, _ number: UInt64) {
    for node in reply.evidence?.appliedBy ?? [] {
      check(
        .levelIsMet, nodes[Int(clamping: node) - 1].mostApplied >= LogIndex(reply.index),
        "command \(number) is answered as applied by node \(node), which has not applied entry \(reply.index)")
    }
  }

  /// An answer that says "carried out" rests on as much as was asked for. That the nodes that it names have it,
  /// `isAcknowledged` checks.
  func isMet(_ level: Acknowledgement, atLeast least: Int, _ reply: CallReply, _ number: UInt64) {
    let index = LogIndex(reply.index)
    let (holders, appliedBy) = (reply.evidence?.holders ?? [], reply.evidence?.appliedBy ?? [])
    // Who votes may change between the answer and its arrival, as nodes come back with other disks.
    let voters = nodes.allSatisfy { $0.formerDisks.isEmpty } ? nodes.count : leastQuorum
    let isMet =
      switch level {
      case .leader, .quorum: true
      case .voters(let count): holders.count >= count
      case .all: holders.count >= voters
      case .applied: holders.count >= voters && appliedBy.count >= voters
      }
    check(
      .levelIsMet, holders.count >= least,
      "command \(number) asks for \(least) voters, and is answered with \(holders) holding entry \(index)")
    // What was asked of a former leader, and carried out after it led again, is known to be committed and no more.
    let reached = level == .leader ? [Acknowledgement.leader, .quorum] : [level]
    check(
      .levelIsMet, isMet && reached.contains { $0.number == reply.ack },
      "command \(number) asks for level \(level.name), and is answered at level number \(reply.ack) with \(holders) holding and \(appliedBy) having applied entry \(index)"
    )
  }

  /// As far as the commands of this workload carry numbers.
  private func isCommand(_ number: UInt64, at id: EntryID) -> Bool {
    guard let bytes = seenBytes(of: id) else { return false }
    return replay.number(of: bytes).map { $0 == number } ?? true
  }
}
