import LockstepConsensus
import LockstepExecution
package import LockstepWire

// Batches: many requests of one command in one frame, taken in together and answered together. In between each is a
// command like any other.

/// A batch whose client waits, and what became of its requests so far.
final class PendingBatch {
  let sink: any ReplySink
  private let count: Int
  /// Over so many bytes of results, replies are left out: a frame that is too long could not be sent at all.
  private let replyBytes: Int
  private(set) var results = PackedResults()
  /// Of requests that were answered before one in front of them was.
  private var early: [Int: BatchResult] = [:]
  /// The reply, without results.
  private(set) var reply: BatchReply

  init(_ sink: any ReplySink, id: UInt64, count: Int, replyBytes: Int) {
    self.sink = sink
    self.count = count
    self.replyBytes = replyBytes
    reply = BatchReply(id: id)
    // Most replies are short, and those of one method much alike.
    results.reserve(min(16 * count, replyBytes))
  }

  var isComplete: Bool { results.count == count }

  /// What an answer says that is the same for all: the last entry's is right for those before it in the log.
  func note(node: UInt64, leader: UInt64, _ id: EntryID, holders: [UInt64]) {
    guard id.index.rawValue > reply.evidence?.index ?? 0 else { return }
    reply.node = node
    reply.leader = leader
    reply.ack = AckLevel.quorum.rawValue
    reply.evidence = CallReply.Evidence(term: id.term.rawValue, index: id.index.rawValue, holders: holders)
  }

  /// Who said that something failed, if nobody has applied anything.
  func note(node: UInt64, leader: UInt64) {
    guard reply.evidence == nil else { return }
    reply.node = node
    reply.leader = leader
  }

  func succeed(_ place: Int, _ id: EntryID, _ payload: [UInt8]) {
    guard place == results.count, results.bytes.count + payload.count <= replyBytes else {
      var result = BatchResult()
      (result.payload, result.index, result.term, result.applied) = (payload, id.index.rawValue, id.term.rawValue, .yes)
      add(place, result)
      return
    }
    results.succeed(payload, index: id.index.rawValue, term: id.term.rawValue)
    if !early.isEmpty { addEarly() }
  }

  /// A result is taken once, and stands in the reply where its request did.
  func add(_ place: Int, _ result: BatchResult) {
    guard place >= results.count, early[place] == nil else { return }
    early[place] = result
    addEarly()
  }

  private func addEarly() {
    while let result = early.removeValue(forKey: results.count) { results.append(bounded(result)) }
  }

  private func bounded(_ result: BatchResult) -> BatchResult {
    guard results.bytes.count + result.payload.count + result.message.utf8.count > replyBytes else { return result }
    var result = result
    if result.code == 0 {
      result.code = UInt32(Status.Code.resourceExhausted.rawValue)
      result.message = "carried out; the batch's replies have more than \(replyBytes) bytes, and this one is left out"
      result.payload = []
    } else {
      result.message = ""
    }
    return result
  }
}

extension Node {
  /// A batch as its client sent it; the bytes are borrowed. Throws when they are no batch.
  package func receiveBatch(_ bytes: UnsafeRawBufferPointer, sink: any ReplySink) throws(WireError) {
    guard failure == nil else { return }
    try codec.unpackBatch(bytes) { header, method, payloads in
      do throws(Status) { try takeIn(header, sink, method, payloads) } catch {
        refuse(batch: header.id, sink, error)
      }
    }
  }

  /// All of it or nothing: throws, and nothing has happened, when one of the requests cannot be taken in.
  private func takeIn(
    _ header: BatchHeader, _ sink: any ReplySink, _ method: UnsafeRawBufferPointer, _ payloads: BatchPayloads
  ) throws(Status) {
    guard let group = header.group == 0 ? groups.first : group(GroupID(header.group)) else {
      throw Status(.notFound, "this node has no group \(header.group)")
    }
    try checkSize(payloads)
    try check(method, payloads, group)
    if let status = refusal(ofAck: header.ack) { throw status }
    try checkRoom(payloads)
    let isLeading = group.replica.role == .leader
    if !isLeading { _ = try leaderToAsk(group) }
    let call = CallHeader(
      id: 0, group: header.group, timeoutMilliseconds: header.timeoutMilliseconds, ack: header.ack)
    let deadline = deadline(call)
    let batch = PendingBatch(sink, id: header.id, count: payloads.count, replyBytes: limits.batchReplyBytes)
    if isLeading {
      noteArrival(group)
      callsUnderWay += payloads.count
      callBytesUnderWay += payloads.count * method.count + payloads.bytes
      group.proposals.append(call, batch, deadline: deadline, method: method, payloads: payloads)
      return
    }
    for (place, payload) in payloads.enumerated() {
      let request = Call(method: method, request: payload)
      passOn(group, call, .batch(batch, place: place), deadline, request, isQuery: false)
    }
  }

