import LockstepConsensus

/// A cluster of cores on one thread: the harness is their driver, disk, network and clock, and checks them after every
/// step. Nodes are numbered from 1.
final class TestCluster {
  let members: Members
  var limits: Limits
  var preferredLeader: NodeID?
  private let seed: UInt64
  private(set) var nodes: [TestNode] = []
  var network: TestNetwork
  var checks = ClusterChecks()
  /// In a run with honest peers there is nothing to complain about.
  var areViolationsExpected = false
  /// And no disk has been put back to another state.
  var areDivergencesExpected = false

  private var nextPayload: UInt64 = 1
  private var nextRead: UInt64 = 1
  private var nextSeed: UInt64

  /// Small enough that every limit is met within a few dozen steps.
  static var smallLimits: Limits {
    var limits = Limits()
    limits.electionTicks = 10
    limits.heartbeatTicks = 2
    limits.diskTicks = 25
    limits.appendBytes = 400
    limits.windowMessages = 4
    limits.windowBytes = 1000
    limits.cacheEntries = 8
    limits.cacheBytes = 1000
    limits.preferredLeaderTicks = 15
    limits.transferPauseTicks = 40
    return limits
  }

  init(_ count: Int, limits: Limits = TestCluster.smallLimits, preferredLeader: Int? = nil, seed: UInt64 = 1) {
    members = Members(voters: (1...count).map { NodeID(UInt64($0)) })
    self.limits = limits
    self.preferredLeader = preferredLeader.map { NodeID(UInt64($0)) }
    self.seed = seed
    nextSeed = seed &* 1_000_003
    network = TestNetwork(count: count)
    nodes = members.voters.map { TestNode(id: $0) }
    for node in nodes { start(node) }
    for node in nodes { restoreLinks(of: node) }
  }

  subscript(_ number: Int) -> TestNode { nodes[number - 1] }
  var failures: [String] { checks.failures }
  var leaders: [TestNode] { nodes.filter(\.isLeader) }
  /// The leader of the highest term.
  var leader: TestNode? { leaders.max { $0.term < $1.term } }

  // MARK: Steps

  func step(_ node: TestNode, _ event: LocalEvent) {
    if case .proposed(let sizes) = event { node.proposed = sizes }
    step(node) { replica, effects in replica.step(event, into: &effects) }
  }

  func turn(_ node: TestNode) { step(node, .turnEnded) }

  func receive(_ envelope: TestEnvelope, at node: TestNode, from peer: NodeID) {
    var entries = ReceivedEntries.none
    if case .append(let request) = envelope.message {
      entries = ReceivedEntries(first: request.entries.first, envelope.entries)
      node.received = envelope.entries
      node.receivedFirst = request.entries.first
    }
    let before = node.replica?.hardState
    meet(nodes.first { $0.id == peer }, at: node)
    step(node) { replica, effects in replica.step(envelope.message, entries: entries, from: peer, into: &effects) }
    if case .vote(let request) = envelope.message, request.isPreVote, node.replica?.hardState != before {
      checks.fail("a pre-vote request changed the term or vote of node \(node.id)")
    }
  }

  /// A handshake comes before all that a node says, and tells of its disk.
  private func meet(_ peer: TestNode?, at node: TestNode) {
    guard let peer, peer.isDiskReplaced, node.isUp else { return }
    step(node, .diskReplaced(peer.memberDisk))
  }

  private func step(_ node: TestNode, _ body: (inout Replica, inout [Effect]) -> Void) {
    guard node.replica != nil else { return }
    var effects: [Effect] = []
    body(&node.replica!, &effects)
    for effect in effects { carryOut(effect, on: node) }
    node.effects += effects
    checks.stepped(node)
  }

