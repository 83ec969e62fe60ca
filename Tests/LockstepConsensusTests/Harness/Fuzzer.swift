import LockstepConsensus

/// A random schedule, drawn from a seed: what fails fails again with the same number.
struct Fuzzer {
  /// How often each fault comes, of 1000 steps; a seed has its own mix.
  private struct Mood {
    var drop = 0
    var duplicate = 0
    var reorder = 0
    var crash = 0
    var partition = 0
    var flap = 0
    var transfer = 0
    var garbage = 0
    var slowDisk = 0
    var replaceDisk = 0
    /// Impatience: time that passes on one node only.
    var tick = 0
  }

  private let cluster: TestCluster
  private var generator: Generator
  private var mood = Mood()
  private var replaced = 0

  private init(seed: UInt64) {
    var generator = Generator(seed: seed)
    let count = 1 + generator.below(5)
    var limits = TestCluster.smallLimits
    limits.windowMessages = 1 + generator.below(5)
    limits.cacheEntries = 1 + generator.below(20)
    limits.appendBytes = 50 + generator.below(400)
    limits.uncommittedBytes = 500 + generator.below(5000)
    limits.unstoredBytes = limits.uncommittedBytes
    limits.waitingReads = 1 + generator.below(30)
    let preferred = generator.below(3) == 0 ? 1 + generator.below(count) : nil
    cluster = TestCluster(count, limits: limits, preferredLeader: preferred, seed: seed)
    func rate(_ maximum: Int) -> Int { generator.below(2) == 0 ? 0 : generator.below(maximum) + 1 }
    mood.drop = rate(100)
    mood.duplicate = rate(150)
    mood.reorder = rate(400)
    mood.crash = rate(12)
    mood.partition = rate(8)
    mood.flap = rate(15)
    mood.transfer = rate(10)
    mood.garbage = rate(20)
    mood.slowDisk = rate(900)
    mood.tick = rate(300)
    // Drawn last, so that older seeds still draw what they drew.
    mood.replaceDisk = rate(6)
    self.generator = generator
  }

  struct Outcome {
    var failures: [String] = []
    var elections = 0
    var committed = 0
    var reads = 0
    var replaced = 0
  }

  static func run(seed: UInt64, steps: Int) -> Outcome {
    var fuzzer = Fuzzer(seed: seed)
    for _ in 0..<steps where fuzzer.cluster.failures.isEmpty { fuzzer.step() }
    fuzzer.heal()
    let checks = fuzzer.cluster.checks
    return Outcome(
      failures: checks.failures, elections: checks.elections, committed: checks.committed.count,
      reads: checks.readsAnswered, replaced: fuzzer.replaced)
  }

  private mutating func chance(_ rate: Int) -> Bool { generator.below(1000) < rate }
  private mutating func anyNode() -> TestNode { cluster.nodes[generator.below(cluster.nodes.count)] }

  private mutating func step() {
    fault()
    if chance(mood.tick) { cluster.step(anyNode(), .tick) }
    switch generator.below(100) {
    case ..<45: deliver()
    case ..<62: cluster.turn(anyNode())
    case ..<80: storage(anyNode())
    case ..<84: cluster.step(anyNode(), .tick)
    case ..<87: for node in cluster.nodes { cluster.step(node, .tick) }
    case ..<94: propose()
    default: cluster.read(anyNode())
    }
  }

  private mutating func propose() {
    let node = generator.below(4) == 0 ? anyNode() : cluster.leader ?? anyNode()
    let count = 1 + generator.below(4)
    cluster.propose(node, (0..<count).map { _ in generator.below(150) })
  }

  private mutating func deliver() {
    let links = cluster.network.links
    let start = generator.below(links.count)
    for offset in 0..<links.count {
      let place = (start + offset) % links.count
      let waiting = links[place].queue.count
      if waiting == 0 { continue }
      let (from, to) = cluster.network.ends(of: place)
      let which = chance(mood.reorder) ? generator.below(waiting) : 0
      if chance(mood.drop) {
        cluster.network[from, to].queue.remove(at: which)
        return
      }
      // A late copy stays in the queue, but not for ever.
      let isKept = waiting < 40 && chance(mood.duplicate)
      cluster.deliver(Int(from.rawValue), Int(to.rawValue), at: which, keeping: isKept)
      return
    }
  }

  private mutating func storage(_ node: TestNode) {
    if chance(mood.slowDisk) { return }
    if generator.below(3) == 0 { return cluster.completeLoads(node, succeeding: generator.below(5) > 0) }
    cluster.completeWrites(node, generator.below(3) == 0 ? 1 : .max)
  }

