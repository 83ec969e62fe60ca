package import LockstepConsensus
package import LockstepRequests

/// What listeners and links hand to a node, decoded.
package protocol NodeInput: AnyObject {
  /// A call; its answer goes to the writer, under this id. The request is borrowed.
  func take(_ request: Request, id: UInt64, replyTo writer: any ReplyWriter)
  /// A message of the core, from a peer whose identity has been checked. Throws when it is none for this node.
  func receive(_ received: ReceivedMessage, from peer: NodeID) throws(WireError)
  /// The answer to a call that was passed on to this peer, borrowed.
  func receive(answer: UnsafeRawBufferPointer, isBatch: Bool, to id: UInt64, from peer: NodeID)
}

extension Codec {
  /// A frame from a client: a call or a batch, or false for anything else. Throws when it is not what a client says;
  /// then nothing has changed.
  package func deliver(
    _ kind: FrameKind, _ bytes: UnsafeRawBufferPointer, replies: FramedReplies, to node: some NodeInput
  ) throws(WireError) -> Bool {
    switch kind {
    case .call: try deliver(call: bytes, id: nil, timeoutMilliseconds: 0, replies, node)
    case .batch: try deliver(batch: bytes, id: nil, timeoutMilliseconds: 0, replies, node)
    default: return false
    }
    return true
  }

  /// A frame from a peer whose identity has been checked; `replies` are those to the calls that it passes on. Throws
  /// when it is not what a node says: the link is to be closed, nothing has changed.
  package func deliver(
    _ kind: FrameKind, _ bytes: UnsafeRawBufferPointer, from peer: NodeID, replies: FramedReplies,
    to node: some NodeInput
  ) throws(WireError) {
    switch kind {
    case .forward:
      let forward = try unpackForward(bytes)
      if forward.isBatch {
        try deliver(
          batch: forward.call, id: forward.id, timeoutMilliseconds: forward.timeoutMilliseconds, replies, node)
      } else {
        try deliver(
          call: forward.call, id: forward.id, timeoutMilliseconds: forward.timeoutMilliseconds, replies, node)
      }
    case .forwardReply:
      let answer = try unpackForwardReply(bytes)
      node.receive(answer: answer.reply, isBatch: answer.isBatch, to: answer.id, from: peer)
    default:
      guard let received = try unpackMessage(kind, bytes) else {
        throw WireError("a frame of kind \(kind.rawValue), which is not for this port")
      }
      try node.receive(received, from: peer)
    }
  }

  /// `id`: of the call that a peer passes on, in place of its own.
  private func deliver(
    call bytes: UnsafeRawBufferPointer, id forward: UInt64?, timeoutMilliseconds: UInt64, _ replies: FramedReplies,
    _ node: some NodeInput
  ) throws(WireError) {
    try unpackCall(bytes) { header, method, payload in
      let id = forward ?? header.id
      do throws(CallStatus) {
        var options = try header.options()
        options.isForwarded = forward != nil
        if timeoutMilliseconds > 0 { options.timeoutMilliseconds = timeoutMilliseconds }
        node.take(
          Request(
            group: GroupID(header.group), method: method, payloads: .one(payload), options: options, encoded: bytes,
            token: header.token.isEmpty ? nil : try Codec.token(header.token)),
          id: id, replyTo: replies)
      } catch {
        replies.refuse(atOnce: id, error)
      }
    }
  }

  private func deliver(
    batch bytes: UnsafeRawBufferPointer, id forward: UInt64?, timeoutMilliseconds: UInt64, _ replies: FramedReplies,
    _ node: some NodeInput
  ) throws(WireError) {
    try unpackBatch(bytes) { header, method, payloads in
      let writer = replies.batch(of: payloads.count)
      let id = forward ?? header.id
      do throws(CallStatus) {
        var options = try header.options()
        options.isForwarded = forward != nil
        if timeoutMilliseconds > 0 { options.timeoutMilliseconds = timeoutMilliseconds }
        node.take(
          Request(
            group: GroupID(header.group), method: method, payloads: .batch(in: bytes, payloads), options: options,
            encoded: bytes),
          id: id, replyTo: writer)
      } catch {
        writer.refuse(atOnce: id, error)
      }
    }
  }
}
