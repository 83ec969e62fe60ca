/// The arithmetic of majorities. A joint configuration needs "separate majorities from both the old and new
/// configurations" (Raft section 6); an empty half agrees to everything.
package struct Quorum: Hashable, Sendable {
  package let incoming: [NodeID]
  package let outgoing: [NodeID]

  package init(incoming: [NodeID], outgoing: [NodeID] = []) {
    self.incoming = incoming
    self.outgoing = outgoing
  }

  package enum Outcome: Hashable, Sendable { case won, lost, pending }

  /// Has a majority of each half said yes, or can it no longer come about?
  package func outcome(of vote: (NodeID) -> Bool?) -> Outcome {
    let halves = [Self.outcome(incoming, vote), Self.outcome(outgoing, vote)]
    if halves.contains(.lost) { return .lost }
    return halves.contains(.pending) ? .pending : .won
  }

  package func isSatisfied(by holds: (NodeID) -> Bool) -> Bool {
    Self.majority(incoming, holds) && Self.majority(outgoing, holds)
  }

  /// The highest index that a majority of each half has reached.
  package func reached(_ index: (NodeID) -> LogIndex) -> LogIndex {
    min(Self.reached(incoming, index), Self.reached(outgoing, index))
  }

  private static func size(_ half: [NodeID]) -> Int {
    half.count / 2 + 1
  }

  private static func outcome(_ half: [NodeID], _ vote: (NodeID) -> Bool?) -> Outcome {
    let needed = half.isEmpty ? 0 : size(half)
    var yes = 0
    var no = 0
    for node in half {
      switch vote(node) {
      case true?: yes += 1
      case false?: no += 1
      case nil: break
      }
    }
    if yes >= needed { return .won }
    return half.count - no < needed ? .lost : .pending
  }

  private static func majority(_ half: [NodeID], _ holds: (NodeID) -> Bool) -> Bool {
    half.isEmpty || half.count(where: holds) >= size(half)
  }

  private static func reached(_ half: [NodeID], _ index: (NodeID) -> LogIndex) -> LogIndex {
    guard !half.isEmpty else { return LogIndex(.max) }
    // Selection by counting: no allocation, and a half has a handful of members.
    var best = LogIndex.zero
    for node in half {
      let candidate = index(node)
      if candidate > best, half.count(where: { index($0) >= candidate }) >= size(half) { best = candidate }
    }
    return best
  }
}
