import LockstepConsensus
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

/// Random calls on random nodes while links break, disks stall and leaders change; then peace, and the books are
/// compared.
private struct Chaos {
  let world: World
  var random: SplitMix
  let sinks = (0..<3).map { _ in FakeSink() }
  var commands: [UInt64: [UInt8]] = [:]
  var queries: [UInt64] = []
  var nextID: UInt64 = 1

  init(seed: UInt64) throws {
    world = try World(3) { $0.applyBytes = 300 }
    random = SplitMix(seed)
  }

  mutating func callSomebody() throws {
    let id = nextID
    nextID += 1
    let node = 1 + UInt64(random.below(3))
    let timeout = UInt64([0, 30, 200, 2000][random.below(4)])
    let sink = sinks[Int(node) - 1]
    if random.oneIn(4) {
      queries.append(id)
      let level = [0, Consistency.any.number, Consistency.at(0).number][random.below(3)]
      let index = world[node].replica.log.last.rawValue + UInt64(random.below(3))
      try world[node].call(sink, id, method: "t/Read") {
        $0.timeoutMilliseconds = timeout
        $0.read = level
        $0.readIndex = index
      }
    } else {
      let payload = withUnsafeBytes(of: id) { Array($0) } + Array(repeating: 1, count: random.below(40))
      commands[id] = payload
      try world[node].call(sink, id, payload) { $0.timeoutMilliseconds = timeout }
    }
  }

  mutating func disturb() {
    let node = 1 + UInt64(random.below(3))
    switch random.below(8) {
    case 0: world.isolate(node)
    case 1, 2: world.isolate(node, false)
    case 3: world.setLink(node, node % 3 + 1, isUp: random.oneIn(2))
    case 4: world.heldDisks = [NodeID(node)]
    case 5: world.heldDisks = []
    case 6: world[node].node.transferLeadership(of: .first, to: NodeID(node % 3 + 1))
    default: world.wall -= UInt64(random.below(1_000_000_000))
    }
  }

  mutating func run(steps: Int) throws {
    for _ in 0..<steps {
      if random.oneIn(6) { disturb() }
      for _ in 0..<random.below(4) { try callSomebody() }
      // Now and then one node's clock runs ahead, so that elections come about.
      if random.oneIn(5) {
        try world.tick(random.below(12), only: [1 + UInt64(random.below(3))])
      } else {
        try world.tick()
      }
    }
    world.heldDisks = []
    for node in 1...3 as ClosedRange<UInt64> { world.isolate(node, false) }
    try world.tick(700)
  }

  func check() throws {
    let leader = try #require(world.nodes.first { $0.isLeader })
    let lines = leader.tape.lines
    for node in world.nodes {
      #expect(node.node.failure == nil && node.journal.violations == 0)
      #expect(node.tape.lines == lines)
      #expect(node.tape.times == node.tape.times.sorted())
      // Commands that were cut off too, whose places in the log nothing may ever take.
      #expect(node.node.underWay.forwards == 0 && node.group.permits == (0, 0))
      #expect(node.node.underWay.calls == 0 && node.node.underWay.bytes == 0)
    }
    let replies = sinks.flatMap(\.replies)
    #expect(replies.count == commands.count + queries.count, "every call is answered")
    #expect(Set(replies.map(\.id)).count == replies.count, "no call is answered twice")
    for reply in replies {
      guard let payload = commands[reply.id] else { continue }
      let times = lines.count { $0 == payload }
      switch reply.applied {
      case .yes: #expect(times == 1, "call \(reply.id) was said to be applied")
      case .no: #expect(times == 0, "call \(reply.id) was said not to be applied: \(reply.message)")
      case .unknown: #expect(times <= 1)
      }
      if reply.code == 0 { #expect(reply.applied == .yes) }
    }
  }
}

@Suite("Chaos, from seeds")
struct ChaosTests {
  @Test(
    "chaos: each call is answered once, no is never, yes is once, nothing is left over",
    arguments: 1...8 as ClosedRange<UInt64>)
  func chaos(seed: UInt64) throws {
    var chaos = try Chaos(seed: seed)
    try chaos.run(steps: 500)
    try chaos.check()
    #expect(chaos.world[1].replica.term > Term(1), "the lead changed")
  }
}
