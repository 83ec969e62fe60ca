import LockstepConsensus
import LockstepRequests

/// The way out for what calls have come to: bounds what a reply may be, and remembers who is to be flushed.
final class Answers {
  private let node: NodeID
  private let limits: DriverLimits
  /// Each once: those whose `isFlushDue` is set.
  private var dirty: [any ReplyWriter] = []

  init(node: NodeID, limits: DriverLimits) {
    self.node = node
    self.limits = limits
  }

  var areDue: Bool { !dirty.isEmpty }

  func write(_ outcome: Outcome, to target: ReplyTarget, _ evidence: Evidence) {
    let writer = target.writer
    if outcome.bytes > limits.longReplyBytes {
      writer.write(bounded(outcome, writer), position: target.position, of: target.call, evidence)
    } else {
      writer.write(outcome, position: target.position, of: target.call, evidence)
    }
    mark(writer)
  }

  /// The request has come to nothing; what is known of its effect stands in the outcome.
  func fail(_ target: ReplyTarget, _ status: CallStatus, applied: Applied = .no, leader: NodeID?) {
    write(Outcome(.failure(status), applied: applied), to: target, Evidence(node: node, leader: leader))
  }

  /// The whole call has come to nothing.
  func refuse(_ target: ReplyTarget, _ status: CallStatus, applied: Applied = .no, leader: NodeID?) {
    target.writer.refuse(
      target.call, Outcome(.failure(status), applied: applied), Evidence(node: node, leader: leader))
    mark(target.writer)
  }

  /// What a stream gives.
  func write(_ items: [StreamItem], of stream: UInt64, to writer: any StreamWriter, next: LogIndex?) {
    writer.write(items, of: stream, next: next, from: node)
    mark(writer)
  }

  /// A stream is over; it could go on at `index`.
  func end(_ stream: UInt64, _ writer: any StreamWriter, _ status: CallStatus, at index: LogIndex, leader: NodeID?) {
    let outcome = Outcome(.failure(status), applied: .no, index: index)
    writer.end(stream, outcome, Evidence(node: node, leader: leader))
    mark(writer)
  }

  /// What the leader has answered goes to the client as it came.
  func pass(_ answer: UnsafeRawBufferPointer, to target: ReplyTarget) {
    target.writer.pass(answer, to: target.call)
    mark(target.writer)
  }

  func flush() {
    for writer in dirty {
      writer.isFlushDue = false
      writer.flush()
    }
    dirty.removeAll(keepingCapacity: true)
  }

  private func mark(_ writer: any ReplyWriter) {
    guard !writer.isFlushDue else { return }
    writer.isFlushDue = true
    dirty.append(writer)
  }

  /// What can be told to nobody, or is long while much waits to be read already, is left out, and said to be: it would
  /// end the connection for all other calls.
  private func bounded(_ outcome: Outcome, _ writer: any ReplyWriter) -> Outcome {
    var outcome = outcome
    switch outcome.answer {
    case .reply(let payload):
      let hasRoom = writer.hasRoom
      guard payload.count > writer.maximumReplyBytes || !hasRoom else { return outcome }
      let reason =
        hasRoom ? "more than \(writer.maximumReplyBytes)" : "and earlier answers still wait to be read"
      let carriedOut = outcome.applied == .yes ? "carried out; " : ""
      let message = "\(carriedOut)the reply has \(payload.count) bytes, \(reason): it is left out"
      outcome.answer = .failure(CallStatus(.resourceExhausted, message))
      if outcome.applied != .yes { outcome.applied = .no }
    case .failure(let status):
      outcome.answer = .failure(
        CallStatus(status.code, String(decoding: status.message.utf8.prefix(1024), as: UTF8.self)))
    }
    return outcome
  }
}
