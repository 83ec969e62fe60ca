import Glibc
import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepPeers
import LockstepStorage
import LockstepWire

// Processes: how they start, what they ask of their disks, how they end.

extension World {
  var members: [DiskIdentity.Member] {
    nodes.indices.map { DiskIdentity.Member(node: NodeID(UInt64($0 + 1)), address: "node\($0 + 1)") }
  }

  /// The process of a node begins, as that of a real one does: directory, recovery, driver, links.
  func start(_ place: Int) {
    let simulated = nodes[place]
    guard simulated.state == .down, simulated.mayStart else { return }
    simulated.life += 1
    simulated.diskFaultsBefore = simulated.diskFaults
    do throws(StorageError) {
      let disk = try BudgetedDisk(
        simulated.disk, directory: "data", budget: DiskBudget(bytes: simulated.diskBudget ?? options.diskBudget))
      simulated.bytesAtStart = simulated.disk.bytesInUse
      simulated.budget = disk.budget
      let directory = try NodeDirectory.open(
        disk: disk, path: "data", cluster: cluster, node: NodeID(UInt64(place + 1)), members: members,
        newDiskID: { (0..<16).map { _ in UInt8(truncatingIfNeeded: processRandom.next()) } },
        replacesDisk: simulated.isDiskReplaced, options: options.log)
      let opened = try DurableLog.open(directory, options: options.log)
      books.check(
        .recovery, simulated.beforeDamage == nil,
        "node \(place + 1) starts, and the end of its log was lost after it had stopped")
      // Unsafe: a simulation is one thread.
      nonisolated(unsafe) let log = opened.log
      let store = SnapshotStore(directory)
      let completed = try InstallRecovery(store: store, log: log).complete(
        group, recovered: opened.groups.first { $0.group == group }
      ) { [unowned self] in
        faults.count(.installCompleted)
        tell("node \(place + 1): \($0)")
      }
      let groups = completed.map { [$0] } ?? []
      simulated.directory = directory
      simulated.worker = DiskWorker(log: log, disk: disk)
      let peace = UInt64(Replica.peacefulTicks(options.limits)) * options.tick / 1_000_000
      simulated.identity = PeerIdentity(
        cluster: directory.cluster, node: directory.node, disk: directory.diskID, incarnation: directory.incarnation,
        fingerprint: "simulated", start: directory.start, members: members.map(\.node),
        standings: groups.map { Standing(group: $0.group, term: $0.hardState.term, last: $0.last) },
        isDiskReplaced: directory.isDiskReplaced, peaceMilliseconds: options.limits.leases == .none ? 0 : peace,
        leaseMilliseconds: options.limits.leases == .served ? peace : 0)
      simulated.memory = PeerMemory(peers: directory.peers, acknowledged: try directory.acknowledged())
      let recovery = StateRecovery(store: store, log: log, limits: options.sessionLimits) { [unowned self] in
        faults.count(.snapshotDamaged)
        tell("node \(place + 1): \($0)")
      }
      let state = try startingState(place, recovery, groups.first { $0.group == group })
      simulated.snapshots = state.snapshot.map { [$0.last.index] } ?? []
      simulated.installs = SimulatedInstalls(world: self, place: place, store: store, installer: state.installer)
      try assemble(place, groups, state)
    } catch {
      startFailed(place, error)
    }
  }

  private func assemble(
    _ place: Int, _ groups: [RecoveredGroup], _ state: StartingState
  ) throws(StorageError) {
    let simulated = nodes[place]
    guard let installs = simulated.installs else { return }
    let (limits, driver) = limits(ofStart: simulated.starts, at: place)
    simulated.starts += 1
    var configuration = Node.Configuration(
      id: NodeID(UInt64(place + 1)), members: Members(voters: (1...UInt64(nodes.count)).map { NodeID($0) }),
      addresses: members,
      preferredLeader: options.preferredLeader, cluster: cluster, limits: limits, driver: driver,
      seed: processRandom.next())
    configuration.disk = simulated.identity?.disk
    configuration.isDiskReplaced = simulated.identity?.isDiskReplaced ?? false
    let node: Node
    do throws(WireError) {
      node = try Node(
        configuration, recovered: groups, appliers: [state.applier], stored: state.snapshot.map { [$0] } ?? [],
        chains: state.chain.map { [group: $0] } ?? [:],
        links: simulated.links, disk: SimulatedQueue(world: self, place: place),
        snapshots: SimulatedSnapshots(world: self, place: place), installs: installs,
        observe: { [unowned self] in self.observe($0, place) },
        isChecking: true)
    } catch {
      throw .damaged(file: "data", offset: 0, reason: "\(error)")
    }
    simulated.node = node
    simulated.state = .up
    simulated.isTurnPlanned = false
    node.advanceClock(now: simulated.clock.monotonic(now), wall: simulated.clock.wall(now))
    try books.recovered(
      place, node, onDisk: groups.first { $0.group == group }?.hardState ?? HardState(),
      noted: simulated.memory.acknowledged
    ) { () throws(StorageError) in try storedEntries(place, groups) }
    tell("node \(place + 1) starts with a log up to entry \(books.nodes[place].log.last)")
    plan(.tick(node: place, life: simulated.life), in: UInt64(processRandom.below(Int(options.tick))))
    for peer in nodes.indices where peer != place { planDial(from: place, to: peer, at: 1_000_000) }
    planTurn(place)
  }

