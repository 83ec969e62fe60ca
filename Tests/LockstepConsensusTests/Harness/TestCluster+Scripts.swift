import LockstepConsensus
import Testing

/// Runs a script on a fresh cluster and shows what it broke.
func script(
  _ count: Int, limits: Limits = TestCluster.smallLimits, preferredLeader: Int? = nil,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (TestCluster) -> Void
) {
  let cluster = TestCluster(count, limits: limits, preferredLeader: preferredLeader)
  body(cluster)
  #expect(cluster.failures == [], sourceLocation: sourceLocation)
}

extension TestCluster {
  /// Lets this node win an election that the others take part in: their patience with an old leader runs out, and their
  /// own candidacies are lost on the way.
  func elect(_ number: Int, with others: [Int]? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
    let candidate = self[number]
    let voters = others.map { $0.map { self[$0] } } ?? nodes.filter { $0.isUp && $0.id != candidate.id }
    for voter in voters {
      for _ in 0..<limits.electionTicks { step(voter, .tick) }
      turn(voter)
      for peer in nodes {
        network[voter.id, peer.id].queue.removeAll {
          if case .vote = $0.message { true } else { false }
        }
      }
    }
    candidate.effects = []
    func hasBegun() -> Bool {
      candidate.effects.contains { if case .roleChanged(.preCandidate, _, _) = $0 { true } else { false } }
    }
    while !hasBegun(), !candidate.isLeader { step(candidate, .tick) }
    settle()
    #expect(candidate.isLeader, "\(summary)", sourceLocation: sourceLocation)
  }

  /// Restarts a node from a disk with entries of these terms. Entries of a term and index are the same on all nodes.
  func place(_ number: Int, log terms: [UInt64], term: UInt64, vote: Int? = nil, commit: UInt64 = 0) {
    let node = self[number]
    crash(node)
    node.disk.hardState = HardState(
      term: Term(term), vote: vote.map { NodeID(UInt64($0)) }, commit: LogIndex(commit))
    node.disk.entries = terms.enumerated().map { place, term in
      TestEntry(term: Term(term), payload: term << 32 | UInt64(place), bytes: 50, members: nil)
    }
    start(node)
  }

  /// Proposes and comes to rest.
  func write(_ number: Int, _ count: Int = 1) {
    for _ in 0..<count { propose(self[number]) }
    settle()
  }

  func hold(_ from: Int, _ to: Int) { network[self[from].id, self[to].id].isHeld = true }
  func release(_ from: Int, _ to: Int) { network[self[from].id, self[to].id].isHeld = false }
  func cut(_ from: Int, _ to: Int) { network[self[from].id, self[to].id].isCut = true }
  func lose(_ from: Int, _ to: Int) { network[self[from].id, self[to].id].queue = [] }
  func queue(_ from: Int, _ to: Int) -> [Message] { network[self[from].id, self[to].id].queue.map(\.message) }

  /// What every node is and has, for a failure.
  var summary: String {
    nodes.map { node in
      guard let replica = node.replica else { return "\(node.id) is down" }
      let peers = replica.progress.map {
        "\($0.node): \($0.state.rawValue) \($0.match)<\($0.next), link \($0.isLinkUp), window \($0.windowCount)"
      }
      return "\(node.id) \(replica.role.kind) term \(replica.term) last \(replica.log.lastID) commit \(replica.commit)"
        + " \(peers)"
    }.joined(separator: "; ")
  }

  /// The terms of a node's log.
  func terms(_ number: Int) -> [UInt64] { self[number].entries.map(\.term.rawValue) }

  var areLogsEqual: Bool { nodes.allSatisfy { $0.entries == nodes[0].entries && $0.commit == nodes[0].commit } }
}
