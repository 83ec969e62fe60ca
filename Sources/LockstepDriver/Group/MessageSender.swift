import LockstepConsensus

/// Hands the messages of one group's core to the links, and with them what belongs to them: entries, and what the driver
/// alone knows of this node.
struct MessageSender {
  let group: GroupID
  let context: NodeContext
  let tail: LogTail
  let lane: ApplyLane
  let stages: GroupStages

  func send(_ message: Message, to peer: NodeID) {
    context.stages.isSending()
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    // What a link drops, the protocol sends again.
    switch message {
    case .append(let request) where !request.entries.isEmpty:
      tail.withEntries(request.entries) { bytes, chain in
        _ = context.links.send(message, of: group, previousChain: chain, entries: bytes, to: peer)
        stages.isSent(request.entries, to: peer)
      }
    case .append(let request):
      let chain = tail.chain(at: request.previous.index) ?? 0
      _ = context.links.send(message, of: group, previousChain: chain, entries: nothing, to: peer)
    case .appendReply(var reply):
      if !lane.isCaughtUp { reply.isReplaying = true }
      reply.applied = lane.applied
      _ = context.links.send(.appendReply(reply), of: group, previousChain: 0, entries: nothing, to: peer)
    case .vote, .voteReply, .timeoutNow, .readIndex, .readIndexReply:
      _ = context.links.send(message, of: group, previousChain: 0, entries: nothing, to: peer)
    }
  }
}
