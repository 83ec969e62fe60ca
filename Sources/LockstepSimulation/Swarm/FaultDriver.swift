import LockstepConsensus
import LockstepDriver
import LockstepStorage
import LockstepWire

/// Injects what a swarm has drawn into a world.
final class FaultDriver {
  unowned let world: World
  private let swarm: Swarm
  var random: SimulationRandom
  var older = OlderCopies()
  private let seconds: UInt64 = 1_000_000_000

  init(_ world: World, _ swarm: Swarm) {
    self.world = world
    self.swarm = swarm
    random = SimulationRandom(seed: swarm.options.seed).stream("faults")
  }

  func begin() {
    world.network = swarm.network
    world.crashOdds = swarm.crashes
    for node in world.nodes {
      node.disk.faults = swarm.disk
      if node.place == swarm.unreliable {
        node.isUnreliable = true
        world.books.unreliable[node.place] = true
      }
    }
    guard !swarm.events.isEmpty else { return }
    world.onFault = { [unowned self] in self.next() }
    planNext()
  }

  private func planNext() { world.plan(.fault, in: 1 + UInt64(random.below(Int(2 * swarm.eventsEvery)))) }

  private func next() {
    inject(swarm.events[random.below(swarm.events.count)])
    planNext()
  }

  private func someNode() -> Int { random.below(world.nodes.count) }
  private func upToSeconds(_ count: UInt64) -> UInt64 { UInt64(random.below(Int(count * seconds))) }

  private func inject(_ kind: FaultKind) {
    if injectIntoClients(kind) || injectIntoProcesses(kind) || injectIntoNetwork(kind) || injectIntoDisks(kind)
      || injectIntoClocks(kind)
    {
      world.faults.count(kind)
    }
  }

  // MARK: Clients

  private func injectIntoClients(_ kind: FaultKind) -> Bool {
    guard !world.readers.isEmpty else { return false }
    let reader = random.below(world.readers.count)
    switch kind {
    case .clientStoppedReading: world.stopReading(reader + 1, for: upToSeconds(6), goesOnCalling: random.oneIn(2))
    case .clientReadsSlowly:
      guard world.readers[reader].bytesPerSecond == 0 else {
        world.readAll(world.readers[reader])
        return false
      }
      // What waits on one connection at most takes it up to four seconds.
      let rate = world.options.clientBytes * 1000 / random.within(200...4000)
      world.readSlowly(reader + 1, bytesPerSecond: UInt64(rate))
    default: return false
    }
    return true
  }

  // MARK: Processes

  private func injectIntoProcesses(_ kind: FaultKind) -> Bool {
    let place = someNode()
    let node = world.nodes[place]
    switch kind {
    case .crash:
      guard node.isUp else { return false }
      world.crash(place + 1)
      world.planStart(place)
    case .endOfStoppedLogLost:
      guard node.isUp, !node.isPaused, !node.isUnreliable else { return false }
      let isDamaged = world.endInOrder(place + 1) && world.loseEndOfLog(place + 1, upTo: random.within(1...1200))
      world.planStart(place)
      return isDamaged
    case .restartLoop:
      guard node.isUp else { return false }
      world.crash(place + 1)
      world.plan(.start(node: place), in: 1_000_000)
      world.crashOdds.recovery = max(world.crashOdds.recovery, 20)
    case .powerLossOfAll:
      world.cutPower(Array(1...world.nodes.count), PowerCut.allCases[random.below(3)])
    case .pauseOfLeader:
      guard let leader = world.leader else { return false }
      world.pause(leader, for: upToSeconds(6))
    case .pauseOfFollower:
      guard node.isUp, world.leader != place + 1 else { return false }
      world.pause(place + 1, for: upToSeconds(6))
    case .pauseOfMajority:
      let time = upToSeconds(4)
      for id in someMajority() { world.pause(id, for: time) }
    case .processStarved:
      node.starvation = node.starvation == 0 ? UInt64(random.below(50_000_000)) : 0
    case .leadershipTransferRequested:
      guard world.leader != nil else { return false }
      world.transferLeadership(to: place + 1)
    case .nodeStoppedInOrder:
      guard node.isUp, !node.isStopping else { return false }
      world.stop(place + 1)
    case .secondProcessOnDirectory:
      guard node.isUp else { return false }
      let isHeld: Bool
      do throws(DiskError) {
        _ = try node.disk.lock("data/lock", exclusive: true)
        isHeld = false
      } catch { isHeld = true }
      world.books.check(.recovery, isHeld, "two processes work in the directory of node \(place + 1)")
    case .directoryCopiedBack: return startOnCopy(node)
    case .logPutBack: return putBackLog(of: node)
    case .directoryCloned:
      guard node.isUp, let place = node.directory?.node else { return false }
      let elsewhere = SimulatedDisk(cloning: node.disk, random: SimulationRandom(seed: random.next()))
      world.books.check(
        .recovery, isRefused(elsewhere, place), "a clone of the directory of node \(place) starts beside it")
    default: return false
    }
    return true
  }