  /// Of nodes that do not have the same, every other one has the lower, and each has them every other time.
  private func limits(ofStart number: Int, at place: Int) -> (Limits, DriverLimits) {
    var (limits, driver) = (options.limits, options.driver)
    if let budget = nodes[place].diskBudget { driver.diskBytes = budget - budget / 64 - 3 * options.log.segmentBytes }
    guard options.limitsDiffer, (place + number).isMultiple(of: 2) else { return (limits, driver) }
    func lower(_ value: inout Int, toAtLeast least: Int) {
      value = min(value, least + processRandom.below(max(1, value - least)))
    }
    lower(&driver.requestBytes, toAtLeast: 200)
    driver.requestBytes = min(driver.requestBytes, 200 + processRandom.below(20_000))
    lower(&driver.batchRequests, toAtLeast: 1)
    driver.batchRequests = min(driver.batchRequests, 1 + processRandom.below(6))
    lower(&driver.applyBytes, toAtLeast: 1)
    lower(&driver.appendBytes, toAtLeast: 1)
    lower(&limits.appendBytes, toAtLeast: 1)
    lower(&limits.windowMessages, toAtLeast: 1)
    faults.count(.limitsDiffered)
    return (limits, driver)
  }

  /// All entries that a disk has, read back. Who keeps the books reads without faults; but what the process has written
  /// since it opened the log may have gone to the wrong place, and then it is as if it had found that first.
  private func storedEntries(_ place: Int, _ groups: [RecoveredGroup]) throws(StorageError) -> [Books.Entry] {
    guard let state = groups.first(where: { $0.group == group }) else { return [] }
    let first = state.base.id.index.next
    // What is before its base is committed.
    let before = books.committedEntries(through: state.base.id.index)
    guard state.last.index >= first else { return before }
    let faults = nodes[place].disk.faults
    nodes[place].disk.faults = DiskFaults()
    defer { nodes[place].disk.faults = faults }
    let job = DiskJob(
      group: group, purpose: .apply,
      work: .read(group, from: first, through: state.last.index, maximumBytes: .max, runs: state.terms))
    let blocks: [EntryBlock]
    switch nodes[place].worker?.run(job).outcome {
    case .read(let found): blocks = found
    case .failed(let error): throw error
    default: return before
    }
    return before
      + blocks.flatMap { block in
        block.terms.enumerated().map { offset, term in
          Books.Entry(term: term, chain: block.chain(at: block.first.advanced(by: offset)))
        }
      }
  }

  private func startFailed(_ place: Int, _ error: StorageError) {
    let simulated = nodes[place]
    let wasKilled = simulated.disk.isProcessDead
    let faultsSince = simulated.diskFaults - simulated.diskFaultsBefore
    release(place)
    simulated.disk.processEnded()
    if wasKilled {
      faults.count(.crashDuringRecovery)
      tell("node \(place + 1) dies while it recovers")
      planStart(place)
      return
    }
    tell("node \(place + 1) does not start: \(error)")
    if case .damaged = error, putBackEndOfLog(place) { return planStart(place) }
    switch error {
    case .disk, .outOfSpace, .stopped:
      books.check(.explainedEnd, faultsSince > 0, "node \(place + 1) does not start: \(error)")
      planStart(place)
    case .locked, .damaged, .lost, .refused, .invalidWrite:
      books.check(.recovery, simulated.isUnreliable || faultsSince > 0, "node \(place + 1) does not start: \(error)")
      if simulated.isUnreliable { simulated.state = .refused("\(error)") } else { planStart(place) }
    }
  }