  private mutating func fault() {
    if chance(mood.crash) { crash() }
    if chance(mood.partition) { partition() }
    if chance(mood.flap) {
      let (node, peer) = (anyNode(), anyNode())
      if node.id != peer.id {
        if generator.below(2) == 0 { cluster.network[node.id, peer.id].queue = [] }
        cluster.step(node, .linkLost(peer.id))
        if generator.below(4) > 0 { cluster.step(node, .linkRestored(peer.id)) }
      }
    }
    if chance(mood.transfer) { cluster.step(cluster.leader ?? anyNode(), .transferRequested(anyNode().id)) }
    if chance(mood.garbage) { garbage() }
    if mood.replaceDisk > 0, chance(mood.replaceDisk) { replaceDisk() }
  }

  /// What is lost may never be more than a minority: nodes that do not vote yet are as good as lost.
  private mutating func replaceDisk() {
    let node = anyNode()
    let lost = cluster.nodes.count { $0.id == node.id || !cluster.isSound($0) }
    guard 2 * lost < cluster.nodes.count, node.formerDisks.count < 15 else { return }
    replaced += 1
    cluster.replaceDisk(node)
  }

  private mutating func crash() {
    let node = anyNode()
    guard node.isUp else { return cluster.restart(node) }
    let kept = generator.below(node.writes.count + 1)
    switch generator.below(3) {
    case 0: cluster.crash(node, keepingWrites: kept)
    case 1: cluster.crash(node, keepingWrites: kept, tornAfter: .some(nil))
    default: cluster.crash(node, keepingWrites: kept, tornAfter: .some(generator.below(4)))
    }
    if generator.below(2) == 0 { cluster.restart(node) }
  }

  private mutating func partition() {
    switch generator.below(4) {
    case 0:
      cluster.heal()
    case 1:  // one way
      let (from, to) = (anyNode(), anyNode())
      if from.id != to.id { cluster.network[from.id, to.id].isCut = true }
    default:
      var halves: [[NodeID]] = [[], []]
      for node in cluster.nodes { halves[generator.below(2)].append(node.id) }
      cluster.network.partition(halves)
    }
  }

  /// A message that no honest node sends, to any node from any other or from a stranger: it must change nothing.
  private mutating func garbage() {
    let node = anyNode()
    guard let replica = node.replica else { return }
    let stranger = NodeID(UInt64(cluster.nodes.count) + 1)
    var peer = anyNode().id
    if peer == node.id { peer = stranger }
    cluster.areViolationsExpected = true
    let envelope = Garbage.impossible(for: replica, &generator)
    cluster.receive(envelope, at: node, from: peer)
    cluster.areViolationsExpected = false
    guard let after = node.replica else { return }
    if after.hardState != replica.hardState || after.role != replica.role || after.log.lastID != replica.log.lastID
      || after.commit != replica.commit
    {
      cluster.checks.fail("node \(node.id) is changed by \(envelope.message)")
    }
  }

  /// "Liveness within 10 election time-outs after healing": a leader, a write of its own, equal logs, no open read.
  private mutating func heal() {
    guard cluster.failures.isEmpty else { return }
    for node in cluster.nodes where !node.isUp { cluster.restart(node) }
    cluster.heal()
    cluster.settle()
    var ticks = 0
    while ticks < 10 * cluster.limits.electionTicks, cluster.leader.map({ $0.commit == .zero }) ?? true {
      cluster.pass(1)
      ticks += 1
    }
    guard cluster.leader != nil else { return cluster.checks.fail("no leader \(ticks) ticks after healing") }
    // A transfer or the named leader may still move the lead: what counts is that writes come through.
    let before = cluster.checks.committedIndex
    for _ in 0..<10 * cluster.limits.electionTicks where cluster.checks.committedIndex <= before {
      if let leader = cluster.leader { cluster.propose(leader) }
      cluster.pass(1)
    }
    if cluster.checks.committedIndex <= before { cluster.checks.fail("no write comes through after healing") }
    cluster.pass(3 * cluster.limits.electionTicks)
    // The lead may have moved with the last tick.
    for _ in 0..<3 * cluster.limits.electionTicks where !cluster.areLogsEqual { cluster.pass(1) }
    if !cluster.areLogsEqual { cluster.checks.fail("the logs differ after healing: \(cluster.summary)") }
    for _ in 0..<10 * cluster.limits.electionTicks where !cluster.nodes.allSatisfy({ cluster.isSound($0) }) {
      cluster.pass(1)
    }
    if !cluster.nodes.allSatisfy({ cluster.isSound($0) }) {
      cluster.checks.fail("a node with a replaced disk does not vote again: \(cluster.summary)")
    }
    if cluster.checks.openReads > 0 { cluster.checks.fail("\(cluster.checks.openReads) reads are never answered") }
  }
}
