import DiskTesting
import LockstepConsensus
import LockstepStorage
import Testing

@Suite("a crash at every disk operation")
struct CrashPointTests {
  /// A life with everything in it: making, batches of two groups, truncation, preparation, rotation, seals, closing.
  private func live(_ node: Fixture) throws {
    try node.open()
    try node.append(2)
    try node.append([
      Fixture.write(1, term: 1, node.entries(1, from: 3, terms: [1])),
      Fixture.write(2, term: 4, vote: 1, node.entries(2, from: 1, terms: [3, 4])),
    ])
    try node.log?.seal()
    try node.log?.markSynced()
    _ = try node.log?.prepareNextSegment(maximumBytes: 1024)
    try node.append([Fixture.write(1, term: 2, node.entries(1, from: 2, terms: [2, 2]))])
    _ = try node.log?.prepareNextSegment(maximumBytes: 1024)
    for _ in 0..<4 { try node.append(4, term: 2) }
    try node.log?.seal()
    try node.log?.markSynced()
    // Larger than a segment.
    try node.append(8, term: 2, size: 400)
    try node.appendBase(3)
    try node.append(1, term: 3)
    try node.log?.markSynced()
    // The oldest files go: one becomes the next segment, the others are removed.
    let last = try #require(node.model[1]).ids.count
    try node.append([Fixture.write(2, term: 5), Fixture.write(1, term: 3)])
    try node.appendBase(last - 1)
    try node.appendBase(of: 2, 2)
    while try #require(node.log).hasSurplus { try node.log?.dropOldestSegment() }
    for _ in 0..<6 {
      _ = try node.log?.prepareNextSegment(maximumBytes: 700, inHaste: true)
      try node.append(4, term: 3)
      try node.log?.markSynced()
    }
    try node.close()
  }

  private func node() -> Fixture { Fixture(segment: 2048, first: 1024) }

  private func operations() throws -> Int {
    let node = node()
    try live(node)
    #expect(node.logFiles.count >= 3)
    return node.disk.operations.count
  }

  private let fates: [() -> MemoryDisk.Fate] = [
    { .lost }, { .kept }, { .any(Random(3)) }, { .any(Random(4)) }, { .any(Random(5)) }, { .any(Random(6)) },
  ]

  /// Lives until the power goes at this operation.
  private func die(at operation: Int, _ fate: MemoryDisk.Fate) -> Fixture {
    let node = node()
    node.disk.powerOffAt = operation
    do {
      try live(node)
      Issue.record("operation \(operation) was never reached")
    } catch {
      #expect(error is StorageError)
    }
    node.disk.powerCut(fate)
    return node
  }

  private func check(_ node: Fixture, _ note: String) throws {
    let found = try #require(try node.recover(), "a state that never was, \(note)")
    #expect(found >= node.acknowledged, "\(found) of \(node.acknowledged) acknowledged, \(note)")
    let files = node.logFiles
    node.disk.restart()
    let again = try node.recover()
    #expect(again == found, "again, \(note)")
    #expect(node.logFiles == files, "a second recovery changes nothing, \(note)")
  }

  @Test("power cut: all that was acknowledged is there")
  func powerCuts() throws {
    for operation in 0..<(try operations()) {
      for (number, fate) in fates.enumerated() {
        try check(die(at: operation, fate()), "operation \(operation), fate \(number)")
      }
    }
  }

  @Test("power cut again, at every operation of the recovery")
  func cutsDuringRecovery() throws {
    for operation in 0..<(try operations()) {
      let first = die(at: operation, .any(Random(UInt64(operation))))
      let probe = first.onCopy()
      try probe.open()
      for second in 0..<probe.disk.operations.count {
        let node = first.onCopy()
        node.disk.powerOffAt = second
        #expect(throws: StorageError.self) { try node.open() }
        node.disk.powerCut(.any(Random(UInt64(second))))
        try check(node, "operations \(operation), then \(second)")
      }
    }
  }

  @Test("an operation fails, the process ends and starts again, then the power is cut")
  func failures() throws {
    for operation in 0..<(try operations()) {
      for reason in [DiskError.Reason.other, .outOfSpace] {
        let node = node()
        node.disk.failAt = (operation, reason)
        do { try live(node) } catch { #expect(error is StorageError) }
        // The cache still has what the disk may never have got.
        node.disk.restart()
        let found = try #require(try node.recover(), "operation \(operation)")
        #expect(found >= node.acknowledged)
        node.images = [node.images[found]]
        try node.append(1, term: 5)
        node.disk.powerCut(.lost)
        let after = try node.recover()
        #expect(after == 1, "operation \(operation) failed with \(reason)")
      }
    }
  }
}