  func planStart(_ place: Int) {
    guard nodes[place].mayStart else { return }
    plan(.start(node: place), in: 20_000_000 + UInt64(processRandom.below(500_000_000)))
  }

  // MARK: The disk thread

  func submit(_ job: DiskJob, at place: Int) -> DiskResult? {
    let simulated = nodes[place]
    if job.mayRunAtOnce, options.runsAtOnce, !simulated.isDiskBusy, simulated.jobs.isEmpty,
      simulated.diskSlowness == 1, simulated.diskStalledUntil <= now, processRandom.oneIn(2)
    {
      // The process may die in this write, within the event in which it has come to know what it writes: that it calls
      // entries committed, above all. Who keeps the books learns it first.
      if let node = simulated.node { books.look(at: place, node) }
      return run(job, place)
    }
    simulated.jobs.append(job)
    if !simulated.isDiskBusy { beginJob(place) }
    return nil
  }

  private func beginJob(_ place: Int) {
    let simulated = nodes[place]
    simulated.isDiskBusy = true
    guard let job = simulated.jobs.first else { return }
    var usual = simulated.disk.faults.writeTime
    if case .append = job.work { usual += simulated.disk.faults.syncTime }
    var time = (usual / 2 + UInt64(processRandom.below(Int(usual)))) * simulated.diskSlowness
    if simulated.diskStalledUntil > now { time += simulated.diskStalledUntil - now }
    plan(.disk(node: place, life: simulated.life), in: time)
  }

  func runNextJob(_ place: Int) {
    let simulated = nodes[place]
    guard !simulated.jobs.isEmpty else { return }
    if simulated.diskStalledUntil > now {
      plan(.disk(node: place, life: simulated.life), in: simulated.diskStalledUntil - now)
      return
    }
    let job = simulated.jobs.removeFirst()
    let result = run(job, place)
    simulated.isDiskBusy = false
    if !simulated.jobs.isEmpty { beginJob(place) }
    simulated.node?.diskFinished(result)
    planTurn(place)
    look(at: place)
  }

  func run(_ job: DiskJob, _ place: Int) -> DiskResult {
    let simulated = nodes[place]
    guard let worker = simulated.worker else {
      return DiskResult(job: job, outcome: .failed(.stopped("the process has ended")))
    }
    if case .append(let writes) = job.work, let write = writes.last(where: { $0.group == group }) {
      books.writeBegins(place, write, base: writes.last { $0.group == group && $0.base != nil }?.base?.id.index)
      note(books.nodes[place].writing.map { $0.kept.advanced(by: $0.entries.count).rawValue } ?? 0)
    }
    let result = worker.run(job)
    if case .appended = result.outcome {
      books.writeEnds(place)
      simulated.appends += 1
    }
    // A failure stops the log, and so shows again at the next job, where it is answered.
    do throws(StorageError) { try worker.keepPace() } catch {}
    return result
  }

  /// What a disk thread does when nothing else has come for a moment.
  func rest(_ place: Int) {
    let simulated = nodes[place]
    guard !simulated.isDiskBusy, simulated.jobs.isEmpty, processRandom.oneIn(4) else { return }
    do throws(StorageError) {
      _ = try simulated.worker?.rest()
      // On a full disk it may have noted nothing.
      if simulated.disk.faults.space == .max { simulated.notedAppends = simulated.appends }
    } catch {}
  }

  func death(at operation: DiskOperation, of path: String, _ place: Int) -> DiskDeath? {
    let isRecovering = nodes[place].state != .up
    // The moments in which a snapshot of another node takes the place of what was there are short.
    func isArrival() -> Bool {
      path.hasPart(".arrived-") || operation == .rename && path.hasPart("/state-")
    }
    let odds =
      if isRecovering { crashOdds.recovery } else if crashOdds.write > 0, isArrival() { 12 } else {
        switch operation {
        case .sync, .syncDirectory: crashOdds.sync
        case .write, .create, .rename, .remove, .createDirectory: crashOdds.write
        }
      }
    guard odds > 0, processRandom.oneIn(odds) else { return nil }
    if !isRecovering {
      switch operation {
      case .sync, .syncDirectory: faults.count(.crashAtSync)
      case .write, .create, .rename, .remove, .createDirectory: faults.count(.crashAtWrite)
      }
    }
    let deaths: [DiskDeath] = [.before, .within, .after]
    return deaths[processRandom.below(3)]
  }

  // MARK: The end

