import LockstepConsensus
import LockstepRequests
import LockstepWire

/// When a cluster serves: a node leads, and has committed and applied an entry of its own term, so that it holds
/// whatever was acknowledged before and can answer linearizable reads; and the others know it, so that they can pass
/// calls on.
struct Readiness {
  /// How long the node of --leader is waited for when another one leads, and the others when they do not follow.
  static let patience = Duration.seconds(5)

  private struct Claim: Equatable {
    let node: UInt64
    let term: UInt64
  }

  private let nodeCount: Int
  private let preferred: UInt64?
  private var claim: Claim?
  /// The leader's first entry of its term stands at or before this index.
  private var target: UInt64 = 0
  private var servedSince: ContinuousClock.Instant?

  init(nodes: Int, preferred: UInt64?) {
    nodeCount = nodes
    self.preferred = preferred
  }

  /// Takes what the nodes say of themselves at one moment; the leader, once it serves.
  mutating func observe(_ nodes: [NodeReport], now: ContinuousClock.Instant) -> UInt64? {
    let leaders = nodes.compactMap { node in node.groups.first.map { (node: node.node, group: $0) } }
      .filter { $0.group.role == .leader }
    // An older leader may not know yet that it leads no more.
    guard let leader = leaders.max(by: { $0.group.term < $1.group.term }), leader.group.lastIndex > 0 else {
      claim = nil
      return nil
    }
    let current = Claim(node: leader.node, term: leader.group.term)
    if claim != current {
      claim = current
      target = leader.group.lastIndex
    }
    guard leader.group.commitIndex >= target, leader.group.appliedIndex >= target else { return nil }
    let since = servedSince ?? now
    servedSince = since
    let followed = nodes.count { $0.groups.first?.leader == leader.node }
    let isComplete = followed == nodeCount && (preferred == nil || preferred == leader.node)
    return isComplete || since.duration(to: now) >= Self.patience ? leader.node : nil
  }
}