  private func someMajority() -> [Int] {
    var ids = Array(1...world.nodes.count)
    ids.shuffle(using: &random)
    return Array(ids.prefix(world.nodes.count / 2 + 1))
  }

  // MARK: Network

  private func injectIntoNetwork(_ kind: FaultKind) -> Bool {
    let count = world.nodes.count
    guard count > 1 else { return false }
    let one = someNode()
    let other = (one + 1 + random.below(count - 1)) % count
    var pairs: [(Int, Int)] = []
    switch kind {
    case .linkClogged, .linkOneWay: pairs = [(one, other)]
    case .partitionOfNode: pairs = world.nodes.indices.flatMap { [(one, $0), ($0, one)] }
    case .partitionOfMajority:
      let majority = someMajority().map { $0 - 1 }
      let rest = world.nodes.indices.filter { !majority.contains($0) }
      pairs = majority.flatMap { left in rest.flatMap { [(left, $0), ($0, left)] } }
    case .partitionBridge:
      // Two halves that only one node can reach.
      let left = world.nodes.indices.filter { $0 != one && $0 < count / 2 }
      let right = world.nodes.indices.filter { $0 != one && $0 >= count / 2 }
      pairs = left.flatMap { place in right.flatMap { [(place, $0), ($0, place)] } }
    case .partitionRing:
      // Each node reaches its neighbours alone.
      for from in world.nodes.indices {
        for to in world.nodes.indices where to != (from + 1) % count && from != (to + 1) % count {
          pairs.append((from, to))
        }
      }
    case .partitionFlapping:
      let period = world.options.electionTimeout
      for round in 0..<4 as Range<UInt64> {
        let places = [world.pair(one, other), world.pair(other, one)]
        world.agenda.add(.heal(places), at: world.now + round * period + period / 2)
      }
      pairs = [(one, other), (other, one)]
    case .connectionReset:
      world.resetConnections(between: one + 1, and: other + 1)
      return true
    case .linkNarrow:
      // A leader has the most to say, above all to a node that passes calls on: mostly it is one of its links.
      let from = random.oneIn(4) ? one : world.leader.map { $0 - 1 } ?? one
      let favorite = random.element(of: world.readers.compactMap(\.favorite))
      let to = favorite.flatMap { $0 == from ? nil : $0 } ?? (from == other ? one : other)
      // What fits on the link gets through within five seconds.
      let rate = world.options.linkBytes * 1000 / random.within(2000...5000)
      world.narrow(from + 1, to + 1, bytesPerSecond: UInt64(rate))
      world.plan(.widen([world.pair(from, to)]), in: 50_000_000 + upToSeconds(5))
      return true
    case .linkSlow:
      world.network.latency = UInt64(random.below(20_000_000)) + 20_000
      return true
    case .garbageOnPeerPort:
      sendGarbage(to: one)
      return true
    default: return false
    }
    pairs = pairs.filter { $0 != $1 && !world.blocked[world.pair($0, $1)] }
    guard !pairs.isEmpty else { return false }
    for (from, to) in pairs { world.block(from, to) }
    world.tell("cut, from one to the other: \(pairs.map { "\($0.0 + 1) to \($0.1 + 1)" }.joined(separator: ", "))")
    world.plan(.heal(pairs.map { world.pair($0.0, $0.1) }), in: 50_000_000 + upToSeconds(5))
    return true
  }

