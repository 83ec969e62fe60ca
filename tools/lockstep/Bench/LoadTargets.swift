import Lockstep

/// Where the clients of a load connect, and where each goes on when its node is gone or leads no more.
struct LoadTargets: Sendable, Equatable {
  /// Never empty.
  let endpoints: [Endpoint]
  /// Where the clients begin, one after the other: places of `endpoints`. Never empty.
  let first: [Int]
  /// The place of each node whose number is known.
  private let places: [UInt64: Int]
  /// A client goes where the leader is, as soon as an answer names another one.
  let followsLeader: Bool

  init(endpoints: [Endpoint], first: [Int]? = nil, nodes: [(node: UInt64, place: Int)] = [], followsLeader: Bool) {
    self.endpoints = endpoints
    self.first = first ?? Array(endpoints.indices)
    places = Dictionary(nodes.map { ($0.node, $0.place) }, uniquingKeysWith: { first, _ in first })
    self.followsLeader = followsLeader
  }

  /// Where a client has to go that hears of this leader; nil: it stays.
  func place(ofLeader node: UInt64) -> Int? { followsLeader && node != 0 ? places[node] : nil }
}
