import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

@Suite("crash sweep: a cluster")
struct ClusterCrashSweepTests {
  @Test("crash sweep: three nodes, writes of clients, and the power is cut at each write and sync of every disk")
  func everyNode() throws {
    let story = try Story(nodes: 3)
    let leader = try story.leader()
    var sweeps = (1...3 as ClosedRange<UInt64>).map { id in
      var home = NodeHome()
      home.node = NodeID(id)
      home.cluster = story.world.cluster
      home.options = story.world.options.log
      return CrashSweep(home: home, tears: 8)
    }
    for place in 0..<3 {
      let disk = story.world.disk(of: place + 1)
      disk.dies = { [unowned disk, unowned story] operation, path in
        let promise = DiskPromise(states: story.world.states(of: place))
        sweeps[place].cut(disk.image(), promise, "node \(place + 1), before \(operation) of \(path)")
        return nil
      }
    }
    var answered = 0
    let writes = extent(quick: 60, full: 400)
    // Of several sectors each, so that there is much that can be torn.
    for number in 1...UInt64(writes) {
      if story.isAnswered(story.put(number, at: leader, padding: 1500)) { answered += 1 }
    }
    for place in 0..<3 { story.world.disk(of: place + 1).dies = nil }
    #expect(answered == writes)
    // At least two disks have each answered write: what is stored is what the books say, and those count.
    #expect(story.world.books.nodes.count { Int($0.stored.last.rawValue) >= story.world.committed } >= 2)
    #expect(sweeps.reduce(0) { $0 + $1.images } > 25 * writes)
    for (place, sweep) in sweeps.enumerated() { sweep.report("node \(place + 1) of three") }
    story.nothingIsBroken()
  }
}

extension World {
  /// What a start of this node may find: all that its disk was told to keep, and, or not, the write that is under way.
  fileprivate func states(of place: Int) -> [[GroupState]] {
    let book = books.nodes[place]
    var found = [state(book.stored, book.storedState)]
    if let writing = book.writing {
      var log = book.stored.prefix(through: writing.kept)
      log.append(contentsOf: writing.entries)
      found.append(state(log, writing.state))
    }
    return found.map { [$0] }
  }

  private func state(_ log: Indexed<Books.Entry>, _ hardState: HardState) -> GroupState {
    GroupState(
      group: group, hardState: hardState,
      last: log.lastElement.map { EntryID(term: $0.term, index: log.last) } ?? .zero,
      lastChain: log.lastElement?.chain ?? Checksum.chainOrigin(cluster: cluster, group: group.rawValue))
  }
}
