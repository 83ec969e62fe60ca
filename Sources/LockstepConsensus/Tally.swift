/// The votes of one candidacy.
package struct Tally: Sendable {
  private var votes: [(node: NodeID, isGranted: Bool)] = []
  package init() {}

  /// The first answer of a node counts; a repeated one changes nothing.
  package mutating func record(_ node: NodeID, isGranted: Bool) {
    if vote(of: node) == nil { votes.append((node, isGranted)) }
  }

  package func vote(of node: NodeID) -> Bool? { votes.first { $0.node == node }?.isGranted }
}
