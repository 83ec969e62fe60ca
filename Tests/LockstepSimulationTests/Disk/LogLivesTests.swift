import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("crash sweep: random lives of a log")
struct LogLivesTests {
  /// Works until something goes wrong, or long enough.
  private func live(_ node: StoredNode, _ random: inout SimulationRandom) throws {
    for _ in 0..<random.below(40) {
      try node.appendSomething()
      if random.oneIn(5) { try node.log?.seal() }
      if random.oneIn(3) {
        do { _ = try node.log?.prepareNextSegment(maximumBytes: 700) } catch StorageError.outOfSpace { continue }
      }
      if random.oneIn(4) { try node.log?.markSynced() }
    }
  }

  private func draw(_ disk: SimulatedDisk, _ random: inout SimulationRandom) {
    disk.faults = DiskFaults()
    func odds() -> Int { random.oneIn(2) ? 10 + random.below(200) : 0 }
    (disk.faults.writeFailed, disk.faults.shortWrite, disk.faults.syncFailed) = (odds(), odds(), odds())
    if random.oneIn(6) { disk.faults.space = disk.bytesInUse + random.below(4000) }
  }

  @Test(
    "crash sweep: lives with failing writes and syncs, full disks, kills and power cuts",
    arguments: 0..<extent(quick: 2, full: 8 as UInt64))
  func lives(part: UInt64) throws {
    var counts = FaultCounts()
    for seed in part * 40..<part * 40 + 40 {
      var random = SimulationRandom(seed: seed).stream("lives")
      var home = NodeHome()
      home.options.firstSegmentBytes = 1024
      home.options.segmentBytes = 1024 + random.below(60) * 64
      let node = StoredNode(home, seed: seed)
      for life in 0..<12 {
        draw(node.disk, &random)
        node.disk.dies = nil
        let end = node.disk.operations + random.below(80)
        if random.oneIn(2) { node.disk.dies = { [disk = node.disk] _, _ in disk.operations >= end ? .within : nil } }
        do {
          #expect(try node.start(), "seed \(seed), life \(life)")
          try live(node, &random)
        } catch let error as StorageError {
          switch error {
          case .disk, .outOfSpace, .stopped: break
          case .locked, .damaged, .lost, .refused, .invalidWrite: Issue.record("seed \(seed), life \(life): \(error)")
          }
        }
        if random.oneIn(2) { node.disk.powerCut(.keepsAny) } else { node.disk.processEnded() }
      }
      counts.add(node.disk.counts)
      node.disk.faults = DiskFaults()
      node.disk.dies = nil
      #expect(try node.start(), "seed \(seed)")
    }
    for kind in [FaultKind.writeFailed, .shortWrite, .syncFailed, .diskFull, .unsyncedWriteTorn, .unsyncedNameLost] {
      #expect(counts[kind] > 0, "\(kind) was never injected")
    }
  }
}
