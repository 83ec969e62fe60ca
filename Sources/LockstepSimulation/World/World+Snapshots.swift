import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire

// Snapshots: what a real node's snapshot thread does, a chunk at a time, while the node goes on.

/// The snapshot thread of one node.
final class SimulatedSnapshots: SnapshotQueue {
  private unowned let world: World
  private let place: Int

  init(world: World, place: Int) {
    self.world = world
    self.place = place
  }

  func write(_ job: SnapshotJob) { world.beginSnapshot(job, at: place) }
}

/// A snapshot that is being written, of a process that may end before it is whole.
struct SnapshotUnderWay {
  let job: SnapshotJob
  var content: any Snapshot
  var writer: SnapshotWriter?
}

extension World {
  /// Of a piece: small states are in several, too.
  private static let pieceBytes = 48

  func beginSnapshot(_ job: SnapshotJob, at place: Int) {
    let simulated = nodes[place]
    books.check(
      .boundedQueues, simulated.snapshot == nil, "node \(place + 1) begins a snapshot while it writes another one")
    simulated.snapshot = SnapshotUnderWay(job: job, content: job.content)
    planSnapshot(place)
  }

  private func planSnapshot(_ place: Int) {
    let time = nodes[place].disk.faults.writeTime * nodes[place].diskSlowness
    plan(.snapshot(node: place, life: nodes[place].life), in: 1_000 + UInt64(processRandom.below(Int(2 * time + 1))))
  }

  /// The thread does its next step.
  func writeSnapshot(_ place: Int) {
    let simulated = nodes[place]
    guard var current = simulated.snapshot, let directory = simulated.directory else { return }
    let header = current.job.header
    do throws(StorageError) {
      let store = SnapshotStore(directory)
      if current.writer == nil { current.writer = try store.begin(header) }
      guard let writer = current.writer else { return }
      if let piece = try next(&current.content) {
        try writer.append(piece)
        simulated.snapshot = current
        planSnapshot(place)
      } else {
        let snapshot = try writer.finish()
        faults.count(.snapshotTaken)
        try store.prune(header.group)
        simulated.snapshot = nil
        simulated.snapshots = (simulated.snapshots + [snapshot.last.index]).suffix(SnapshotStore.kept)
        tell("node \(place + 1) has a snapshot up to entry \(snapshot.last.index)")
        simulated.node?.snapshotFinished(SnapshotResult(header, .written(snapshot)))
      }
    } catch {
      simulated.snapshot = nil
      current.writer?.abandon()
      if case .outOfSpace = error {
        faults.count(.snapshotGivenUp)
        simulated.node?.snapshotFinished(SnapshotResult(header, .failed(Status(.resourceExhausted, "\(error)"))))
      } else {
        simulated.node?.diskFailed(error)
      }
    }
    planTurn(place)
    look(at: place)
  }

  private func next(_ content: inout any Snapshot) throws(StorageError) -> [UInt8]? {
    do throws(Status) { return try content.next(maximumBytes: Self.pieceBytes) } catch {
      books.fail(.user, "a snapshot cannot be read: \(error.message)")
      return nil
    }
  }
}
