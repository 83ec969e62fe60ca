import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("the end of the log after a clean stop")
struct CleanStopTests {
  /// A stopped node, where its batches begin, the last of them, and the seal behind it.
  private struct Stopped {
    let node: Fixture
    let begin: Int
    var batch: Range<Int>
    var used: Range<Int> { batch.lowerBound..<batch.upperBound + 64 }
  }

  private func stopped(batches: Int = 3, entries: Int = 2, size: Int = 40, segment: Int = 8192) throws -> Stopped {
    let node = Fixture(segment: segment, first: segment)
    try node.open()
    let begin = segment - (node.log?.room ?? 0)
    for _ in 1..<batches { try node.append(2) }
    let start = segment - (node.log?.room ?? 0)
    try node.append(entries, size: size)
    let end = segment - (node.log?.room ?? 0)
    try node.close()
    node.disk.restart()
    return Stopped(node: node, begin: begin, batch: start..<end)
  }

  /// What verify and a start say of a changed segment: both the same, and nothing is changed by a start that is refused.
  private func verdict(_ stopped: Stopped, _ segment: [UInt8]) throws -> StorageError? {
    let node = stopped.node.onCopy()
    node.disk[Fixture.segment1] = segment
    var verified: StorageError?
    do throws(StorageError) {
      let inspector = try LogInspector(disk: node.disk, path: Fixture.path)
      defer { inspector.close() }
      _ = try inspector.verify()
    } catch { verified = error }
    var refused: StorageError?
    do {
      let found = try node.recover()
      #expect(found == node.acknowledged, "an acknowledged entry is missing")
    } catch let error as StorageError { refused = error }
    #expect(refused == verified)
    if refused != nil { #expect(node.disk[Fixture.segment1] == segment) }
    return refused
  }

  private func check(_ stopped: Stopped, _ segment: [UInt8], _ note: String) throws {
    let whole = stopped.node.disk[Fixture.segment1]
    switch try verdict(stopped, segment) {
    case .damaged(let file, let offset, _):
      #expect(segment != whole, "\(note)")
      #expect(file == Fixture.segment1 && stopped.used.contains(offset), "\(note): \(file), \(offset)")
    case nil: #expect(segment[stopped.batch] == whole[stopped.batch], "\(note) was taken for the end")
    case let other?: Issue.record("\(note): \(other)")
    }
  }

  @Test("zeros over the last 200 used bytes: the lost batch is named, by a start and by verify")
  func lastBytes() throws {
    let stopped = try stopped()
    var segment = stopped.node.disk[Fixture.segment1]
    for place in stopped.used.upperBound - 200..<stopped.used.upperBound { segment[place] = 0 }
    let verdict = try verdict(stopped, segment)
    guard let error = verdict, case .damaged(Fixture.segment1, stopped.batch.lowerBound, let reason) = error else {
      return unexpected(verdict)
    }
    #expect(reason.contains("record 4 belongs here"))
    #expect(reason.contains("before byte \(stopped.batch.upperBound) of log-0000000001"))
    let again = stopped.node.onCopy()
    again.disk[Fixture.segment1] = segment
    for _ in 0..<3 { #expect(throws: error) { try again.open() } }
  }

  @Test("zeros over every range of the last batch and the seal", arguments: 0..<8)
  func zeros(part: Int) throws {
    let stopped = try stopped()
    let whole = stopped.node.disk[Fixture.segment1]
    for start in stopped.used where start % 8 == part {
      for end in stopped.used where end > start && (end % 32 == 0 || end == start + 1) {
        var segment = whole
        for place in start..<end { segment[place] = 0 }
        try check(stopped, segment, "zeros at \(start)..<\(end)")
      }
    }
  }

  @Test("every bit of the last batch and the seal flipped, alone and with all behind it lost", arguments: 0..<8)
  func bits(bit: Int) throws {
    let stopped = try stopped()
    let whole = stopped.node.disk[Fixture.segment1]
    for place in stopped.used {
      var segment = whole
      segment[place] ^= 1 << bit
      try check(stopped, segment, "bit \(bit) of byte \(place)")
      for lost in place + 1..<max(place + 1, stopped.used.upperBound) { segment[lost] = 0 }
      try check(stopped, segment, "bit \(bit) of byte \(place), then zeros")
    }
  }

  @Test("a last batch of many blocks: each block and each run of blocks up to the end lost, or full of something else")
  func blocks() throws {
    let stopped = try stopped(batches: 40, entries: 30, size: 400, segment: 65536)
    let whole = stopped.node.disk[Fixture.segment1]
    let noise = Random(7).bytes(whole.count)
    for size in [512, 4096] {
      for first in stopped.used.lowerBound / size...(stopped.used.upperBound - 1) / size {
        // What lies before the last batch is not this test's business: there the next record tells.
        let start = max(first * size, stopped.batch.lowerBound)
        for end in [min((first + 1) * size, whole.count), whole.count] {
          for other in [[UInt8](repeating: 0, count: whole.count), noise] {
            var segment = whole
            segment.replaceSubrange(start..<end, with: other[start..<end])
            try check(stopped, segment, "\(start)..<\(end)")
          }
        }
      }
    }
  }

  @Test("all batches lost since the stop before the last, and all there ever were")
  func manyBatches() throws {
    var stopped = try stopped(batches: 20)
    let whole = stopped.node.disk[Fixture.segment1]
    stopped.batch = stopped.begin..<stopped.batch.upperBound
    for start in stride(from: stopped.begin, to: stopped.used.upperBound, by: 64) {
      let segment = whole[..<start] + [UInt8](repeating: 0, count: whole.count - start)
      try check(stopped, Array(segment), "from \(start)")
    }
  }

  @Test("an older copy of the log under a newer identity is damage, a newer log under an older identity is not")
  func copies() throws {
    let stopped = try stopped()
    let older = stopped.node.onCopy()
    try stopped.node.open()
    try stopped.node.append(2)
    try stopped.node.close()
    stopped.node.disk.restart()
    let newer = stopped.node.onCopy()
    newer.disk[Fixture.segment1] = older.disk[Fixture.segment1]
    let error = #expect(throws: StorageError.self) { try newer.open() }
    guard case .damaged(Fixture.segment1, stopped.batch.upperBound, _) = error else { return unexpected(error) }
    let kept = stopped.node.onCopy()
    // On a disk that tells no births: what is asked here is what the log says.
    kept.disk.knowsBirths = false
    kept.disk["/node/identity"] = older.disk["/node/identity"]
    #expect(try kept.recover() == kept.acknowledged)
  }

  @Test("another history of the same length is not the one with which the node stopped")
  func otherHistory() throws {
    let (one, other) = (try stopped(), try stopped(size: 41))
    one.node.disk[Fixture.segment1] = other.node.disk[Fixture.segment1]
    let error = #expect(throws: StorageError.self) { try one.node.open() }
    guard case .damaged(Fixture.segment1, one.batch.lowerBound, _) = error else { return unexpected(error) }
  }

  @Test("after the stop: starts, kills and torn batches are no damage, and what the stop vouches for stays known")
  func goesOn() throws {
    let stopped = try stopped()
    let node = stopped.node
    for round in 0..<3 {
      let before = node.onCopy()
      try node.open()
      let start = node.options.firstSegmentBytes - (node.log?.room ?? 0)
      try node.append(1)
      let end = node.options.firstSegmentBytes - (node.log?.room ?? 0)
      // Killed in the middle of the batch: it was never acknowledged.
      var torn = node.disk[Fixture.segment1]
      for place in start + 32..<end { torn[place] = 0 }
      before.disk[Fixture.segment1] = torn
      before.disk.knowsBirths = false
      before.disk["/node/identity"] = node.disk["/node/identity"]
      #expect(try before.recover() == before.acknowledged, "round \(round)")
      // Killed after it, and what was there at the stop is lost later.
      let rotten = node.onCopy()
      var segment = node.disk[Fixture.segment1]
      for place in stopped.batch.lowerBound..<segment.count { segment[place] = 0 }
      rotten.disk[Fixture.segment1] = segment
      let error = #expect(throws: StorageError.self) { try rotten.open() }
      guard case .damaged(Fixture.segment1, stopped.batch.lowerBound, _) = error else { return unexpected(error) }
      node.disk.restart()
    }
  }
}
