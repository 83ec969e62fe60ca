import LockstepConsensus

/// A message on its way, with the entries as the sender had them when it sent.
struct TestEnvelope {
  let message: Message
  let entries: [TestEntry]
}

/// One direction between two nodes.
struct TestLink {
  var queue: [TestEnvelope] = []
  /// What is sent is lost.
  var isCut = false
  /// What is sent stays in the queue until the script delivers it.
  var isHeld = false
}

/// All links of a cluster, in a flat array, so that a run is the same every time.
struct TestNetwork {
  let count: Int
  private(set) var links: [TestLink]

  init(count: Int) {
    self.count = count
    links = Array(repeating: TestLink(), count: count * count)
  }

  private func place(_ from: NodeID, _ to: NodeID) -> Int {
    Int(from.rawValue - 1) * count + Int(to.rawValue - 1)
  }

  func ends(of place: Int) -> (from: NodeID, to: NodeID) {
    (NodeID(UInt64(place / count) + 1), NodeID(UInt64(place % count) + 1))
  }

  subscript(_ from: NodeID, _ to: NodeID) -> TestLink {
    get { links[place(from, to)] }
    _modify { yield &links[place(from, to)] }
  }

  mutating func send(_ envelope: TestEnvelope, from: NodeID, to: NodeID) {
    guard to.rawValue >= 1, to.rawValue <= count, !self[from, to].isCut else { return }
    self[from, to].queue.append(envelope)
  }

  mutating func forEach(_ change: (inout TestLink) -> Void) {
    for place in links.indices { change(&links[place]) }
  }

  /// Cuts every link between nodes of different groups; what is under way is lost too.
  mutating func partition(_ groups: [[NodeID]]) {
    for place in links.indices {
      let (from, to) = ends(of: place)
      let together = groups.contains { $0.contains(from) && $0.contains(to) }
      links[place].isCut = !together
      if !together { links[place].queue = [] }
    }
  }
}
