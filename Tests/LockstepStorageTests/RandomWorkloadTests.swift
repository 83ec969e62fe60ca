import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@Suite("random lives with power cuts, against a model")
struct RandomWorkloadTests {
  private func randomAppend(_ node: Fixture, _ random: Random) throws {
    var writes: [LogWrite] = []
    for group in 1...3 as ClosedRange<UInt64> where writes.isEmpty || random.chance(3) {
      let known = node.model[group] ?? GroupImage()
      let kept = random.chance(5) ? random.below(known.ids.count + 1) : known.ids.count
      // What replaces an entry has a term in which the group had none: an index and a term are one entry for ever.
      let fresh = kept < known.ids.count || known.hardState.term == .zero || random.chance(4)
      let term = Int(known.hardState.term.rawValue) + (fresh ? 1 : 0)
      let vote = fresh ? 1 : known.hardState.vote?.rawValue
      if random.chance(6) {
        writes.append(Fixture.write(group, term: term, vote: vote))
        continue
      }
      var terms = Array(repeating: term, count: 1 + random.below(6))
      if kept == known.ids.count, random.chance(3) { terms[0] = max(1, Int(known.last.term.rawValue)) }
      let block = node.entries(group, from: kept + 1, terms: terms, size: random.below(random.chance(8) ? 900 : 60))
      writes.append(Fixture.write(group, term: term, vote: vote, block))
    }
    try node.append(writes)
  }

  private func live(_ node: Fixture, _ random: Random) throws {
    for _ in 0..<random.below(25) {
      try randomAppend(node, random)
      if random.chance(4) { try node.log?.seal() }
      if random.chance(4) { try node.log?.markSynced() }
      if random.chance(4) { _ = try node.log?.prepareNextSegment(maximumBytes: 700) }
    }
    if random.chance(3) { try node.close() }
  }

  @Test("hundreds of lives", arguments: 0..<8)
  func lives(part: Int) throws {
    for seed in (part * 40)..<(part * 40 + 40) {
      let random = Random(UInt64(seed))
      let node = Fixture(segment: 1024 + random.below(40) * 64, first: 1024)
      try node.open()
      for life in 0..<5 {
        node.disk.powerOffAt = random.chance(4) ? nil : node.disk.operations.count + random.below(40)
        do { try live(node, random) } catch { #expect(error is StorageError) }
        node.disk.powerCut(random.chance(4) ? .lost : .any(random))
        let found = try #require(try node.recover(), "seed \(seed), life \(life)")
        #expect(found >= node.acknowledged, "seed \(seed), life \(life)")
        node.images = [node.images[found]]
        node.acknowledged = 0
      }
    }
  }
}
