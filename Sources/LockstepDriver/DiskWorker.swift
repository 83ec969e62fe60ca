import LockstepConsensus
package import LockstepStorage

/// Runs disk jobs, one after the other, on whatever thread owns the disk.
package final class DiskWorker {
  private let log: DurableLog
  /// The next segment of the log is there.
  private var isPrepared = false
  private var room: Int

  /// How much of the next segment is made at a time when nothing waits: short enough not to be noticed by what comes.
  private static let idleStep = 256 * 1024

  package init(log: sending DurableLog) {
    room = log.room
    self.log = log
  }

  package func run(_ job: DiskJob) -> DiskResult {
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
      }
    } catch {
      return DiskResult(job: job, outcome: .failed(error))
    }
  }

  /// Called after each batch of jobs: makes room ahead of the log, in step with what it uses.
  package func keepPace() throws(StorageError) {
    if log.room > room { isPrepared = false }
    let used = max(0, room - log.room)
    room = log.room
    guard !isPrepared, used > 0 else { return }
    isPrepared = try log.prepareNextSegment(maximumBytes: max(4096, 4 * used))
  }

  /// Called when nothing has come for a moment: marks what is synced as such, and makes some room ahead. Returns whether
  /// there is more of this to do.
  package func rest() throws(StorageError) -> Bool {
    try log.seal()
    if log.room > room { isPrepared = false }
    room = log.room
    if !isPrepared { isPrepared = try log.prepareNextSegment(maximumBytes: Self.idleStep) }
    return !isPrepared
  }

  package func close() throws(StorageError) { try log.close() }
}