  private func carryOut(_ effect: Effect, on node: TestNode) {
    switch effect {
    case .append(let first, let count, let content): make(first, count, content, on: node)
    case .accept(let slice):
      if node.isLeader { checks.fail("leader append-only: node \(node.id) accepts \(slice) as the leader") }
      let skipped = Int(slice.first.rawValue - node.receivedFirst.rawValue)
      node.entries.removeSubrange((Int(slice.first.rawValue) - 1)...)
      node.entries += node.received[skipped...]
      for index in slice.first.rawValue...slice.last.rawValue { checks.entryPlaced(on: node, at: LogIndex(index)) }
    case .store(let write):
      let entries = write.entries.map { node.entries($0) }
      node.writes.append(
        TestWrite(id: write.id, hardState: write.hardState, first: write.entries?.first ?? .zero, entries: entries))
    case .send(let message, let peer):
      checks.isSent(message, by: node, to: peer)
      var entries: [TestEntry] = []
      if case .append(let request) = message { entries = node.entries(request.entries) }
      network.send(TestEnvelope(message: message, entries: entries), from: node.id, to: peer)
    case .load(let peer, let from, let bytes): node.loads.append((peer, from, bytes))
    case .commit(let index): checks.isCommitted(node, through: index, nodes: nodes)
    case .readReady(let id, let index): checks.readEnded(id, on: node.id, at: index)
    case .readRefused(let id, _): checks.readEnded(id, on: node.id, at: nil)
    case .diverged(let index):
      if !areDivergencesExpected { checks.fail("node \(node.id) says that the leader contradicts entry \(index)") }
    case .protocolViolation(let peer, let violation):
      if !areViolationsExpected { checks.fail("node \(node.id) accuses \(peer): \(violation)") }
    case .snapshotNeeded, .reset: checks.fail("node \(node.id) wants a snapshot, and no log here is compacted")
    case .proposalRefused, .roleChanged, .diskIsSlow, .diskAnswersAgain, .configured: break
    }
  }

  private func make(_ first: EntryID, _ count: Int, _ content: AppendedContent, on node: TestNode) {
    if first.index.rawValue != UInt64(node.entries.count) + 1 || first.term != node.term {
      checks.fail("node \(node.id) appends \(first) behind \(node.entries.count) entries")
    }
    for place in 0..<count {
      var bytes = 40
      var members: Members?
      switch content {
      case .proposal: bytes += node.proposed[place]
      case .noOperation: break
      case .configuration(let next): members = next
      }
      node.entries.append(TestEntry(term: first.term, payload: nextPayload, bytes: bytes, members: members))
      nextPayload += 1
      checks.entryPlaced(on: node, at: LogIndex(first.index.rawValue + UInt64(place)))
    }
  }

  // MARK: Clients

  func propose(_ node: TestNode, _ sizes: [Int] = [10]) { step(node, .proposed(sizes: sizes)) }

  @discardableResult func read(_ node: TestNode) -> ReadID {
    let id = ReadID(nextRead)
    nextRead += 1
    guard node.isUp else { return id }
    checks.readBegan(id, on: node.id)
    step(node, .readRequested(id))
    return id
  }

  // MARK: Disk

  /// The first writes of a node reach its disk.
  func completeWrites(_ node: TestNode, _ count: Int = .max) {
    guard let last = node.writes.prefix(count).last else { return }
    for write in node.writes.prefix(count) { node.disk.apply(write) }
    node.writes.removeFirst(min(count, node.writes.count))
    step(node, .stored(last.id))
  }

  func completeLoads(_ node: TestNode, succeeding: Bool = true) {
    let loads = node.loads
    node.loads = []
    for load in loads {
      guard succeeding, node.entry(at: load.from) != nil else {
        step(node, .loaded(load.node, nil, bytes: 0))
        continue
      }
      var last = load.from
      var bytes = node.entry(at: last)!.bytes
      while let next = node.entry(at: LogIndex(last.rawValue + 1)), bytes + next.bytes <= load.maximumBytes {
        last = LogIndex(last.rawValue + 1)
        bytes += next.bytes
      }
      step(node, .loaded(load.node, LogSlice(first: load.from, last: last), bytes: bytes))
    }
  }

