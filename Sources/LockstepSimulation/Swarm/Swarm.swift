import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepRequests
import LockstepWire
import LockstepStorage

/// What one seed draws: how large the cluster is, how it is loaded and limited, which faults occur in it, and how often.
struct Swarm {
  let options: WorldOptions
  let registers: Int
  let padding: ClosedRange<Int>
  let queriesIn: Int
  /// Of what some puts make the content of their register.
  let contents: ClosedRange<Int>?
  /// How long faults are injected, in virtual nanoseconds.
  let duration: UInt64
  let network: NetworkFaults
  let disk: DiskFaults
  let crashes: World.CrashOdds
  /// What happens to nodes, links and clocks as a whole, and the mean time between two such events.
  let events: [FaultKind]
  let eventsEvery: UInt64
  /// The node whose disk may lose what was synced; see `Swarm.unreliableNode`.
  let unreliable: Int?

  static let eventKinds: [FaultKind] = [
    .garbageOnPeerPort, .linkClogged, .linkSlow, .linkOneWay, .connectionReset, .partitionOfNode,
    .partitionOfMajority, .partitionBridge, .partitionRing, .partitionFlapping, .crash, .powerLossOfAll, .restartLoop,
    .pauseOfLeader, .pauseOfFollower, .pauseOfMajority, .processStarved, .secondProcessOnDirectory, .diskSlow,
    .diskStalled, .diskFull, .wallClockJumpForward, .wallClockJumpBack, .clockDrift, .clockFrozen, .clockJumpForward,
    .leadershipTransferRequested, .nodeStoppedInOrder,
  ]
  /// Of links and clients that are slow to take what they are given.
  static let pressureKinds: [FaultKind] = [.linkNarrow, .clientStoppedReading, .clientReadsSlowly]
  /// These may take back what a disk has promised.
  static let losses: [FaultKind] = [
    .bitRot, .misdirectedWrite, .staleSector, .syncLied, .directoryRolledBack, .wipedDisk,
  ]

