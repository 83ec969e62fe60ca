import LockstepConsensus

/// Where the commands of one group are on their way.
final class GroupStages {
  private let recorder: StageRecorder
  private var probes = StageProbes()

  init(recorder: StageRecorder) { self.recorder = recorder }

  /// For tests: what is on its way.
  var underWay: StageProbes { probes }

  /// A command is taken in, the first since the last proposal.
  func isFirstArrived() { probes.arrival = recorder.now() }

  /// The commands that wait become entries now, up to `last`.
  @inline(never)
  func isProposed(through last: LogIndex, commands: Int) {
    let now = recorder.now()
    recorder.isProposed(arrival: probes.arrival, at: now, commands: commands)
    probes.arrival = nil
    probes.proposed = StageProbes.Probe(last: last, commands: commands, start: now)
  }

  func isSent(_ slice: LogSlice, to peer: NodeID) {
    probes.send(slice, to: peer)
    recorder.willHandOver()
  }

  /// What was proposed and sent has left this node.
  func handedOver(at now: UInt64) {
    probes.leave(at: now)
    guard let proposed = probes.proposed else { return }
    probes.proposed = nil
    recorder.isAppended(from: proposed.start, to: now, commands: proposed.commands)
    guard probes.quorum == nil else { return }
    probes.quorum = StageProbes.Probe(last: proposed.last, commands: proposed.commands, start: now)
  }

  func isAcknowledged(_ reply: AppendReply, term: Term, by peer: NodeID) {
    guard case .accepted(let match) = reply.verdict, reply.term == term,
      let sent = probes.acknowledge(match, by: peer)
    else { return }
    recorder.isReplicated(to: peer, since: sent.start, commands: sent.commands)
  }

  @inline(never)
  func isCommitted(_ index: LogIndex) {
    guard let probe = probes.quorum, index >= probe.last else { return }
    probes.quorum = nil
    recorder.isCommitted(since: probe.start, commands: probe.commands)
  }

  /// What was on its way to this peer is lost, and how long it will have taken says nothing.
  func linkLost(to peer: NodeID) { probes.lose(peer) }

  @inline(never)
  func roleChanged() { probes.forget() }
}