  /// After an event: the process may have met its end in it.
  func endIfDue(_ place: Int) {
    let simulated = nodes[place]
    guard simulated.isUp, let node = simulated.node else { return }
    if simulated.disk.isProcessDead {
      // With the machine or without it: then some of the sectors are there, and others are not.
      let keepsMachine = processRandom.oneIn(2)
      tell("node \(place + 1) \(keepsMachine ? "dies" : "loses power") in the middle of its work with the disk")
      end(place, keepsMachine: keepsMachine)
      planStart(place)
    } else if let doom = simulated.doom {
      faults.count(doom)
      tell("node \(place + 1) dies: \(doom.rawValue)")
      end(place)
      planStart(place)
    } else if node.hasFailed, let failure = node.failure {
      explain(failure, place)
      tell("node \(place + 1) ends: \(failure)")
      end(place)
      planStart(place)
    } else if node.isStopped {
      books.check(
        .noAnswerLost, !unansweredCalls.contains { $0.node == place + 1 },
        "node \(place + 1) has stopped in order, and has not answered all calls")
      endInOrder(place + 1)
      planStart(place)
    }
  }

  private func explain(_ failure: NodeFailure, _ place: Int) {
    let simulated = nodes[place]
    let isDamaged = nodes.contains { $0.isUnreliable }
    let isExplained =
      switch failure {
      case .storage(.disk), .storage(.outOfSpace), .storage(.stopped):
        simulated.diskFaults > simulated.diskFaultsBefore || isDamaged
      case .machine:
        simulated.machineHasFailed || options.keepsState && simulated.diskFaults > simulated.diskFaultsBefore
      case .storage, .diverged, .corrupted: isDamaged
      }
    books.check(.explainedEnd, isExplained, "node \(place + 1) ends although nothing was wrong: \(failure)")
  }

  /// The process is gone at once; the machine goes on, and with it what was written.
  func end(_ place: Int, keepsMachine: Bool = true, cut: PowerCut = .keepsAny) {
    let simulated = nodes[place]
    release(place)
    if keepsMachine {
      simulated.disk.processEnded()
    } else {
      simulated.disk.powerCut(cut)
      simulated.notedAppends = 0
    }
    for connection in connections where !connection.isClosed {
      if connection.from == place {
        connection.isClosed = true
      } else if connection.to == place {
        connection.isClosed = true
        // The system of a process that has died says so; a machine without power says nothing.
        let isSilent = !keepsMachine || networkRandom.oneIn(8)
        if isSilent { faults.count(.halfOpenConnection) }
        connection.isHalfOpen = isSilent
        plan(
          .hangUp(connection),
          in: isSilent ? 500_000_000 + UInt64(networkRandom.below(4_000_000_000)) : latency())
      }
    }
    connections.removeAll { $0.isClosed }
    loseCalls(to: place)
  }

  private func release(_ place: Int) {
    let simulated = nodes[place]
    if simulated.isUp { simulated.appliedBefore = books.nodes[place].applied }
    books.ended(place, applied: simulated.node?.inspect(group)?.applied)
    simulated.node = nil
    simulated.worker = nil
    simulated.directory = nil
    simulated.life += 1
    simulated.state = .down
    simulated.doom = nil
    simulated.jobs = []
    simulated.peerReplies = []
    simulated.isDiskBusy = false
    simulated.snapshot = nil
    simulated.hasTrimmed = false
    simulated.isShortOfRoom = false
    simulated.installs = nil
    simulated.isStopping = false
    simulated.machineHasFailed = false
    simulated.isTurnPlanned = false
    simulated.isPaused = false
    simulated.deferred = []
    for peer in simulated.links.outgoing.indices { simulated.links.outgoing[peer] = nil }
  }

  func resume(_ place: Int) {
    let simulated = nodes[place]
    guard simulated.isPaused else { return }
    simulated.isPaused = false
    tell("node \(place + 1) goes on")
    for event in simulated.deferred { plan(event, in: 1_000) }
    simulated.deferred = []
  }
}

extension String {
  /// As `contains`, which takes a fifth of a simulation's time.
  fileprivate func hasPart(_ part: StaticString) -> Bool {
    let count = part.utf8CodeUnitCount
    return utf8.withContiguousStorageIfAvailable { bytes in
      guard let start = bytes.baseAddress, bytes.count >= count else { return false }
      return (0...bytes.count - count).contains { memcmp(start + $0, part.utf8Start, count) == 0 }
    } ?? contains("\(part)")
  }
}
