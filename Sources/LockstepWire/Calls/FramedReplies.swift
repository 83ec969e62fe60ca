package import LockstepConsensus
package import LockstepRequests

/// Where frames with replies go: a client's connection, or the link to the node that has passed calls on.
package protocol ReplyChannel: AnyObject {
  /// See `ReplyWriter`.
  var hasRoom: Bool { get }
  var maximumReplyBytes: Int { get }
  /// Hands over one frame of a reply, or of what a stream gives, in two parts, borrowed.
  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer)
  func flush()
}

/// What the replies to batches may take, in bytes.
package struct BatchReplyLimits: Sendable {
  /// Over so many bytes of results a reply's further ones are left out: a frame that is too long could not be sent at all.
  package var resultBytes = 3 * 1024 * 1024
  /// With so much collected for one client, long replies are left out, as if so much waited to be read.
  package var roomBytes = 4 * 1024 * 1024

  package init() {}
}

/// Writes replies as CallReply and BatchReply messages: to a client as they are, or, to a node, inside a ForwardReply. A
/// message is packed without its id, which is put in front of it, so that who passes it on need not look into it.
package final class FramedReplies: ReplyWriter {
  package enum Form: Sendable {
    case client
    case forwarded
  }

  /// Longer answers that the leader has given are left out too, where much waits to be read.
  static let longBytes = 4 * 1024

  package var isFlushDue = false
  private let channel: any ReplyChannel
  private let codec: Codec
  private let form: Form
  fileprivate let limits: BatchReplyLimits
  /// Bytes of results that wait in batches for the rest of their batch.
  fileprivate var collectedBytes = 0

  package init(_ channel: any ReplyChannel, codec: Codec, form: Form, limits: BatchReplyLimits = BatchReplyLimits()) {
    self.channel = channel
    self.codec = codec
    self.form = form
    self.limits = limits
  }

  package var hasRoom: Bool { channel.hasRoom && collectedBytes <= limits.roomBytes }
  package var maximumReplyBytes: Int { channel.maximumReplyBytes }

  package func write(_ outcome: Outcome, position: Int, of call: UInt64, _ evidence: Evidence) {
    codec.pack(outcome, evidence)
    sendPacked(.callReply, to: call)
  }

  package func refuse(_ call: UInt64, _ outcome: Outcome, _ evidence: Evidence) {
    codec.pack(outcome, evidence)
    sendPacked(.callReply, to: call)
  }

  package func pass(_ answer: UnsafeRawBufferPointer, to call: UInt64) {
    guard answer.count > Self.longBytes, !hasRoom, let reply = try? codec.unpackReply(answer) else {
      send(.callReply, answer, to: call)
      return
    }
    codec.pack(reply.withoutItsPayload)
    sendPacked(.callReply, to: call)
  }

  package func flush() { channel.flush() }

  /// A call that asks for what is not known here: no node has seen it.
  func refuse(atOnce call: UInt64, _ status: CallStatus) {
    refuse(call, .refusal(status), Evidence(node: NodeID(0), leader: nil))
    flush()
  }

  /// Where the answers to a batch of so many requests go.
  func batch(of count: Int) -> BatchReplies { BatchReplies(self, count: count) }

  fileprivate func send(_ reply: BatchReply, _ results: PackedResults, to call: UInt64) {
    codec.pack(reply, results)
    sendPacked(.batchReply, to: call)
  }

  fileprivate func pass(batch answer: UnsafeRawBufferPointer, to call: UInt64) {
    guard answer.count > Self.longBytes, !hasRoom, var reply = try? codec.unpackBatchReply(answer) else {
      send(.batchReply, answer, to: call)
      return
    }
    reply.id = 0
    reply.results = reply.results.map { $0.payload.count > 64 ? $0.withoutItsPayload : $0 }
    codec.pack(reply)
    sendPacked(.batchReply, to: call)
  }

  private func sendPacked(_ kind: FrameKind, to call: UInt64) {
    codec.packed.withUnsafeBytes { send(kind, $0, to: call) }
  }

  fileprivate func send(_ kind: FrameKind, _ message: UnsafeRawBufferPointer, to call: UInt64) {
    switch form {
    case .client:
      withUnsafeTemporaryAllocation(byteCount: WireWriter.numberBytes, alignment: 1) { room in
        var writer = WireWriter(room.baseAddress.unsafelyUnwrapped)
        writer.number(1, call)
        channel.send(kind, header: UnsafeRawBufferPointer(start: room.baseAddress, count: writer.count), body: message)
      }
    case .forwarded:
      Codec.withHead(replyTo: call, message, isBatch: kind == .batchReply) {
        channel.send(.forwardReply, header: $0, body: message)
      }
    }
  }
}