  /// - Parameter isPressed: the calls are the simulator's own, whose lengths are known: links and connections may be
  ///   made as small as these allow.
  init(
    seed: UInt64, without disabled: Set<FaultKind> = [], nodes fixedNodes: Int? = nil, isPressed: Bool = true
  ) {
    var random = SimulationRandom(seed: seed).stream("swarm")
    // A fault is in this seed, or it is not, and then at its own rate: from one in 3,000 to one in 30.
    func odds(_ kind: FaultKind, _ least: Int, _ most: Int, in seeds: Int = 3) -> Int {
      let isIn = random.oneIn(seeds)
      let rate = random.within(least...most)
      return isIn && !disabled.contains(kind) ? rate : 0
    }
    func pick<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
    var options = WorldOptions(seed: seed)
    options.nodes = fixedNodes ?? pick([1, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7])
    options.clients = pick([1, 3, 8])
    options.thinkTime = pick([0, 5_000_000, 30_000_000])
    options.limits.electionTicks = pick([10, 20, 30])
    options.limits.heartbeatTicks = pick([2, 3, options.limits.electionTicks / 4])
    options.limits.windowMessages = pick([1, 4, 64])
    options.limits.appendBytes = pick([1, 300, 4000, 512 * 1024])
    options.limits.windowBytes = max(options.limits.appendBytes, pick([1000, 20_000, 8 * 1024 * 1024]))
    options.limits.cacheBytes = max(options.limits.windowBytes, pick([20_000, 16 * 1024 * 1024]))
    options.limits.cacheEntries = pick([64, 131_072])
    options.limits.uncommittedBytes = max(options.limits.appendBytes, pick([5_000, 128 * 1024 * 1024]))
    options.limits.unstoredBytes = options.limits.uncommittedBytes
    options.limits.preferredLeaderTicks = 40
    options.limits.transferPauseTicks = 60
    options.driver.applyBytes = pick([1, 2000, 4 * 1024 * 1024])
    options.driver.answerBytes = pick([1, 1024 * 1024])
    options.log.segmentBytes = pick([16 << 10, 64 << 10])
    options.log.firstSegmentBytes = 16 << 10
    options.log.recoveredBytes = pick([1, 4 << 10, 64 << 10])
    options.runsAtOnce = random.oneIn(2)
    if random.oneIn(3) { options.preferredLeader = NodeID(UInt64(random.below(options.nodes) + 1)) }
    registers = pick([1, 3, 8])
    var padding = pick([0...0, 0...100, 0...2000])
    queriesIn = pick([2, 4, 10])
    duration = UInt64(random.within(4...16)) * 1_000_000_000

    var network = NetworkFaults()
    network.latency = pick([20_000, 100_000, 1_000_000])
    network.lost = odds(.messageLost, 5, 200)
    network.duplicated = odds(.messageDuplicated, 5, 200)
    network.replayed = odds(.messageReplayed, 5, 200)
    network.reordered = odds(.messageReordered, 3, 100)
    network.delayed = odds(.messageDelayed, 3, 100)
    network.delayedLong = odds(.messageDelayedLong, 50, 1000)
    network.flipped = odds(.byteFlippedInFlight, 50, 2000)
    network.pieces = odds(.bytesInPieces, 5, 100)
    network.coalesced = odds(.bytesCoalesced, 3, 50)
    network.resetInFrame = odds(.connectionResetInFrame, 100, 2000)
    self.network = network

    var disk = DiskFaults()
    disk.writeTime = pick([5_000, 50_000])
    disk.syncTime = pick([50_000, 200_000, 3_000_000])
    disk.readFailed = odds(.readFailed, 20, 300, in: 6)
    disk.writeFailed = odds(.writeFailed, 300, 5000, in: 6)
    disk.shortWrite = odds(.shortWrite, 300, 5000, in: 6)
    disk.syncFailed = odds(.syncFailed, 300, 5000, in: 5)
    self.disk = disk

    var crashes = World.CrashOdds()
    crashes.send = odds(.crashAtSend, 500, 5000, in: 5)
    crashes.reply = odds(.crashAtReply, 200, 2000, in: 5)
    crashes.commit = odds(.crashAtCommit, 300, 3000, in: 5)
    crashes.write = odds(.crashAtWrite, 100, 2000)
    crashes.sync = odds(.crashAtSync, 100, 2000)
    options.appliesLate = random.oneIn(4)
    if options.appliesLate { crashes.machine = odds(.machineFailed, 50, 2000, in: 2) }
    crashes.recovery = odds(.crashDuringRecovery, 5, 60, in: 4)

    var events: [FaultKind] = []
    for kind in Self.eventKinds where random.oneIn(4) && !disabled.contains(kind) { events.append(kind) }
    let unreliable = Self.unreliableNode(options.nodes, &random)
    if unreliable != nil {
      for kind in Self.losses where random.oneIn(2) && !disabled.contains(kind) { events.append(kind) }
    }
    self.unreliable = unreliable
    eventsEvery = pick([100_000_000, 400_000_000, 1_500_000_000])
    // Drawn last, so that older seeds still draw what they drew.
    let appendBytes = pick([1, 1000, 1024 * 1024])
    // A command an append and 3 ms a sync are less than the clients ask for. The leader is behind then, as its disk is, and
    // its followers, who get several commands in a message, are not: it hands over without a fault.
    options.driver.appendBytes = disk.syncTime > 200_000 ? 1024 * 1024 : appendBytes
    options.batchesIn = pick([0, 2, 6])
    options.restTime = pick([200_000_000, 600_000_000, 1_500_000_000])
    options.callsInBurst = pick([4, 16, 60])
    // What is smallest runs full soonest: without batches, and with little in a call.
    let isTight = isPressed && random.oneIn(4)
    if isTight {
      options.batchesIn = 0
      padding = 0...100
      contents = pick([nil, 300...3_000])
    } else {
      contents = pick([nil, nil, 300...3_000, 2_000...20_000, 20_000...200_000])
    }
    if isTight || isPressed && (contents != nil || random.oneIn(2)) {
      options.hasFavorites = isTight
      // Of all events these fill links most.
      if isTight, !disabled.contains(.linkNarrow) { events += Array(repeating: .linkNarrow, count: 4) }
      Self.press(&options, longest: contents?.upperBound ?? padding.upperBound, &random)
      for kind in Self.pressureKinds where (isTight || random.oneIn(2)) && !disabled.contains(kind) {
        events.append(kind)
      }
    }
    if random.oneIn(4), !disabled.contains(.directoryCopiedBack) { events.append(.directoryCopiedBack) }
    if random.oneIn(4), !disabled.contains(.endOfStoppedLogLost) { events.append(.endOfStoppedLogLost) }
    if random.oneIn(4), !disabled.contains(.directoryCloned) { events.append(.directoryCloned) }
    options.limitsDiffer = random.oneIn(4) && !disabled.contains(.limitsDiffered)
    if random.oneIn(4), !disabled.contains(.snapshotRotted) { events.append(.snapshotRotted) }
    // Mostly so small that a seed has several of each node.
    options.driver.snapshotLogBytes = pick([500, 5_000, 20_000, 64 << 20])
    options.driver.snapshotAge = pick([1_000_000_000, 5_000_000_000, 3_600_000_000_000])
    options.driver.retainedBytes = pick([0, 0, 2_000, 64 << 20])
    // Of an even number of nodes one may have a disk that takes back what it has promised, which is enough.
    if !options.nodes.isMultiple(of: 2), options.nodes > 1, random.oneIn(4), !disabled.contains(.diskReplaced) {
      events.append(.diskReplaced)
    }
    if random.oneIn(4), !disabled.contains(.logPutBack) { events.append(.logPutBack) }
    options.sessionsIn = pick([0, 0, 0, 0, 0, 1, 3])
    if disabled.contains(.clientSentAgain) { options.sessionsIn = 0 }
    // Sessions and calls are forgotten, and replies before them; mostly not by clients that take them from each other.
    let clients = options.sessionsIn == 0 ? 0 : (options.clients - 1) / options.sessionsIn + 1
    let sessions = max(2, pick([clients - 1, clients, clients]))
    let short = [
      SessionLimits(sessions: sessions, records: 4, bytes: 16 * 600),
      SessionLimits(sessions: sessions, records: 16, bytes: 16 * 1_200),
    ]
    options.sessionLimits = pick(short + short + [.usual])
    if random.oneIn(3) {
      // What is kept of calls is part of the state, and has no bound that is short enough.
      options.sessionLimits = pick(short)
      // For the two snapshots that are kept, the one that is written and the one that comes, for the log behind the older
      // one, and its segments.
      let state = registers * ((contents?.upperBound ?? 0) + padding.upperBound + 300) + 4_000 + sessions * 1_200
      let budget = 12 * options.log.segmentBytes + 12 * state
      options.diskBudget = pick([budget, 2 * budget])
      options.driver.diskBytes = budget - budget / 64 - 3 * options.log.segmentBytes - 16_000
      options.limits.appendBytes = min(options.limits.appendBytes, budget / 16)
    }
    options.driver.roomForProposed = pick([1_000, 4_000, 16_000])
    if options.diskBudget != nil {
      // What a leader has proposed while it could not hear that others are short of room has room at these.
      options.limits.uncommittedBytes = min(options.limits.uncommittedBytes, options.driver.roomForProposed)
      options.limits.appendBytes = min(options.limits.appendBytes, options.limits.uncommittedBytes)
    }
    // What such a machine takes is measured, and not bounded.
    options.keepsState = random.oneIn(5) && options.diskBudget == nil
    // All of the state is written each time.
    if options.keepsState { options.sessionLimits = pick(short) }
    options.entriesBetweenWrites = pick(contents == nil ? [1, 5, 40, 1_000] : [40, 200, 1_000])
    if options.keepsState, crashes.machine == 0, random.oneIn(2), !disabled.contains(.machineFailed) {
      crashes.machine = random.within(50...2000)
    }
    options.levelsIn = pick([0, 3, 8])
    let nodes = options.nodes
    if random.oneIn(8) { options.driver.minimumAcknowledgement = pick([.voters(min(2, nodes)), .all, .applied]) }
    options.driver.refusesToForward = random.oneIn(8)
    // Clocks of which one runs at nine tenths and another one at eleven of the true rate differ by less.
    options.limits.leases = pick([.none, .allowed])
    if random.oneIn(3) { options.serveLeases(drift: 20) }
    if random.oneIn(4), !disabled.contains(.clockJumpBack) { events.append(.clockJumpBack) }
    options.followers = pick([0, 0, 1, 3])
    if disabled.contains(.followerMoved) { options.followers = 0 }
    options.driver.changeBytes = pick([1_000, 5_000, 50_000, 1 << 20])
    options.driver.keepsChanges = random.oneIn(2)
    self.crashes = crashes
    self.events = events
    self.padding = padding
    self.options = options
  }

