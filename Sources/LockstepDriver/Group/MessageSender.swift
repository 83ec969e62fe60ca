import LockstepConsensus

/// Hands the messages of one group's core to the links, and with them what belongs to them: entries, and what the driver
/// alone knows of this node.
struct MessageSender {
  let group: GroupID
  let context: NodeContext
  let tail: LogTail
  let lane: ApplyLane
  let stages: GroupStages
  let proposals: Proposals
  let wide: WideLevels
  /// How long the lead is kept for commands that wait for a level which nobody else knows to be reached.
  let patienceTicks: Int
  private var held: (message: Message, peer: NodeID, ticks: Int)?

  init(
    group: GroupID, context: NodeContext, tail: LogTail, lane: ApplyLane, stages: GroupStages, proposals: Proposals,
    wide: WideLevels, patienceTicks: Int
  ) {
    self.group = group
    self.context = context
    self.tail = tail
    self.lane = lane
    self.stages = stages
    self.proposals = proposals
    self.wide = wide
    self.patienceTicks = patienceTicks
  }

  private var areLevelsAwaited: Bool { wide.areWaiting || proposals.areWideAwaited }

  /// `transferee`: whom the lead is still being handed over to.
  mutating func tick(transferee: NodeID?) {
    guard let (message, peer, ticks) = held else { return }
    held = nil
    guard transferee == peer else { return }
    if areLevelsAwaited, ticks > 1 { return held = (message, peer, ticks - 1) }
    pass(message, to: peer)
  }

  private func pass(_ message: Message, to peer: NodeID) {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    _ = context.links.send(message, of: group, previousChain: 0, entries: nothing, to: peer)
  }

  mutating func send(_ message: Message, to peer: NodeID) {
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
    case .timeoutNow where areLevelsAwaited: held = (message, peer, patienceTicks)
    case .vote, .voteReply, .timeoutNow, .readIndex, .readIndexReply: pass(message, to: peer)
    }
  }
}
