// Who has what: what an acknowledgement that waits for more than a majority rests on.

extension Replica {
  /// All who vote, of both halves while a change is under way.
  package var votingMembers: [NodeID] { members.all.filter { members.isVoter($0) } }

  /// This voter has all up to here on its disk, as this leader knows. Nothing of it counts that was said by another disk
  /// than is meant (see Replica+Replacement).
  package func stored(by node: NodeID) -> LogIndex {
    if node == id { return log.durable }
    return progress.first { $0.node == node && !$0.isReplaced }?.match ?? .zero
  }

  /// This other voter's machine has carried out all up to here, and its disk has it: a machine may be ahead of its node's
  /// disk, as what is committed is on the disks of others.
  package func applied(by node: NodeID) -> LogIndex {
    progress.first { $0.node == node && !$0.isReplaced }.map { min($0.applied, $0.match) } ?? .zero
  }

  /// All up to here is on the disks of at least `count` voters.
  package func stored(byAtLeast count: Int) -> LogIndex {
    let indexes = votingMembers.map { stored(by: $0) }.sorted(by: >)
    return count > 0 && count <= indexes.count ? indexes[count - 1] : .zero
  }

  // MARK: Being told what is applied

  /// A follower learns what is committed with the next message, which may be a heartbeat away: it is sent one now.
  mutating func askForApplied() {
    let committed = min(commit, appliedAwaited)
    for follower in progress.indices where progress[follower].applied < appliedAwaited {
      let known = progress[follower]
      if known.commitSent < committed || known.reportSent < appliedAwaited { progress[follower].isMessageDue = true }
    }
  }

  /// There is a leader, which is to be told that all up to `index` is applied here.
  package func isAppliedDue(_ index: LogIndex) -> Bool {
    guard case .follower(.some) = role else { return false }
    return appliedReported < min(index, reportApplied)
  }

  mutating func reportApplied(_ index: LogIndex) {
    guard isAppliedDue(index) else { return }
    appliedReported = index
    isAcknowledgementDue = true
  }
}
