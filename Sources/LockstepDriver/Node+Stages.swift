import LockstepConsensus
import LockstepStorage
import LockstepWire

// Where a command's time goes: a few readings of the clock a turn. Nothing here changes what the node does.

extension Node {
  /// A command is about to be taken in.
  func noteArrival(_ group: Group) {
    guard group.proposals.isEmpty else { return }
    group.probes.arrival = clock()
  }

  /// The commands that wait become entries now, up to `last`.
  @inline(never)
  func noteProposed(_ group: Group, through last: LogIndex, commands: Int) {
    let now = clock()
    if let arrival = group.probes.arrival { stages.queue.record(from: arrival, to: now, commands: commands) }
    group.probes.arrival = nil
    group.probes.proposed = StageProbes.Probe(last: last, commands: commands, start: now)
    stages.isHandingOver = true
    stages.batches &+= 1
  }

  /// The links have been flushed: what was proposed and sent has left this node.
  @inline(__always)
  func noteHandedOver() {
    if stages.isHandingOver { handOver() }
  }

  private func handOver() {
    stages.isHandingOver = false
    let now = clock()
    for group in groups {
      group.probes.leave(at: now)
      guard let proposed = group.probes.proposed else { continue }
      group.probes.proposed = nil
      stages.append.record(from: proposed.start, to: now, commands: proposed.commands)
      guard group.probes.quorum == nil else { continue }
      group.probes.quorum = StageProbes.Probe(last: proposed.last, commands: proposed.commands, start: now)
    }
  }

  func noteSent(_ group: Group, _ slice: LogSlice, to peer: NodeID) {
    group.probes.send(slice, to: peer)
    stages.isHandingOver = true
  }

  /// Returns how many bytes of entries these are.
  func noteWriting(_ writes: [LogWrite]) -> Int {
    var (entries, bytes) = (0, 0)
    for write in writes {
      entries += write.count
      bytes += write.byteCount
    }
    stages.writing = (clock(), entries, bytes)
    return bytes
  }

  func noteDurable(_ result: DiskResult) {
    guard let writing = stages.writing else { return }
    stages.writing = nil
    stages.sync.record(from: writing.start, to: clock(), commands: writing.entries)
    if let worked = result.nanoseconds { stages.disk.record(worked, commands: writing.entries) }
    stages.syncs &+= 1
    stages.entries &+= UInt64(writing.entries)
    stages.bytes &+= UInt64(writing.bytes)
  }

  func noteAcknowledged(_ group: Group, _ reply: AppendReply, by peer: NodeID) {
    guard case .accepted(let match) = reply.verdict, reply.term == group.term,
      let sent = group.probes.acknowledge(match, by: peer)
    else { return }
    stages.replicated(to: peer, from: sent.start, to: clock(), commands: sent.commands)
  }

  /// What was on its way to this peer is lost, and how long it will have taken says nothing.
  func noteLinkLost(to peer: NodeID) {
    for group in groups { group.probes.lose(peer) }
  }

  @inline(never)
  func noteRoleChanged(_ group: Group) { group.probes.forget() }

  @inline(never)
  func noteCommitted(_ group: Group, _ index: LogIndex) {
    guard let probe = group.probes.quorum, index >= probe.last else { return }
    group.probes.quorum = nil
    stages.quorum.record(from: probe.start, to: clock(), commands: probe.commands)
  }

  /// Applies a block, or as much of it as `apply` says. Returns when that was done, and how many of its commands somebody
  /// here had waited for.
  func measured(apply: () -> Int) -> (time: UInt64, answered: Int) {
    let start = clock()
    let underWay = callsUnderWay
    let count = apply()
    let applied = clock()
    stages.apply.record(from: start, to: applied, commands: count)
    return (applied, underWay - callsUnderWay)
  }

  func flushAnswers(since applied: (time: UInt64, answered: Int)) {
    guard !dirtySinks.isEmpty else { return }
    flushAnswers()
    stages.reply.record(from: applied.time, to: clock(), commands: applied.answered)
  }
}
