import LockstepConsensus
package import LockstepStorage

/// Runs disk jobs, one after the other, on whatever thread owns the disk.
package final class DiskWorker {
  private let log: DurableLog
  /// Nil: nobody counts what is used.
  private let disk: BudgetedDisk?
  /// The next segment of the log is there.
  private var isPrepared = false
  private var room: Int
  /// How much of the next segment is due to be made, by what was used of this one.
  private var owed = 0
  /// Nothing has come since a moment without work.
  private var hasRested = false

  /// How much of the next segment is written at a time: short enough not to be noticed by what comes.
  private static let step = 256 * 1024
  private static let longBatch = 64 * 1024
  /// To allocate, and not to write, costs the disk next to nothing a byte, but a sync each time.
  private static let allocation = 16 << 20
  /// With so much room left, the next segment can wait for an idle moment.
  private static let ampleRoom = 20 << 20

  package init(log: sending DurableLog, disk: BudgetedDisk? = nil) {
    room = log.room
    self.log = log
    self.disk = disk
  }

  package func run(_ job: DiskJob) -> DiskResult {
    var result = carryOut(job)
    result.space = space
    return result
  }

  /// What the log may take: what is left of its segment, what the next one has, and what more could be made.
  private var space: LogSpace? {
    guard let disk else { return nil }
    let next = log.nextSegment
    let room = disk.budget.promiseLog(besides: next.more)
    let short = (next.more > 0 ? 0 : next.bytes) - room
    let isNextToBeHad = next.more == 0 || room >= 0 || disk.budget.isInherited
    return LogSpace(
      log: log.room + (isNextToBeHad ? next.bytes : 0) + (room >= next.bytes ? room : 0),
      longest: log.longestRecord,
      // Of what becomes free the log is promised one half, once there is any.
      missing: max(0, room >= 0 ? 2 * short : short), overdrawn: disk.budget.overdrawn, disk: disk.budget.space)
  }

  private func carryOut(_ job: DiskJob) -> DiskResult {
    do throws(StorageError) {
      switch job.work {
      case .append(let writes):
        try log.append(writes)
        return DiskResult(job: job, outcome: .appended)
      case .read(let group, let first, let last, let maximumBytes, let runs):
        let terms = Log(runs: runs, last: last)
        let blocks = try log.read(
          group: group, from: first, through: last, maximumBytes: maximumBytes, termAt: { terms.term(at: $0) })
        return DiskResult(job: job, outcome: .read(blocks))
      case .measure:
        // What cannot be found out is as it was: nothing was promised on it.
        do throws(DiskError) { try disk?.refresh() } catch {}
        return DiskResult(job: job, outcome: .measured)
      }
    } catch {
      return DiskResult(job: job, outcome: .failed(error))
    }
  }

  /// Called after each batch of jobs: makes room ahead of the log, in step with what it uses.
  package func keepPace() throws(StorageError) {
    let used = noteRoom()
    // What comes after a rest may be all for a while: if the process dies before the next one, this is what is known.
    if hasRested || log.isMarkDue { try log.markSynced() }
    hasRested = false
    // A file that goes becomes the next segment, most of the time: that saves the disk more than it costs.
    if log.hasSurplus { try log.dropOldestSegment() }
    guard !isPrepared, log.room < Self.ampleRoom else { return }
    owed += 4 * used
    guard owed >= Self.step else { return }
    // Zeros ahead make short batches quick to sync; beside long ones they cost more than they spare.
    let inHaste = used >= Self.longBatch
    let bytes = inHaste ? Self.allocation : Self.step
    owed -= bytes
    isPrepared = try prepare(maximumBytes: bytes, inHaste: inHaste)
  }

  private func prepare(maximumBytes: Int, inHaste: Bool = false) throws(StorageError) -> Bool {
    if let disk, log.nextSegment.more > disk.budget.roomForLog { return false }
    do throws(StorageError) { return try log.prepareNextSegment(maximumBytes: maximumBytes, inHaste: inHaste) } catch {
      // There is less than was known.
      if case .outOfSpace = error, let disk { try onDisk { () throws(DiskError) in try disk.refresh() } }
      throw error
    }
  }

  /// Called when nothing has come for a moment: marks what is synced as such, and makes some room ahead. Returns whether
  /// there is more of this to do.
  package func rest() throws(StorageError) -> Bool {
    // One of before there was this budget.
    if disk?.budget.isInherited ?? false { try log.leaveLargeSegment() }
    try log.seal()
    try log.markSynced()
    hasRested = true
    _ = noteRoom()
    if log.hasSurplus {
      try log.dropOldestSegment()
      return true
    }
    if !isPrepared { isPrepared = try prepare(maximumBytes: Self.step) }
    return !isPrepared
  }

  /// How much of the segment was used since the last time; a new one has more room than the old one had.
  private func noteRoom() -> Int {
    if log.room > room {
      isPrepared = false
      owed = 0
    }
    defer { room = log.room }
    return max(0, room - log.room)
  }

  package func close() throws(StorageError) { try log.close() }
}