  /// A stranger connects and says anything.
  private func sendGarbage(to place: Int) {
    let stranger = SimulatedConnection(
      from: place, to: place, fromLife: -1, toLife: world.nodes[place].life, number: -1, dialer: nil,
      maximumFrameLength: 1 << 20, memory: world.memory, receive: { [unowned world] _, _, _ in world.note(1) })
    var bytes = (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    if random.oneIn(2) {
      var frame: [UInt8] = []
      bytes.withUnsafeBytes {
        SimulatedConnection.append(
          UInt8(random.below(40)), UnsafeRawBufferPointer(start: nil, count: 0), $0, to: &frame)
      }
      bytes = frame
    }
    _ = stranger.arrive(bytes)
    stranger.forget()
    // The same in the mouth of a peer: its frame is whole, and what is in it is not.
    guard let node = world.nodes[place].node, world.nodes.count > 1, bytes.count > 16 else { return }
    let peer = NodeID(UInt64((place + 1) % world.nodes.count + 1))
    bytes[16...].withUnsafeBytes { payload in
      for kind in [FrameKind.append, .appendReply, .vote, .voteReply, .timeoutNow, .readIndex, .forward] {
        world.receiveGarbage(kind, payload, node, from: peer)
      }
    }
  }

  // MARK: Disks

  private func injectIntoDisks(_ kind: FaultKind) -> Bool {
    let place = Swarm.losses.contains(kind) ? swarm.unreliable ?? 0 : someNode()
    let node = world.nodes[place]
    switch kind {
    case .diskSlow: node.diskSlowness = node.diskSlowness == 1 ? UInt64(random.within(2...100)) : 1
    case .diskStalled:
      node.diskStalledUntil = world.now + upToSeconds(10)
      node.diskSlowness = max(node.diskSlowness, 1)
    case .diskFull:
      // Counted by the disk, when something did not fit.
      node.disk.faults.space =
        node.disk.faults.space == .max ? node.disk.bytesInUse + random.below(40_000) : .max
      return false
    case .bitRot:
      guard let path = random.element(of: node.disk.paths.filter { !$0.hasSuffix("lock") }),
        let size = node.disk.contents(of: path)?.count, size > 0
      else { return false }
      node.disk.flipBit(random.below(8), at: random.below(size), in: path)
    case .snapshotRotted: return rotSnapshot(of: node)
    case .misdirectedWrite: node.disk.faults.misdirectedWrite = 20
    case .staleSector: node.disk.faults.staleSector = 50
    case .syncLied: node.disk.faults.syncLied = 20
    case .directoryRolledBack: return rollBack(node)
    case .diskReplaced:
      guard mayLoseDisk(place) else { return false }
      world.replaceDisk(place + 1)
    case .wipedDisk:
      world.end(place, keepsMachine: false)
      node.disk.wipe()
      world.planStart(place)
    default: return false
    }
    // Three of these only change the odds: they are counted when they strike.
    return ![.misdirectedWrite, .staleSector, .syncLied].contains(kind)
  }

  /// A node that does not vote yet is as good as lost, and all that are lost may be a minority. While members change it
  /// is not known yet who votes: a leader that has heard last of a disk that is gone since takes another node's vote, and
  /// gives it back when it hears of the one that is there.
  private func mayLoseDisk(_ place: Int) -> Bool {
    let known = world.books.nodes.compactMap(\.members)
    guard let settled = world.books.members ?? known.first, known.allSatisfy({ $0 == settled }) else { return false }
    return 2 * world.nodes.count { $0.place == place || !world.books.givesVotes($0.place) } < world.nodes.count
  }

  /// Whether what is left of this node may be given up for an empty disk, where the seed has such losses.
  func gives(up place: Int) -> Bool {
    swarm.events.contains(.diskReplaced) && mayLoseDisk(place) && random.oneIn(2)
  }

  /// The one before it serves, with the log behind that; two that are damaged at a time are one too many.
  private func rotSnapshot(of node: SimulatedNode) -> Bool {
    // Of those that are whole; and the one before has to do, which it does not when the newest came from another node.
    let files = node.disk.paths.filter { $0.contains("/snapshot-") && $0.suffix(20).allSatisfy(\.isNumber) }.sorted()
    let book = world.books.nodes[node.place]
    guard files.count > 1, node.snapshot?.isTrimming != true, book.arrived == nil,
      UInt64(files[files.count - 2].suffix(20)) ?? 0 >= book.base.rawValue,
      !files.contains(where: { node.rottenSnapshots.contains($0) }), let newest = files.max(),
      let size = node.disk.contents(of: newest)?.count, size > 0
    else { return false }
    node.disk.flipBit(random.below(8), at: random.below(size), in: newest)
    node.rottenSnapshots.append(newest)
    // Before another one takes its place, mostly.
    if node.isUp, !random.oneIn(4) {
      world.crash(node.place + 1)
      world.planStart(node.place)
    }
    return true
  }

  // MARK: Clocks

  private func injectIntoClocks(_ kind: FaultKind) -> Bool {
    let node = world.nodes[someNode()]
    switch kind {
    case .wallClockJumpForward: node.clock.wallOffset += Int64(upToSeconds(100_000))
    case .wallClockJumpBack: node.clock.wallOffset -= Int64(upToSeconds(100_000))
    case .clockDrift: node.clock.setRate(UInt64(random.within(900...1100)), now: world.now)
    case .clockFrozen:
      if node.clock.isFrozen { node.clock.thaw(now: world.now) } else { node.clock.freeze(now: world.now) }
    case .clockJumpBack: node.clock.setBack(upToSeconds(2), now: world.now)
    case .clockJumpForward: node.clock.jump(upToSeconds(20), now: world.now)
    default: return false
    }
    return true
  }
}
