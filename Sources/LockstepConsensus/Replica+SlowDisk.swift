// A node whose own disk hangs. A leader can "even commit an entry before it has been written to its own disk" (thesis
// section 10.2.1), by its followers' disks; but what is not on its own disk has to stay in its memory, and when that is
// full it refuses every write. So it hands the lead over (thesis section 3.10) before, as it would before it is taken
// down, and when nobody takes it, steps down. Until its disk answers it neither campaigns nor votes: it could not store
// what it promises ("updated on stable storage before responding to RPCs", Raft figure 2), and votes that never leave
// would only raise the others' terms.

extension Replica {
  mutating func tickDisk(_ effects: inout [Effect]) {
    guard disk.tick(isWriting: log.isWriting, limit: limits.diskTicks) else { return }
    effects.append(.diskIsSlow(ticks: disk.silentTicks))
    // The requests of these reads have not left, and will not before the disk answers.
    if !isHardStateStored { refuseForwardedReads(&effects) }
  }

  mutating func diskAnswered(_ effects: inout [Effect]) {
    isLeadOffered = false
    if let ticks = disk.answered() { effects.append(.diskAnswersAgain(ticks: ticks)) }
  }

  /// Once in each election time-out, when it is known who was heard in it.
  mutating func handOverIfDiskIsSlow(_ effects: inout [Effect]) {
    guard disk.isSlow, transferee == nil else { return }
    // Where the others cannot elect a leader without this node, they could not commit without it either: then it stays,
    // and at least answers reads.
    guard canOthersElect else { return }
    if !isLeadOffered, let heir {
      isLeadOffered = true
      beginTransfer(to: heir)
    } else {
      becomeFollower(term: term, leader: nil, &effects)
    }
  }
}
