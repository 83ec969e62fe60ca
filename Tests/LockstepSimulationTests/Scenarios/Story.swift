import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepSimulation

/// A world without chance of harm: what goes wrong is what a script says.
final class Story {
  let world: World

  static let second: UInt64 = 1_000_000_000
  private static let first: UInt8 = 0

  init(
    nodes: Int, clients: Int = 0, preferred: UInt64? = nil, seed: UInt64 = 1, contents: ClosedRange<Int>? = nil,
    _ configure: (inout WorldOptions) -> Void = { _ in }
  ) throws {
    var options = WorldOptions(seed: seed)
    options.nodes = nodes
    options.clients = clients
    options.limits.electionTicks = 20
    options.limits.heartbeatTicks = 3
    options.preferredLeader = preferred.map { NodeID($0) }
    configure(&options)
    world = World(
      options, workload: RegisterWorkload(registers: 4, padding: 0...40, queriesIn: 4, contents: contents))
    world.start()
    if clients > 0 { world.startClients() }
    _ = try leader()
  }

  /// Waits for a leader that has committed something of its own.
  func leader(besides former: Int? = nil, within seconds: UInt64 = 10) throws -> Int {
    let isThere = world.run(within: seconds * Self.second) { [world] in
      world.leader.map { $0 != former && world.applied(by: $0) > .zero } ?? false
    }
    try #require(isThere, "no leader: \(world.picture)")
    return try #require(world.leader)
  }

  var followers: [Int] { (1...world.options.nodes).filter { $0 != world.leader } }
  func pass(_ seconds: Double) { world.run(for: UInt64(seconds * 1_000_000_000)) }

  /// Returns what became of it: an answer, a refusal that is certain, or nobody knows.
  @discardableResult
  func put(_ value: UInt64, at id: Int, timeout: UInt64 = 2000, padding: Int = 0) -> CallOutcome? {
    let request = Registers.Request(
      operation: .put, register: Self.first, number: world.callNumber + 1, first: value, second: 0)
    return world.ask(request.encoded(padding: padding), method: "c", isQuery: false, at: id, timeout: timeout)
  }

  func get(at id: Int, _ level: Consistency = .linearizable, timeout: UInt64 = 2000) -> UInt64? {
    let request = Registers.Request(
      operation: .get, register: Self.first, number: world.callNumber + 1, first: 0, second: 0)
    let outcome = world.ask(
      request.encoded(padding: 0), method: "qq", isQuery: true, at: id, read: level, timeout: timeout)
    guard case .answered(let bytes)? = outcome else { return nil }
    return RegisterOperation.Answer(bytes)?.value
  }

  func isAnswered(_ outcome: CallOutcome?) -> Bool {
    if case .answered? = outcome { true } else { false }
  }

  /// Everybody is up and has applied all that is committed, and all are equal.
  func allAreEqual(within seconds: UInt64 = 20) throws {
    world.stopClients()
    let ids = Array(1...world.options.nodes)
    let isEqual = world.run(within: seconds * Self.second) { [world] in
      ids.allSatisfy { world.isUp($0) && world.applied(by: $0).rawValue == UInt64(world.committed) }
    }
    #expect(isEqual, "\(world.picture)")
    #expect(Set(ids.map { world.digest(of: $0) }).count == 1)
    nothingIsBroken()
  }

  func nothingIsBroken() { #expect(world.failure == nil, "\(world.failure?.description ?? "")") }
}
