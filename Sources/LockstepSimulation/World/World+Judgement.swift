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
      if reply.read == Consistency.linearizable.number {
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
      if reply.read != open.header.read {
        books.fail(
          .honestAnswer, "call \(planned.number) asks for read level \(open.header.read) and gets \(reply.read)")
      }
      if let problem = workload.judge(planned, at: index, answer: reply.payload) {
        books.fail(.honestAnswer, "call \(planned.number), answered by node \(reply.node): \(problem)")
      }
      return .answered(reply.payload)
    }
    switch reply.applied {
    case .no:
      books.isDenied(planned.number)
      return .refused
    case .unknown: return .unknown
    case .yes:
      acknowledged += 1
      // A batch's reply has room for so much, and a connection that is not read for little that is long: what is left
      // out was carried out all the same.
      let isLeftOut = isLeftOut(reply)
      // One that another node passes on counts with all that stands beside it.
      let least = open.isBatch ? 0 : options.driver.longReplyBytes - 256
      books.isAcknowledged(reply, planned.number, leftOutFrom: isLeftOut ? least : nil)
      books.check(
        .freshReads, index > open.floor,
        "call \(planned.number) becomes entry \(index), after entry \(open.floor) was known")
      acknowledgedIndex = max(acknowledgedIndex, index)
      return reply.code == 0 ? .answered(reply.payload) : isLeftOut ? .unknown : .refused
    }
  }
}

extension Books {
  func isIssued(_ number: UInt64) { changeReplay { $0.isSent(number) } }

  func isDenied(_ number: UInt64) {
    if let problem = changeReplay({ $0.isDenied(number) }) { fail(problem.invariant, problem.message) }
  }

  /// An answer that says "carried out": it must be what a replay answers, at that place, or be left out if that is at
  /// least so long.
  func isAcknowledged(_ reply: CallReply, _ number: UInt64, leftOutFrom: Int?) {
    let index = LogIndex(reply.index)
    guard let outcome = replay.outcomes[index], outcome.term.rawValue == reply.term else {
      fail(
        .honestAnswer,
        "command \(number) is acknowledged as entry \(reply.index) of term \(reply.term), which is not committed")
      return
    }
    if let known = replay.places[number], known.rawValue != reply.index {
      fail(.honestAnswer, "command \(number) is acknowledged as entry \(reply.index), and is entry \(known)")
    }
    let isSame =
      switch outcome.reply {
      case .success(let payload)?:
        if let leftOutFrom { payload.count >= leftOutFrom } else { reply.code == 0 && reply.payload == payload }
      case .failure(let status)?: Int(reply.code) == status.code.rawValue
      case nil: false
      }
    check(.honestAnswer, isSame, "command \(number), entry \(reply.index), is answered otherwise than a replay does")
    let holders = reply.evidence?.holders ?? []
    // One that leads anew has not heard yet who holds what it appended in an earlier term. Its answer may come when it has
    // ended.
    func hasLedAnew() -> Bool {
      leaders.contains { $0.key.rawValue > reply.term && $0.value == Int(reply.node) - 1 }
    }
    check(
      .honestAnswer, holders.count >= leastQuorum || reply.node != reply.leader || hasLedAnew(),
      "command \(number) is acknowledged by its leader with the evidence of \(holders.count) of \(nodes.count) nodes")
    for holder in holders {
      let place = Int(clamping: holder) - 1
      check(
        .honestAnswer, unreliable[place] || holds(place, index),
        "command \(number) is acknowledged with the word of node \(holder), which does not have it")
    }
  }
}
