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

extension World {
  /// Of the next piece: small states are in several, too, and large ones not in thousands.
  private static func pieceBytes(after written: Int) -> Int { max(48, written / 16) }

  func beginSnapshot(_ job: SnapshotJob, at place: Int) {
    let simulated = nodes[place]
    books.check(
      .boundedQueues, simulated.snapshot == nil, "node \(place + 1) begins a snapshot while it writes another one")
    guard let directory = simulated.directory else { return }
    simulated.snapshot = SnapshotWork(job, in: SnapshotStore(directory))
    simulated.snapshotBytes = 0
    planSnapshot(place)
  }

  private func planSnapshot(_ place: Int) {
    let time = nodes[place].disk.faults.writeTime * nodes[place].diskSlowness
    plan(.snapshot(node: place, life: nodes[place].life), in: 1_000 + UInt64(processRandom.below(Int(2 * time + 1))))
  }

  /// The thread does its next step.
  func writeSnapshot(_ place: Int) {
    let simulated = nodes[place]
    guard let work = simulated.snapshot else { return }
    do throws(StorageError) {
      switch try work.step(maximumBytes: Self.pieceBytes(after: simulated.snapshotBytes)) {
      // The node hears of no piece.
      case .went(let bytes):
        simulated.snapshotBytes += bytes
        planSnapshot(place)
        return look(at: place)
      case .finished(let result):
        simulated.snapshot = nil
        finished(result, at: place)
      }
    } catch {
      simulated.snapshot = nil
      simulated.node?.diskFailed(error)
    }
    planTurn(place)
    look(at: place)
  }

  private func finished(_ result: SnapshotResult, at place: Int) {
    let simulated = nodes[place]
    for one in result.unsound {
      faults.count(.snapshotDamaged)
      simulated.snapshots.removeAll { $0 == one.index }
      tell("node \(place + 1) finds that its snapshot up to entry \(one.index) does not hold: \(one.reason)")
    }
    switch result.outcome {
    case .written(let snapshot):
      faults.count(.snapshotTaken)
      simulated.hasTrimmed = false
      simulated.snapshots = (simulated.snapshots + [snapshot.last.index]).suffix(SnapshotStore.kept)
      tell("node \(place + 1) has a snapshot up to entry \(snapshot.last.index)")
    case .trimmed:
      guard result.unsound.isEmpty else { break }
      simulated.snapshots = [result.last.index]
      simulated.hasTrimmed = true
    case .failed(let status):
      books.check(
        .user, status.code == .resourceExhausted || status.code == .internal,
        "a snapshot cannot be read: \(status.message)")
      faults.count(.snapshotGivenUp)
    }
    simulated.node?.snapshotFinished(result)
  }
}
