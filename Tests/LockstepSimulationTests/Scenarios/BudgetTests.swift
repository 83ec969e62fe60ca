import LockstepConsensus
import Testing

@testable import LockstepSimulation

/// Nodes whose disks may not be used as they were.
@Suite("a disk budget") struct BudgetTests {
  @Test("started again with a quarter of what is there: elections and reads go on, and snapshots bring it down to that")
  func lowered() throws {
    let story = try Story(nodes: 3, clients: 6, contents: 2_000...4_000) { $0.thinkTime = 2_000_000 }
    let (world, ids) = (story.world, 1...3)
    story.pass(6)
    world.stopClients()
    story.pass(1)
    let before = ids.map { world.nodes[$0 - 1].disk.bytesInUse }
    try #require(before.allSatisfy { $0 > 2_000_000 }, "\(before)")
    let budget = (before.max() ?? 0) / 4
    for id in ids {
      world.crash(id)
      world.give(id, diskBudget: budget)
      world.restart(id)
    }
    _ = try story.leader()
    for id in ids { #expect(story.get(at: id) != nil) }
    let isDown = world.run(within: 20 * Story.second) { [world] in
      ids.allSatisfy { world.nodes[$0 - 1].disk.bytesInUse <= budget }
    }
    #expect(isDown, "\(ids.map { world.nodes[$0 - 1].disk.bytesInUse }) of \(budget)")
    story.pass(2)
    #expect(story.isAnswered(story.put(7, at: 2)) && story.get(at: 3) == 7)
    try story.allAreEqual()
  }
}
