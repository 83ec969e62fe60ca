import LockstepConsensus
import LockstepStorage

/// What all groups have to write, one append after the other: the next one takes what has come during the last.
struct AppendQueue {
  private let context: NodeContext
  /// The writes of the append that the disk is at; empty when it is at none.
  private var underWay: [(group: Int, id: WriteID)] = []
  private var isUnderWay = false
  /// Groups with writes that are in no append yet.
  private var waiting: ReadySet

  init(context: NodeContext, groups: Int) {
    self.context = context
    waiting = ReadySet(count: groups)
  }

  mutating func insert(_ position: Int) { waiting.insert(position) }

  /// The next append, if there is one to make and the disk is at none.
  mutating func next(_ groups: [Group]) -> DiskJob? {
    guard !isUnderWay, !waiting.isEmpty else { return nil }
    var writes: [LogWrite] = []
    var isLeading = false
    for position in waiting.positions where groups[position].areWritesDue {
      let group = groups[position]
      group.takeWrites(note: { underWay.append((position, $0)) }, into: &writes)
      isLeading = isLeading || group.isLeading
    }
    waiting.removeAll { !groups[$0].areWritesDue }
    guard !writes.isEmpty else { return nil }
    isUnderWay = true
    let limits = context.limits
    let bytes = context.stages.isWriting(writes)
    var job = DiskJob(group: writes[0].group, purpose: .append, work: .append(writes))
    // A leader with many clients takes in their next commands meanwhile; with one, there is nothing to take in.
    job.mayRunAtOnce = bytes <= (isLeading ? limits.leaderAtOnceBytes : limits.followerAtOnceBytes)
    return job
  }

  /// The append is on the disk: the writes that were in it.
  mutating func finished() -> [(group: Int, id: WriteID)] {
    isUnderWay = false
    var writes: [(group: Int, id: WriteID)] = []
    swap(&writes, &underWay)
    return writes
  }
}
