import LockstepConsensus
import LockstepDriver

/// The end of each seed: faults stop, a majority comes together, and progress is due; then all come together, and must
/// be equal.
struct Healing {
  private let world: World
  private let swarm: Swarm

  init(_ world: World, _ swarm: Swarm) {
    self.world = world
    self.swarm = swarm
  }

  /// Leadership is decided within a few time-outs; the first write then takes a round.
  private var patience: UInt64 { 10 * world.options.electionTimeout }

  func run() {
    world.endFaults()
    world.healNetwork()
    world.areHurried = true
    let able = (1...world.nodes.count).filter { world.refusal(of: $0) == nil }
    let majority = world.nodes.count / 2 + 1
    // A disk that has taken back what it promised makes its node's peers refuse it, or itself end: it is not counted on.
    let sound = able.filter { !world.nodes[$0 - 1].isUnreliable }
    guard sound.count >= majority else { return }
    var random = SimulationRandom(seed: swarm.options.seed).stream("healing")
    // Nodes with a replaced disk need a majority of the others first.
    let voting = sound.filter { world.votes($0) }
    let chosen = Array(voting.shuffled(using: &random).prefix(majority)).sorted()
    let others = (1...world.nodes.count).filter { !chosen.contains($0) }
    for id in others {
      if world.isUp(id) { world.crash(id) }
      world.nodes[id - 1].mayStart = false
    }
    for id in chosen { wake(id) }
    guard progress(chosen, "a majority of sound nodes, \(chosen),") else { return }
    calm(chosen)
    for id in others where sound.contains(id) {
      world.nodes[id - 1].mayStart = true
      world.nodes[id - 1].disk.faults.space = .max
      wake(id)
    }
    guard world.failure == nil else { return }
    catchUp(sound)
  }

  private func wake(_ id: Int) {
    if world.nodes[id - 1].isStopping { world.crash(id) }
    if world.isUp(id) {
      world.goOn(id)
    } else if world.refusal(of: id) == nil {
      world.restart(id)
    }
  }

  /// A new command of a client is acknowledged.
  private func progress(_ ids: [Int], _ who: String) -> Bool {
    // Recovery, redials and the clients' own time-outs are not the protocol's.
    let isUp = world.run(within: 10_000_000_000) {
      ids.allSatisfy { world.isUp($0) } && world.areConnected(ids)
    }
    guard world.failure == nil else { return false }
    world.books.check(.liveness, isUp, "\(who) do not all start and connect within 10 s: \(world.picture)")
    let time = patience + 6_000_000_000
    // What was committed before may be acknowledged now: that is no sign of a leader yet.
    let isLed = world.run(within: time) { world.isLed(ids) }
    guard world.failure == nil else { return false }
    world.books.check(
      .liveness, isLed, "\(who) follow no leader within ten election time-outs after healing: \(world.picture)")
    let before = world.acknowledged
    let isDone = world.run(within: time) { world.acknowledged > before }
    guard world.failure == nil else { return false }
    world.books.check(
      .liveness, isDone, "\(who) acknowledge nothing within ten election time-outs after healing: \(world.picture)")
    return isDone && world.failure == nil
  }

  /// Nothing disturbs them: the leader they have found stays.
  private func calm(_ ids: [Int]) {
    guard world.options.preferredLeader == nil else { return }
    // Peace is long, and nobody waits for what clients get in it.
    world.areHurried = false
    defer { world.areHurried = true }
    // Bytes that were delayed before may still be on their way, and block those behind them.
    world.run(until: world.lastArrival)
    // And a length that was damaged on its way holds up a connection until its frame is overdue.
    world.run(for: world.options.frameDeadline + patience)
    guard world.failure == nil else { return }
    let before = ids.map { world.term(of: $0) }.max() ?? .zero
    let forRoom = world.electionsForRoom
    world.run(for: patience)
    guard world.failure == nil else { return }
    let after = ids.map { world.term(of: $0) }.max() ?? .zero
    // A leader whose disk is short of room hands over, in peace too.
    let latest = before.rawValue + world.electionsForRoom - forRoom
    world.books.check(
      .stableTerm, after >= before && after.rawValue <= latest, "the term goes from \(before) to \(after) in peace")
  }

  private func catchUp(_ ids: [Int]) {
    world.stopClients()
    // Under a load that takes all that a link has, a learner never has the last of it.
    let doAllVote = world.run(within: 60_000_000_000) { ids.allSatisfy { world.votes($0) } }
    guard world.failure == nil else { return }
    world.books.check(
      .liveness, doAllVote, "a node whose disk was replaced does not vote again after healing: \(world.picture)")
    let isEqual = world.run(within: 60_000_000_000) {
      ids.allSatisfy { world.isUp($0) && Int(world.applied(by: $0).rawValue) == world.committed }
    }
    guard world.failure == nil else { return }
    let state = ids.map { "node \($0): \(world.isUp($0) ? "applied \(world.applied(by: $0))" : "down")" }
    world.books.check(
      .liveness, isEqual, "after healing the replicas do not become equal: \(state), committed \(world.committed)")
    // Longer than a call may be on its way, and any of the clients' time-outs after that.
    world.run(for: 6_000_000_000)
    guard world.failure == nil else { return }
    let unanswered = world.unansweredCalls.map { "call \($0.call) at node \($0.node)" }
    world.books.check(
      .noAnswerLost, unanswered.isEmpty, "in the end \(unanswered.joined(separator: ", ")) was never answered")
    let digests = ids.map { world.digest(of: $0) }
    world.books.check(.equalDigests, digests.allSatisfy { $0 == digests[0] }, "digests differ in the end")
  }
}
