// A node whose own disk hangs, or is far behind. A leader can "even commit an entry before it has been written to its own
// disk" (thesis section 10.2.1), by its followers' disks; but what is not on its own disk has to stay in its memory, and
// when that is full it refuses every write. So it hands the lead over (thesis section 3.10) before, as it would before it
// is taken down, and when nobody takes it, steps down. Until its disk is no longer behind it neither campaigns nor votes:
// it could not store what it promises ("updated on stable storage before responding to RPCs", Raft figure 2), and votes
// that never leave would only raise the others' terms.

extension Replica {
  mutating func tickDisk(_ effects: inout [Effect]) {
    guard let ticks = disk.tick(oldest: log.oldestWrite, limit: limits.diskTicks) else { return }
    effects.append(.diskIsSlow(ticks: ticks))
    // The requests of these reads have not left, and will not before the disk answers.
    if !isHardStateStored { refuseForwardedReads(&effects) }
  }

  mutating func diskAnswered(_ effects: inout [Effect]) {
    guard let ticks = disk.answered(oldest: log.oldestWrite, limit: limits.diskTicks) else { return }
    isLeadOffered = false
    effects.append(.diskAnswersAgain(ticks: ticks))
  }

  /// Once in each election time-out, when it is known who was heard in it.
  mutating func handOverIfDiskIsSlow(_ effects: inout [Effect]) {
    guard disk.isSlow, transferee == nil else { return }
    // Where the others cannot elect a leader without this node, they could not commit without it either: then it stays,
    // and at least answers reads.
    guard canOthersElect, areOthersQuicker else { return }
    if !isLeadOffered, let heir {
      isLeadOffered = true
      beginTransfer(to: heir)
    } else {
      becomeFollower(term: term, leader: nil, &effects)
    }
  }

  /// The others have on their disks what waits for this one. Where all are behind, because more comes than any disk
  /// takes, the next leader would fare no better.
  private var areOthersQuicker: Bool {
    log.oldestWrite(beyond: commit).map { disk.now - $0 < limits.diskTicks / 2 } ?? true
  }
}