  func crash(_ node: TestNode, keepingWrites kept: Int = 0, tornAfter torn: Int?? = .none) {
    node.stop(keepingWrites: kept, tornAfter: torn)
    checks.readsAbandoned(on: node.id)
  }

  func start(_ node: TestNode) {
    nextSeed &+= 1
    node.start(
      .init(
        id: node.id, members: members, preferredLeader: preferredLeader, limits: limits, seed: nextSeed,
        disk: node.memberDisk.disk, isDiskReplaced: node.isDiskReplaced))
    checks.restarted(node)
  }

  /// Its disk is gone, and all that was under way to it and from it; it starts with an empty one in its place.
  func replaceDisk(_ node: TestNode) {
    if node.isUp { crash(node) }
    for peer in nodes {
      network[node.id, peer.id].queue = []
      network[peer.id, node.id].queue = []
      if peer.id != node.id { step(peer, .linkLost(node.id)) }
    }
    node.formerDisks.append(node.disk)
    node.disk = TestDisk()
    restart(node)
  }

  /// By all that is committed it votes with the disk that it has.
  func isSound(_ node: TestNode) -> Bool {
    guard node.isDiskReplaced else { return true }
    guard let members = checks.committed.last(where: { $0.entry.members != nil })?.entry.members else { return false }
    return members.isVoter(node.id) && members.disks.contains(node.memberDisk)
  }

  func restart(_ node: TestNode) {
    if node.isUp { crash(node) }
    start(node)
    restoreLinks(of: node)
  }

  // MARK: Network

  private func restoreLinks(of node: TestNode) {
    for peer in nodes where peer.id != node.id && peer.isUp {
      meet(peer, at: node)
      meet(node, at: peer)
      step(node, .linkRestored(peer.id))
      step(peer, .linkRestored(node.id))
    }
  }

  /// Delivers the message at this place of a link's queue.
  func deliver(_ from: Int, _ to: Int, at place: Int = 0, keeping: Bool = false) {
    let (sender, receiver) = (self[from].id, self[to].id)
    guard place < network[sender, receiver].queue.count else { return }
    let envelope = network[sender, receiver].queue[place]
    if !keeping { network[sender, receiver].queue.remove(at: place) }
    receive(envelope, at: self[to], from: sender)
  }

  func partition(_ groups: [Int]...) { network.partition(groups.map { $0.map { NodeID(UInt64($0)) } }) }

  /// All links work again, and each node knows.
  func heal() {
    network.forEach { link in
      link.isCut = false
      link.isHeld = false
    }
    for node in nodes {
      for peer in nodes where peer.id != node.id { step(node, .linkRestored(peer.id)) }
    }
  }

  // MARK: Time

  /// Turns, deliveries, writes and loads, until nothing moves that is not held back.
  func settle(maximumRounds: Int = 2000) {
    for _ in 0..<maximumRounds {
      for node in nodes where node.isUp { turn(node) }
      if !moveOnce() { return }
    }
    checks.fail("no rest after \(maximumRounds) rounds")
  }

  private func moveOnce() -> Bool {
    var moved = false
    for node in nodes where node.isUp && !node.isDiskStalled {
      if !node.writes.isEmpty || !node.loads.isEmpty { moved = true }
      completeWrites(node)
      completeLoads(node)
    }
    for place in network.links.indices where !network.links[place].isHeld {
      let (from, to) = network.ends(of: place)
      let queue = network.links[place].queue
      if queue.isEmpty { continue }
      moved = true
      network[from, to].queue = []
      for envelope in queue { receive(envelope, at: nodes[Int(to.rawValue) - 1], from: from) }
    }
    return moved
  }

  /// Time passes on all nodes, and all that it brings about comes to rest after each tick.
  func pass(_ ticks: Int) {
    for _ in 0..<ticks {
      for node in nodes { step(node, .tick) }
      settle()
    }
  }
}
