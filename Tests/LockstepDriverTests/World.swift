import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

/// Some nodes, one clock, and a network that loses whatever a test wants lost. Nothing here has a time of its own.
final class World {
  static let tickLength: UInt64 = 10_000_000

  private(set) var nodes: [TestNode]
  var now: UInt64 = 1_000_000_000
  var wall: UInt64 = 1_700_000_000_000_000_000
  /// Nodes whose disks do not answer.
  var heldDisks: [NodeID] = []
  /// Asked for every frame before it arrives.
  var passes: (_ from: NodeID, _ frame: FakeLinks.Frame) -> Bool = { _, _ in true }
  private var sent: [FrameKind] = []

  init(
    _ count: UInt64, limits: (inout DriverLimits) -> Void = { _ in }, core: (inout Limits) -> Void = { _ in },
    clock: @escaping () -> UInt64 = { 0 }
  ) throws {
    nodes = try (1...count).map { try TestNode(configuration($0, of: count, limits: limits, core: core), clock: clock) }
    for node in nodes { connect(node) }
  }

  subscript(id: UInt64) -> TestNode { nodes[Int(id) - 1] }

  private func connect(_ node: TestNode) {
    node.node.advanceClock(now: now, wall: wall)
    for peer in nodes where peer.id != node.id { node.node.linkChanged(peer.id, isUp: true) }
  }

  /// Both directions between these two.
  func setLink(_ one: UInt64, _ other: UInt64, isUp: Bool) {
    for (from, to) in [(one, other), (other, one)] {
      let node = self[from]
      let peer = NodeID(to)
      guard node.links.isConnected(peer) != isUp else { continue }
      node.links.down.removeAll { $0 == peer }
      if !isUp {
        node.links.down.append(peer)
        node.links.frames.removeAll { $0.to == peer }
      }
      node.node.linkChanged(peer, isUp: isUp)
    }
  }

  func isolate(_ id: UInt64, _ isAlone: Bool = true) {
    for node in nodes where node.id.rawValue != id { setLink(id, node.id.rawValue, isUp: !isAlone) }
  }

  /// Time passes for all nodes, or for these alone.
  func tick(_ count: Int = 1, only ids: [UInt64]? = nil) throws {
    for _ in 0..<count {
      now += Self.tickLength
      wall += Self.tickLength
      for node in nodes where ids?.contains(node.id.rawValue) ?? true { node.node.tick(now: now, wall: wall) }
      try settle()
    }
  }

  /// Turns, disks and links, until nothing happens any more.
  func settle() throws {
    for _ in 0..<10_000 {
      var isQuiet = true
      for node in nodes {
        if node.node.turn(now: now, wall: wall) { isQuiet = false }
        if !heldDisks.contains(node.id), node.answerDisk() { isQuiet = false }
        let frames = node.links.frames
        node.links.frames.removeAll()
        for frame in frames {
          isQuiet = false
          sent.append(frame.kind)
          guard let target = nodes.first(where: { $0.id == frame.to }), passes(node.id, frame) else { continue }
          try target.receive(frame.kind, frame.payload, from: node.id)
        }
      }
      if isQuiet { return }
    }
    Issue.record("the nodes do not come to rest")
  }

  /// How many frames of this kind the nodes have sent.
  func sent(_ kind: FrameKind) -> Int { sent.count { $0 == kind } }

  /// Makes this node the leader: by a transfer where there is a leader, by its patience where there is none.
  func elect(_ id: UInt64) throws {
    let node = self[id]
    for round in 0..<200 where !node.isLeader {
      let leader = nodes.first { $0.isLeader && $0.links.isConnected(node.id) }
      if let leader {
        leader.node.transferLeadership(of: .first, to: node.id)
        try tick()
      } else {
        // The others must have missed their leader for a while before they vote for another one.
        try tick(only: round < 11 ? nil : [id])
      }
    }
    try #require(node.isLeader)
    try tick(2)
  }

  /// Waits, in ticks, for a condition.
  func run(upTo ticks: Int = 400, until condition: () -> Bool) throws {
    for _ in 0..<ticks where !condition() { try tick() }
    try #require(condition())
  }
}
