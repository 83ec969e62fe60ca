import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepStorage
import LockstepTransport
import LockstepWire

/// A whole cluster on one thread: the very same core, codecs, log, executor and driver as a real node's, with virtual
/// time in place of clocks, and disks and links that do what they are told. What a script and a swarm can do to it are
/// the verbs in `World+Verbs`.
package final class World {
  package let options: WorldOptions
  package let workload: any Workload
  package internal(set) var now: UInt64 = 0
  package internal(set) var faults = FaultCounts()
  package internal(set) var operations = 0
  package internal(set) var batches = 0
  package internal(set) var events = 0
  package internal(set) var acknowledged = 0
  package internal(set) var readsAnswered = 0
  /// Of these, on a lease.
  package internal(set) var leaseReads = 0
  /// A running hash over everything that happens: equal runs have equal traces.
  package internal(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
  /// Tells the story in words, if somebody listens.
  package var story: ((UInt64, String) -> Void)?

  var nodes: [SimulatedNode] = []
  var clients: [SimulatedClient] = []
  /// Those who follow the changes, and how many these were told of.
  var followers: [SimulatedFollower] = []
  package internal(set) var changesTold = 0
  /// The processes of the clients.
  var readers: [SimulatedReader] = []
  let books: Books
  var agenda = Agenda()
  var network = NetworkFaults()
  var connections: [SimulatedConnection] = []
  /// From row to column nothing gets through.
  var blocked: [Bool]
  /// So many bytes a second get through from row to column; 0: all.
  var bandwidth: [UInt64]
  var connectionsMade = 0
  var networkRandom: SimulationRandom
  var processRandom: SimulationRandom
  var clientRandom: SimulationRandom
  var followRandom: SimulationRandom
  let codec: Codec
  let memory = FrameMemory(halfFrameBytes: 1 << 30)
  let group = GroupID.first
  let cluster = [UInt8](repeating: 0x4c, count: 16)
  /// The largest index that any client was told of.
  var acknowledgedIndex: LogIndex = .zero {
    didSet { if acknowledgedIndex > oldValue { known.append((now, acknowledgedIndex)) } }
  }
  /// What `acknowledgedIndex` was from when on.
  private(set) var known: [(time: UInt64, index: LogIndex)] = []
  /// No clock ran too slowly so far, stood still, or was set back.
  var areClocksGood: Bool { faults[.clockDrift] + faults[.clockFrozen] + faults[.clockJumpBack] == 0 }
  var callNumber: UInt64 = 0
  /// Recent frames by pair of nodes, to be sent again where they do not belong.
  var oldFrames: [[[UInt8]]]
  /// Planned by whoever draws faults.
  var onFault: (() -> Void)?
  var crashOdds = CrashOdds()
  /// Clients do not rest: somebody waits for what they get.
  var areHurried = false
  /// Elections begun while a leader without room for commands handed over: to a node that has some.
  private(set) var electionsForRoom: UInt64 = 0
  /// Violations of the protocol are no wonder now.
  var isHearingGarbage = false
  var watchers: [UInt64: OutcomeWatcher] = [:]

  /// One in so many, of each kind of moment; 0 is never.
  struct CrashOdds {
    var send = 0
    var reply = 0
    var commit = 0
    var write = 0
    var sync = 0
    var recovery = 0
    var machine = 0
  }

  package init(_ options: WorldOptions, workload: any Workload) {
    self.options = options
    self.workload = workload
    let random = SimulationRandom(seed: options.seed)
    networkRandom = random.stream("network")
    processRandom = random.stream("process")
    clientRandom = random.stream("client")
    followRandom = random.stream("follow")
    blocked = Array(repeating: false, count: options.nodes * options.nodes)
    bandwidth = Array(repeating: 0, count: options.nodes * options.nodes)
    oldFrames = Array(repeating: [], count: options.nodes * options.nodes)
    codec = Codec(maximumMessage: PeerFrame.maximumLength)
    network.latency = options.latency
    books = Books(
      count: options.nodes, group: group,
      replay: Replay(
        group: group, machine: workload.machine, workload: workload, limits: options.sessionLimits,
        isFollowed: options.followers > 0),
      base: Books.Base(chain: Checksum.chainOrigin(cluster: cluster, group: group.rawValue)),
      notesStored: options.levelsIn > 0)
    var diskRandom = random.stream("disks")
    for place in 0..<options.nodes {
      let disk = SimulatedDisk(random: SimulationRandom(seed: diskRandom.next()))
      let links = SimulatedLinks(world: self, place: place, count: options.nodes)
      nodes.append(SimulatedNode(place: place, disk: disk, links: links))
      disk.dies = { [unowned self] operation, path in self.death(at: operation, of: path, place) }
    }
    for place in 0..<options.clients {
      if place.isMultiple(of: options.callsAtOnce) { readers.append(SimulatedReader(index: readers.count)) }
      clients.append(SimulatedClient(place: place, reader: readers[place / options.callsAtOnce]))
    }
    followers = (0..<options.followers).map { SimulatedFollower(world: self, place: $0) }
    books.hasTrimmed = { [unowned self] place in nodes[place].hasTrimmed }
    books.durableSnapshots = { [unowned self] place in
      nodes[place].snapshots + (books.nodes[place].arrived.map { [$0.index] } ?? [])
    }
    books.isCompacted = { [unowned self] in faults.count(.logCompacted) }
    books.isAdmittedAgain = { [unowned self] in faults.count(.replacementAdmitted) }
    guard options.hasFavorites else { return }
    for reader in readers { reader.favorite = clientRandom.below(options.nodes) }
  }

  package var failure: InvariantFailure? { books.failure }
  package var checks: Int { books.checks }
  package var elections: Int { books.elections }

  func tell(_ text: @autoclosure () -> String) {
    if let story { story(now, text()) }
  }

  /// Mixes into the trace.
  func note(_ word: UInt64) { trace = (trace ^ word) &* 0x100_0000_01b3 }

  // MARK: Time

  /// Everything up to this moment happens, unless an invariant breaks.
  package func run(until end: UInt64) {
    while failure == nil, let time = agenda.nextTime, time <= end { step() }
    if failure == nil { now = max(now, end) }
  }

  package func run(for nanoseconds: UInt64) { run(until: now + nanoseconds) }

  /// Returns whether the condition came true in time.
  package func run(within nanoseconds: UInt64, until condition: () -> Bool) -> Bool {
    let end = now + nanoseconds
    while failure == nil {
      if condition() { return true }
      guard let time = agenda.nextTime, time <= end else { break }
      step()
    }
    if failure == nil { now = max(now, end) }
    return failure == nil && condition()
  }

  private func step() {
    guard let item = agenda.next() else { return }
    now = max(now, item.time)
    books.now = now
    events += 1
    note(item.time)
    happen(item.event)
  }

  func plan(_ event: Event, in nanoseconds: UInt64) { agenda.add(event, at: now + nanoseconds) }

  private func happen(_ event: Event) {
    switch event {
    case .tick(let place, let life): tick(place, life, event)
    case .turn(let place, let life):
      guard isRunning(place, life, event) else { return }
      nodes[place].isTurnPlanned = false
      turn(place)
    case .disk(let place, let life):
      if isRunning(place, life, event) { runNextJob(place) }
    case .applied(let place, let life):
      guard isRunning(place, life, event) else { return }
      nodes[place].node?.applierReady(group)
      planTurn(place)
    case .snapshot(let place, let life):
      if isRunning(place, life, event) { writeSnapshot(place) }
    case .install(let place, let life, let what):
      guard isRunning(place, life, event) else { return }
      nodes[place].installs?.happen(what)
      planTurn(place)
      look(at: place)
    case .start(let place): start(place)
    case .resume(let place): resume(place)
    case .dial(let from, let to, let life):
      if isRunning(from, life, event) { dial(from, to) }
    case .deliver(let connection, let bytes): deliver(bytes, over: connection, event)
    case .welcome(let connection): welcome(connection, event)
    case .handshakeDue(let connection): endHandshake(connection)
    case .hangUp(let connection): hangUp(connection, event)
    case .tireOf(let connection): tireOf(connection, event)
    case .arrive(let call, let place, let life): arrive(call, place, life, event)
    case .reply(let client, let call, let bytes): receive(bytes, call, client)
    case .read(let sink, let number): read(sink, number)
    case .giveUp(let client, let call): giveUp(client, call)
    case .act(let client): act(client)
    case .follow(let follower): follow(follower)
    case .fault: onFault?()
    case .heal(let pairs):
      for pair in pairs { unblock(pair / nodes.count, pair % nodes.count) }
    case .widen(let pairs):
      for pair in pairs { bandwidth[pair] = 0 }
    }
  }

  /// Whether this process is there to see the event. One that is paused sees it later.
  func isRunning(_ place: Int, _ life: Int, _ event: Event) -> Bool {
    let node = nodes[place]
    guard node.life == life, node.isUp else { return false }
    if node.isPaused {
      node.deferred.append(event)
      return false
    }
    return true
  }

  private func tick(_ place: Int, _ life: Int, _ event: Event) {
    guard isRunning(place, life, event), let node = nodes[place].node else { return }
    let clock = nodes[place].clock
    plan(.tick(node: place, life: life), in: options.tick * 1000 / clock.rate)
    guard !clock.isFrozen else { return }
    let isTurnDue = node.tick(now: clock.monotonic(now), wall: clock.wall(now))
    nodes[place].ticks += 1
    nodes[place].installs?.tick()
    if nodes[place].ticks.isMultiple(of: Self.noteEveryTicks) { noteAcknowledged(place) }
    rest(place)
    if isTurnDue { planTurn(place) }
    look(at: place)
  }

  private static let noteEveryTicks = 50

  func planTurn(_ place: Int) {
    let node = nodes[place]
    guard !node.isTurnPlanned, node.isUp else { return }
    node.isTurnPlanned = true
    plan(.turn(node: place, life: node.life), in: 5_000 + node.starvation)
  }

  private func turn(_ place: Int) {
    guard let node = nodes[place].node else { return }
    let clock = nodes[place].clock
    if node.turn(now: clock.monotonic(now), wall: clock.wall(now)) { planTurn(place) }
    look(at: place)
  }

  /// After every event of a node: is everything as it must be, and does the process go on?
  func look(at place: Int) {
    let simulated = nodes[place]
    guard let node = simulated.node else { return }
    if let budget = simulated.diskBudget ?? options.diskBudget {
      // Until what it started with has come down to its budget, it may take as much besides.
      let most = simulated.bytesAtStart > budget ? simulated.bytesAtStart + budget : budget
      books.check(
        .withinBudget, simulated.disk.bytesInUse <= most,
        """
        node \(place + 1) uses \(simulated.disk.bytesInUse) bytes of a disk of which it may use \(budget), and counts \
        \(simulated.budget?.space.used ?? 0)
        """)
      let counted = simulated.budget?.space.used ?? .max
      books.check(
        .withinBudget, simulated.disk.bytesInUse <= counted || simulated.disk.isProcessDead,
        "node \(place + 1) uses \(simulated.disk.bytesInUse) bytes of its disk, and counts \(counted)")
    }
    let commitBefore = books.nodes[place].commit
    // A disk that failed does not make what the process knew by then less true.
    let hasFailed = node.hasFailed
    if !hasFailed || node.failure.map(Self.keepsItsWord) ?? true { books.look(at: place, node) }
    if !hasFailed {
      let queues = node.underWay
      books.check(
        .boundedQueues,
        queues.calls <= options.driver.calls && queues.bytes <= options.driver.callBytes
          && simulated.jobs.count <= 16 + nodes.count,
        "node \(place + 1) has \(queues.calls) calls of \(queues.bytes) bytes, \(queues.forwards) of them passed on, and \(simulated.jobs.count) disk jobs"
      )
    }
    if simulated.doom == nil, crashOdds.commit > 0, books.nodes[place].commit > commitBefore,
      processRandom.oneIn(crashOdds.commit)
    {
      simulated.doom = .crashAtCommit
    }
    endIfDue(place)
  }

  /// What it held is right, although it must not go on.
  private static func keepsItsWord(_ failure: NodeFailure) -> Bool {
    switch failure {
    case .storage: true
    case .machine: true
    case .diverged, .corrupted: false
    }
  }

  func observe(_ event: NodeEvent, _ place: Int) {
    switch event {
    case .roleChanged(_, let role, let term, let leader):
      note(term.rawValue ^ UInt64(place) << 32)
      if role == .candidate,
        nodes.contains(where: { $0.isShortOfRoom && $0.node?.inspect(group)?.isTransferring == true })
      {
        electionsForRoom += 1
      }
      tell("node \(place + 1) is \(role.rawValue) in term \(term)\(leader.map { ", led by node \($0)" } ?? "")")
    case .protocolViolation(_, let peer, let explanation):
      let isExplained = isHearingGarbage || nodes.contains { $0.isUnreliable }
      books.check(.noViolation, isExplained, "node \(place + 1) was sent, by node \(peer): \(explanation)")
    case .diskIsSlow(_, let ticks): tell("the disk of node \(place + 1) is behind by \(ticks) ticks")
    case .diskAnswersAgain(_, let ticks):
      tell("the disk of node \(place + 1) is no longer behind, after \(ticks) ticks")
    case .roomIsShort(let space, let missing):
      faults.count(.roomIsShort)
      nodes[place].isShortOfRoom = true
      tell(
        "node \(place + 1) has no room for commands: it uses \(space.used) of \(space.limit) bytes, \(missing) are missing"
      )
    case .roomIsBack(let space):
      faults.count(.roomIsBack)
      nodes[place].isShortOfRoom = false
      tell("node \(place + 1) has room for commands again, and uses \(space.used) of \(space.limit) bytes")
    case .configured(_, let members):
      tell("node \(place + 1) has voters \(members.voters) and learners \(members.learners)")
    case .caughtUp, .snapshotTaken: break
    case .installBegins(_, let index, let leader):
      tell("node \(place + 1) needs a snapshot that reaches entry \(index): node \(leader) has no longer what it needs")
    case .installWaits(_, let reason): tell("node \(place + 1) waits for a snapshot: \(reason)")
    case .installed(_, let last, _, _):
      faults.count(.snapshotInstalled)
      tell("the log of node \(place + 1) begins anew, behind entry \(last.index)")
    case .snapshotUnsound(_, let index, let reason):
      tell("the log of node \(place + 1) does not begin behind entry \(index): \(reason)")
    case .snapshotsTrimmed(_, let last):
      faults.count(.snapshotsTrimmed)
      tell("node \(place + 1) goes on with its snapshot up to entry \(last.index) alone")
    case .snapshotLeft(_, let reason): tell("node \(place + 1) keeps a snapshot that it does not need: \(reason)")
    case .snapshotFailed(_, let index, let reason):
      tell("node \(place + 1) has no snapshot up to entry \(index): \(reason)")
    }
  }
}
