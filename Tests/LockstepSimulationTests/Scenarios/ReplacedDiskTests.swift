import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepSimulation

/// A node that has lost its disk comes back under its old number.
@Suite("a disk that was replaced") struct ReplacedDiskTests {
  private func votesAgain(_ story: Story, _ ids: Int...) throws {
    let world = story.world
    let isDone = world.run(within: 20 * Story.second) { ids.allSatisfy { world.votes($0) } }
    try #require(isDone, "\(world.failure?.description ?? world.picture)")
  }

  @Test("any one of three, four or five loses its disk under load, and votes again", arguments: [3, 4, 5])
  func each(count: Int) throws {
    let story = try Story(nodes: count, clients: 4)
    for id in 1...count {
      story.pass(0.3)
      story.world.replaceDisk(id)
      #expect(!story.world.votes(id))
      try votesAgain(story, id)
    }
    #expect(story.world.faults[.replacementAdmitted] == count)
    try story.allAreEqual()
  }

  @Test("two of five at once: both vote again, and the three go on meanwhile")
  func two() throws {
    let story = try Story(nodes: 5, clients: 4)
    story.pass(0.3)
    for id in story.followers.prefix(2) { story.world.replaceDisk(id) }
    let before = story.world.acknowledged
    try votesAgain(story, 1, 2, 3, 4, 5)
    #expect(story.world.acknowledged > before)
    try story.allAreEqual()
  }

  @Test("a node that votes again is worth a majority: with one other of three it goes on")
  func majority() throws {
    let story = try Story(nodes: 3, clients: 4)
    let (world, followers) = (story.world, story.followers)
    story.pass(0.3)
    world.replaceDisk(followers[0])
    try votesAgain(story, followers[0])
    world.crash(followers[1])
    let before = world.acknowledged
    #expect(world.run(within: 20 * Story.second) { world.acknowledged > before + 20 }, "\(world.picture)")
    world.restart(followers[1])
    try story.allAreEqual()
  }

  @Test("with the other follower down nothing is decided, and when it is back all goes on")
  func minority() throws {
    let story = try Story(nodes: 3, clients: 4)
    let (world, followers) = (story.world, story.followers)
    story.pass(0.3)
    world.crash(followers[1])
    world.replaceDisk(followers[0])
    story.pass(2)
    let before = world.acknowledged
    story.pass(3)
    #expect(world.acknowledged == before && !world.votes(followers[0]))
    world.restart(followers[1])
    try votesAgain(story, followers[0])
    try story.allAreEqual()
  }
}