  /// Links and connections that are small for what goes over them, and clients that ask for much at a time.
  private static func press(_ options: inout WorldOptions, longest: Int, _ random: inout SimulationRandom) {
    func pick<Value>(_ values: [Value]) -> Value { values[random.below(values.count)] }
    options.clients = pick([4, 8, 12])
    options.callsAtOnce = options.clients
    options.hasFavorites = options.hasFavorites || random.oneIn(2)
    if options.thinkTime == 0 { options.thinkTime = 2_000_000 }
    options.driver.longReplyBytes = pick([100, 200, 200])
    options.batchReplies.resultBytes = max(longest, pick([2_000, 3 * 1024 * 1024])) + 1024
    options.limits.appendBytes = min(options.limits.appendBytes, 4000)
    // Requests of a batch are together in one frame where they are passed on together.
    let frame = max(options.limits.appendBytes, batchRequests * (longest + 200)) + 4 * 1024
    options.linkBytes = 2 * frame + pick([0, 0, 0, 20_000])
    // What was passed on is answered by a leader that knows nothing of the client: all the answers that a process waits
    // for have room at once, and what the leader itself collects for it comes on top.
    let requests = options.batchesIn == 0 ? 1 : batchRequests
    let reply = min(options.batchReplies.resultBytes, requests * (longest + 100)) + 1024
    options.batchReplies.roomBytes = 2 * longest
    options.clientBytes =
      pick([1, 1, 2]) * (options.clients * (reply + requests * options.driver.longReplyBytes) + 4 * longest)
  }