extension FramedReplies: StreamWriter {
  package func end(_ stream: UInt64, _ outcome: Outcome, _ evidence: Evidence) {
    codec.pack(outcome, evidence)
    sendPacked(.streamEnd, to: stream)
  }

  /// No node has seen it.
  package func refuse(stream: UInt64, _ status: CallStatus) {
    end(stream, .refusal(status), Evidence(node: NodeID(0), leader: nil))
    flush()
  }

  package func write(_ items: [StreamItem], of stream: UInt64, next: LogIndex?, from node: NodeID) {
    codec.pack(StreamItems(id: stream, items: items, next: next, node: node.rawValue))
    codec.packed.withUnsafeBytes {
      channel.send(.streamItems, header: UnsafeRawBufferPointer(start: nil, count: 0), body: $0)
    }
  }
}

/// Collects what became of the requests of one batch, and sends it as one reply when it is complete.
package final class BatchReplies: ReplyWriter {
  package var isFlushDue = false
  private let replies: FramedReplies
  private let count: Int
  private var resultBytes: Int { replies.limits.resultBytes }
  private var results = PackedResults()
  /// Of requests that were answered before one in front of them was.
  private var early: [Int: BatchResult] = [:]
  /// The reply, without results.
  private var reply = BatchReply(id: 0)
  /// Of those that were acknowledged so far, all of them; nil: none was, unless it fell short of what was asked for.
  private var level: Acknowledgement?
  /// Voters that some of them still needed.
  private var missing: [UInt64] = []
  /// What of `collectedBytes` is this batch's.
  private var collected = 0

  init(_ replies: FramedReplies, count: Int) {
    self.replies = replies
    self.count = count
    // Most replies are short, and those of one method much alike.
    results.reserve(min(16 * count, resultBytes))
  }

  deinit { replies.collectedBytes -= collected }

  package var hasRoom: Bool { replies.hasRoom }
  package var maximumReplyBytes: Int { replies.maximumReplyBytes }

  package func write(_ outcome: Outcome, position: Int, of call: UInt64, _ evidence: Evidence) {
    note(outcome, evidence)
    let before = results.bytes.count
    if case .reply(let payload) = outcome.answer, position == results.count, outcome.term > .zero,
      results.bytes.count + payload.count <= resultBytes
    {
      results.succeed(payload, index: outcome.index.rawValue, term: outcome.term.rawValue)
      if !early.isEmpty { addEarly() }
    } else if position >= results.count, early[position] == nil {
      // A result is taken once, and stands in the reply where its request did.
      early[position] = BatchResult(outcome)
      addEarly()
    }
    collected += results.bytes.count - before
    replies.collectedBytes += results.bytes.count - before
    guard results.count == count else { return }
    replies.collectedBytes -= collected
    collected = 0
    replies.send(reply, results, to: call)
  }

  package func refuse(_ call: UInt64, _ outcome: Outcome, _ evidence: Evidence) {
    var refusal = BatchReply(id: 0)
    if case .failure(let status) = outcome.answer {
      (refusal.code, refusal.message) = (UInt32(status.code.rawValue), status.message)
    }
    (refusal.node, refusal.leader) = (evidence.node.rawValue, evidence.leader?.rawValue ?? 0)
    refusal.applied = outcome.applied
    replies.send(refusal, PackedResults(), to: call)
  }

  package func pass(_ answer: UnsafeRawBufferPointer, to call: UInt64) { replies.pass(batch: answer, to: call) }

  package func flush() { replies.flush() }

  func refuse(atOnce call: UInt64, _ status: CallStatus) {
    refuse(call, .refusal(status), Evidence(node: NodeID(0), leader: nil))
    flush()
  }

  /// What is said once for all: the last applied entry's evidence is right for those before it in the log; without one,
  /// who said that something failed. Those that fell short of their level are told by the failure of each: they say
  /// nothing of the others, but who was missing.
  private func note(_ outcome: Outcome, _ evidence: Evidence) {
    if let level = evidence.acknowledgement {
      for node in evidence.missing where !missing.contains(node.rawValue) { missing.append(node.rawValue) }
      missing.sort()
      defer { reply.evidence?.missing = missing }
      // Nor does one that was refused where it would have been carried out, which waited for no level.
      if evidence.isShort || outcome.applied == .no {
        guard self.level == nil else { return }
      } else {
        if self.level == nil { reply.evidence = nil }
        // Where the lead was lost meanwhile, they are not all answered at one level.
        self.level = self.level?.lowered(to: level) ?? level
      }
      reply.ack = (self.level ?? level).number
      guard outcome.index.rawValue > reply.evidence?.index ?? 0 else { return }
      reply.evidence = CallReply.Evidence(outcome, evidence)
    } else {
      guard reply.evidence == nil else { return }
    }
    reply.node = evidence.node.rawValue
    reply.leader = evidence.leader?.rawValue ?? 0
  }

  private func addEarly() {
    while let result = early.removeValue(forKey: results.count) { results.append(bounded(result)) }
  }

  private func bounded(_ result: BatchResult) -> BatchResult {
    guard results.bytes.count + result.payload.count + result.message.utf8.count > resultBytes else {
      return result
    }
    var result = result
    if result.code == 0 {
      result.code = UInt32(CallStatus.Code.resourceExhausted.rawValue)
      result.message =
        "carried out; the batch's replies have more than \(resultBytes) bytes, and this one is left out"
      result.payload = []
    } else {
      result.message = ""
    }
    return result
  }
}

