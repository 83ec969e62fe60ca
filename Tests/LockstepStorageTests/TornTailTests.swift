import DiskTesting
import LockstepStorage
import Testing

@Suite("recovery of a torn tail")
struct TornTailTests {
  /// Three acknowledged batches, then a fourth; the first segment before and after it.
  private func lastBatch(sealed: Bool, entries: Int = 3, size: Int = 40) throws -> (
    node: Fixture, before: [UInt8], after: [UInt8], range: Range<Int>
  ) {
    let node = Fixture()
    try node.open()
    for _ in 0..<3 { try node.append(2) }
    if sealed { try node.log?.seal() }
    let before = node.disk[Fixture.segment1]
    let start = before.count - (node.log?.room ?? 0)
    try node.append(entries, size: size)
    let after = node.disk[Fixture.segment1]
    return (node, before, after, start..<after.count - (node.log?.room ?? 0))
  }

  private func check(_ node: Fixture, _ segment: [UInt8], whole: Bool, _ note: String) throws {
    let torn = node.onCopy()
    torn.disk[Fixture.segment1] = segment
    let found = try torn.recover()
    #expect(found == (whole ? 4 : 3), "\(note)")
    let repaired = torn.logFiles
    torn.disk.powerCut(.lost)
    let again = try torn.recover()
    #expect(again == found && torn.report.notices.isEmpty && torn.logFiles == repaired, "again, \(note)")
    // It goes on from there.
    let acknowledged = torn.images[found ?? 0]
    torn.images = [acknowledged]
    try torn.append(2)
    torn.disk.powerCut(.lost)
    let after = try torn.recover()
    #expect(after == 1, "after another append, \(note)")
  }

  @Test("torn last record, cut at every byte", arguments: [false, true])
  func cuts(sealed: Bool) throws {
    let (node, before, after, range) = try lastBatch(sealed: sealed)
    let random = Random(1)
    for cut in range.lowerBound...range.upperBound {
      var zeros = after
      for place in cut..<range.upperBound { zeros[place] = 0 }
      let old = Array(after[..<cut] + before[cut...])
      var garbage = after
      let noise = random.bytes(range.upperBound + 100 - cut)
      garbage.replaceSubrange(cut..<cut + noise.count, with: noise)
      for (rest, segment) in [("zeros", zeros), ("old bytes", old), ("garbage", garbage)] {
        let whole = segment[range] == after[range]
        try check(node, segment, whole: whole, "cut at \(cut - range.lowerBound), then \(rest)")
      }
    }
  }

  @Test("sectors of the last batch lost in every subset", arguments: [false, true])
  func sectors(sealed: Bool) throws {
    let (node, before, after, range) = try lastBatch(sealed: sealed, entries: 8, size: 380)
    let sectors = Array(range.lowerBound / 512...(range.upperBound - 1) / 512)
    #expect(sectors.count <= 8 && sectors.count > 6)
    for subset in 0..<1 << sectors.count {
      var segment = before
      for (bit, sector) in sectors.enumerated() where subset & 1 << bit != 0 {
        segment.replaceSubrange(sector * 512..<sector * 512 + 512, with: after[sector * 512..<sector * 512 + 512])
      }
      try check(node, segment, whole: segment == after, "sectors \(String(subset, radix: 2))")
    }
  }

  @Test("clean end: nothing is said, nothing is written to the log")
  func cleanEnd() throws {
    let node = Fixture()
    try node.open()
    try node.append(5)
    try node.close()
    let files = node.logFiles
    node.disk.powerCut(.lost)
    #expect(try node.recover() == 1)
    #expect(node.report.notices.isEmpty)
    #expect(node.logFiles == files)
  }

  @Test("a seal that was cut at every byte is no damage")
  func tornSeal() throws {
    let node = Fixture()
    try node.open()
    try node.append(2)
    let start = node.options.firstSegmentBytes - (node.log?.room ?? 0)
    try node.log?.seal()
    let sealed = node.disk[Fixture.segment1]
    for cut in 0...64 {
      let torn = node.onCopy()
      var segment = sealed
      for place in start + cut..<start + 64 { segment[place] = 0 }
      torn.disk[Fixture.segment1] = segment
      #expect(try torn.recover() == 1)
    }
  }

  @Test("garbage in unused space is cleared and reported")
  func garbageBeyondSeal() throws {
    let node = Fixture()
    try node.open()
    try node.append(2)
    try node.close()
    node.disk[Fixture.segment1][7000] = 1
    node.disk.restart()
    #expect(try node.recover() == 1)
    #expect(node.report.notices.count == 1 && node.report.droppedBytes > 0)
    #expect(node.disk[Fixture.segment1][7000] == 0)
  }
}