  /// As many as a batch of the simulated clients has at most.
  private static let batchRequests = 6

  /// Faults that this seed draws, and that so are to occur in it sooner or later. Of those at a rate of their own, the
  /// frequent ones: what is drawn to happen once in a thousand writes need not happen in a seed of a hundred.
  var promised: [FaultKind] {
    let rates: [(FaultKind, Int)] = [
      (.messageLost, network.lost), (.messageDuplicated, network.duplicated), (.messageReplayed, network.replayed),
      (.messageReordered, network.reordered), (.messageDelayed, network.delayed),
      (.messageDelayedLong, network.delayedLong), (.byteFlippedInFlight, network.flipped),
      (.bytesInPieces, network.pieces), (.bytesCoalesced, network.coalesced),
      (.connectionResetInFrame, network.resetInFrame), (.readFailed, disk.readFailed),
      (.writeFailed, disk.writeFailed), (.shortWrite, disk.shortWrite), (.syncFailed, disk.syncFailed),
      (.crashAtSend, crashes.send), (.crashAtReply, crashes.reply), (.crashAtCommit, crashes.commit),
      (.crashAtWrite, crashes.write), (.crashAtSync, crashes.sync), (.crashDuringRecovery, crashes.recovery),
      (.machineFailed, crashes.machine),
    ]
    let limits: [FaultKind] = options.limitsDiffer ? [.limitsDiffered] : []
    return events + limits + rates.filter { $0.1 > 0 }.map(\.0)
  }

  /// A disk that takes back what it has promised takes its node's acknowledgements and votes back with it, and no
  /// protocol that counts majorities survives that, unless any two majorities have a sound node in common. Of an odd
  /// number of nodes two majorities may share one node only; of an even number they share two: so there, and only there,
  /// one node may have such a disk.
  private static func unreliableNode(_ nodes: Int, _ random: inout SimulationRandom) -> Int? {
    guard nodes >= 4, nodes.isMultiple(of: 2), random.oneIn(2) else { return nil }
    return random.below(nodes)
  }
}