extension CallReply.Evidence {
  init(_ outcome: Outcome, _ evidence: Evidence) {
    self.init(
      term: outcome.term.rawValue, index: outcome.index.rawValue, holders: evidence.holders.map(\.rawValue),
      appliedBy: evidence.appliedBy.map(\.rawValue), missing: evidence.missing.map(\.rawValue))
  }
}

extension BatchResult {
  init(_ outcome: Outcome) {
    self.init()
    switch outcome.answer {
    case .reply(let payload): self.payload = payload
    case .failure(let status): (code, message) = (UInt32(status.code.rawValue), status.message)
    }
    (index, term, applied) = (outcome.index.rawValue, outcome.term.rawValue, outcome.applied)
  }
}

extension CallReply {
  /// The same, said without the reply that its client has no room for.
  fileprivate var withoutItsPayload: CallReply {
    guard code == 0 else { return self }
    var reply = self
    reply.id = 0
    reply.code = UInt32(CallStatus.Code.resourceExhausted.rawValue)
    reply.message = leftOut(payload.count)
    reply.payload = []
    return reply
  }
}

extension BatchResult {
  fileprivate var withoutItsPayload: BatchResult {
    guard code == 0 else { return self }
    var result = self
    result.code = UInt32(CallStatus.Code.resourceExhausted.rawValue)
    result.message = leftOut(payload.count)
    result.payload = []
    return result
  }
}

/// Only commands are passed on: what has a reply was carried out.
private func leftOut(_ bytes: Int) -> String {
  "carried out; the reply has \(bytes) bytes, and earlier answers still wait to be read: it is left out"
}
