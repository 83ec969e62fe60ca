import LockstepConsensus
import LockstepDriver
import Testing

@testable import LockstepSimulation

/// A process that dies while its disk writes has told nobody what it knew: the books must know it all the same.
@Suite("Death in a write")
struct DeathInWriteTests {
  @Test("books: a commit index that reached the disk in the event in which the process died is known (a seed)")
  func seed() {
    let report = Simulation(seed: 2_880_119_299).run()
    #expect(report.failure == nil, "\(report.failure?.description ?? "")")
  }

  @Test("books: writes that run within a turn, and kill the process (1 to 3 nodes)", arguments: [1, 2, 3])
  func withinATurn(nodes: Int) {
    var deaths = 0
    for seed in 1...5 as ClosedRange<UInt64> {
      var options = WorldOptions(seed: seed)
      options.nodes = nodes
      options.clients = 4
      options.thinkTime = 0
      // Several writes a turn: the later ones carry the commit index that the earlier ones led to.
      options.driver.appendBytes = 1
      let world = World(options, workload: RegisterWorkload(registers: 4, padding: 0...40, queriesIn: 10))
      world.start()
      world.startClients()
      world.crashOdds.write = 200
      world.crashOdds.sync = 200
      world.run(for: 2 * Story.second)
      #expect(world.failure == nil, "seed \(seed): \(world.failure?.description ?? "")")
      deaths += world.faults[.crashAtWrite] + world.faults[.crashAtSync]
    }
    #expect(deaths > 5)
  }
}