  private func checkSize(_ payloads: BatchPayloads) throws(Status) {
    guard payloads.count > 0 else { throw Status(.invalidArgument, "a batch of no requests") }
    guard payloads.count <= limits.batchRequests else {
      throw Status(
        .resourceExhausted, "the batch has \(payloads.count) requests, the limit is \(limits.batchRequests)")
    }
    // The same as for one request, so that what a frame may be does not depend on what is in it.
    guard payloads.bytes <= limits.requestBytes else {
      throw Status(
        .resourceExhausted, "the batch's requests have \(payloads.bytes) bytes, the limit is \(limits.requestBytes)")
    }
  }

  private func check(
    _ method: UnsafeRawBufferPointer, _ payloads: BatchPayloads, _ group: Group
  ) throws(Status) {
    let machine = group.executor.machine
    guard let kind = machine.kind(ofMethod: method.bytes) else {
      throw Status(.unimplemented, "no service here has a method '\(Self.readable(method))'")
    }
    guard kind == .command else {
      throw Status(.invalidArgument, "'\(Self.readable(method))' is a query, and a batch is of commands")
    }
    var place = 0
    for payload in payloads {
      do throws(Status) { try machine.validate(Call(method: method, request: payload)) } catch {
        throw Status(error.code, "request \(place) of \(payloads.count), counted from 0: \(error.message)")
      }
      place += 1
    }
  }

  /// A batch counts as its requests: many in one frame take as much room as many frames do.
  private func checkRoom(_ payloads: BatchPayloads) throws(Status) {
    let underWay = callsUnderWay + forwards.count
    guard underWay + payloads.count <= limits.calls, callBytesUnderWay + payloads.bytes <= limits.callBytes else {
      let message = "this node has \(underWay) calls under way and takes no \(payloads.count) more"
      throw Status(.resourceExhausted, message)
    }
  }

  private func refuse(batch id: UInt64, _ sink: any ReplySink, _ status: Status) {
    var reply = BatchReply(id: id)
    reply.code = UInt32(status.code.rawValue)
    reply.message = status.message
    reply.node = configuration.id.rawValue
    reply.leader = groups.first?.leader?.rawValue ?? 0
    reply.applied = .no
    codec.pack(reply)
    deliver(.batchReply, to: sink)
  }

  // MARK: Answers

  /// The request's entry has been applied here.
  func answer(
    _ batch: PendingBatch, _ place: Int, _ id: EntryID, _ outcome: Replies.Reply?, leader: UInt64, holders: [UInt64]
  ) {
    batch.note(node: configuration.id.rawValue, leader: leader, id, holders: holders)
    switch outcome {
    case .success(let payload)?: batch.succeed(place, id, payload)
    case .failure(let status)?:
      var result = BatchResult()
      result.code = UInt32(status.code.rawValue)
      result.message = status.message
      (result.index, result.term, result.applied) = (id.index.rawValue, id.term.rawValue, .yes)
      batch.add(place, result)
    case nil: batch.succeed(place, id, [])
    }
    sendIfComplete(batch)
  }

  /// Any other answer: a failure, or what the leader said of a request that was passed on.
  func answer(_ batch: PendingBatch, _ place: Int, _ reply: CallReply) {
    var result = BatchResult()
    (result.code, result.message, result.payload) = (reply.code, reply.message, reply.payload)
    (result.index, result.term, result.applied) = (reply.index, reply.term, reply.applied)
    if reply.code == 0 || reply.applied == .yes {
      let id = EntryID(term: Term(reply.term), index: LogIndex(reply.index))
      if reply.index == 0 || reply.term == 0 {
        result = BatchResult()
        result.code = UInt32(Status.Code.internal.rawValue)
        result.message = "node \(reply.node) answered without an entry"
      } else {
        batch.note(node: reply.node, leader: reply.leader, id, holders: reply.evidence?.holders ?? [])
      }
    } else {
      batch.note(node: reply.node, leader: reply.leader)
    }
    batch.add(place, result)
    sendIfComplete(batch)
  }

  private func sendIfComplete(_ batch: PendingBatch) {
    guard batch.isComplete else { return }
    codec.pack(batch.reply, batch.results)
    deliver(.batchReply, to: batch.sink)
  }
}
