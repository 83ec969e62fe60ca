import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("nodes that stop in order")
struct StopTests {
  @Test("the end of a stopped node's log is lost: its start names it, and with the log put back it goes on")
  func endOfLogLost() throws {
    let story = try Story(nodes: 3, clients: 2)
    for bytes in [200, 1000, 200] {
      story.pass(2)
      let stopped = try #require(story.followers.first)
      let node = story.world.nodes[stopped - 1]
      #expect(story.world.endInOrder(stopped) && !story.world.isUp(stopped))
      #expect(story.world.loseEndOfLog(stopped, upTo: bytes))
      #expect(node.beforeDamage != nil)
      story.world.restart(stopped)
      story.pass(2)
      #expect(node.beforeDamage == nil && story.world.isUp(stopped))
    }
    try story.allAreEqual()
  }

  @Test("all stop in order and start again, several times: nothing is lost, and each notes a new end")
  func allStop() throws {
    let story = try Story(nodes: 3, clients: 2)
    for _ in 0..<3 {
      story.pass(1)
      let committed = story.world.committed
      for id in 1...3 { #expect(story.world.endInOrder(id)) }
      for id in 1...3 { story.world.restart(id) }
      _ = try story.leader()
      story.pass(1)
      #expect(story.world.committed > committed)
    }
    try story.allAreEqual()
  }

  @Test("a failed sync at the end: the log notes no end, and the node starts with all it promised")
  func failedStop() throws {
    let story = try Story(nodes: 3, clients: 2)
    story.pass(1)
    let id = try #require(story.followers.first)
    story.world.disk(of: id).faults.syncFailed = 1
    #expect(!story.world.endInOrder(id))
    story.world.disk(of: id).faults.syncFailed = 0
    story.world.restart(id)
    story.pass(2)
    #expect(story.world.isUp(id))
    try story.allAreEqual()
  }
}
