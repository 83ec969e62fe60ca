import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepStorage
import LockstepWire

// Installs: the real fetch between a simulated disk thread and connections of their own, which break as others do. What
// goes over them is whole or not there: a frame that was changed on the way ends a connection.

/// What one node fetches, and what others read of it.
final class SimulatedInstalls: InstallQueue, FetchPort {
  private unowned let world: World
  private let place: Int
  private let worker: FetchWorker
  private let installer: any StateInstaller
  let outgoing: OutgoingSnapshots
  private var fetch: SnapshotFetch?
  /// Of the connection that is there, or is being made; 0: none. What comes over an older one is lost.
  private(set) var connection = 0
  private var source: Int?
  /// What is asked, and what is answered, arrives in the order in which it was sent.
  private var lastAsked: UInt64 = 0
  private var lastCame: UInt64 = 0
  private var work: [FetchWork] = []
  private var isWorking = false

  init(world: World, place: Int, store: SnapshotStore, installer: any StateInstaller) {
    self.world = world
    self.place = place
    self.installer = installer
    outgoing = OutgoingSnapshots(store: store)
    worker = FetchWorker(store: store, installer: installer)
  }

  // MARK: What the group asks for

  func begin(_ job: InstallJob) {
    var options = SnapshotFetch.Options()
    // Small states are in several pieces, too, and do not come in an instant.
    (options.pieceBytes, options.window) = (64 + world.processRandom.below(400), 1 + world.processRandom.below(4))
    options.bytesPerTick = 2_000 + world.processRandom.below(60_000)
    options.patienceTicks = 100
    world.faults.count(.installBegun)
    fetch = SnapshotFetch(job, options: options, port: self)
  }

  func cancel(_ group: GroupID) {
    if fetch != nil { world.faults.count(.installSuperseded) }
    fetch?.cancel()
    fetch = nil
  }

  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool) {
    guard let directory = world.nodes[place].directory else { return }
    do throws(StorageError) {
      try installer.settle(isOfUse: isOfUse)
      if isOfUse {
        try SnapshotStore(directory).replaceOlder(group, by: index)
        world.nodes[place].snapshots = [index] + world.nodes[place].snapshots.filter { $0 > index }
      } else {
        try SnapshotStore(directory).settle(group) { _ in false }
      }
      world.books.nodes[place].arrived = nil
    } catch { world.nodes[place].node?.diskFailed(error) }
  }

  func progress(of group: GroupID) -> InstallProgress? { fetch?.progress(tickMilliseconds: 10) }

  func tick() { fetch?.tick() }

  // MARK: What the fetch asks for

  func connect(to node: NodeID) {
    let other = Int(node.rawValue) - 1
    world.connectionsMade += 1
    (connection, source) = (world.connectionsMade, other)
    world.plan(.install(node: place, life: world.nodes[place].life, .opened(connection)), in: 2 * world.latency())
  }

  func disconnect() { (connection, source) = (0, nil) }

  func send(_ read: SnapshotRead) {
    guard let source, world.isReachable(place, source) else { return breakOff("it is not reachable") }
    if world.inject(world.network.lost, .installBroken) { return breakOff("the connection broke") }
    lastAsked = max(world.now + world.latency(), lastAsked + 1)
    world.plan(
      .install(node: source, life: world.nodes[source].life, .asked(read, by: place, connection)),
      in: lastAsked - world.now)
  }

  private func breakOff(_ why: String) {
    let broken = connection
    world.plan(.install(node: place, life: world.nodes[place].life, .closed(broken, why)), in: world.latency())
  }

  func run(_ work: FetchWork) {
    self.work.append(work)
    if !isWorking { planWork() }
  }

  private func planWork() {
    isWorking = true
    let time = world.nodes[place].disk.faults.writeTime * world.nodes[place].diskSlowness
    world.plan(
      .install(node: place, life: world.nodes[place].life, .worked),
      in: 1_000 + UInt64(world.processRandom.below(Int(2 * time + 1))))
  }

  func arrived(_ result: InstallResult) {
    fetch = nil
    world.tell("node \(place + 1) has got a snapshot up to entry \(result.snapshot.last.index)")
    world.nodes[place].node?.installFinished(result)
  }

  func observe(_ event: NodeEvent) { world.observe(event, place) }
  func failed(_ error: StorageError) { world.nodes[place].node?.diskFailed(error) }

  private func answer(_ part: SnapshotPart, _ number: Int, _ life: Int) {
    lastCame = max(world.now + world.latency(), lastCame + 1)
    world.plan(.install(node: place, life: life, .came(part, number)), in: lastCame - world.now)
  }

  // MARK: What happens

  func happen(_ event: InstallEvent) {
    switch event {
    case .opened(let number):
      guard number == connection, let source else { return }
      guard world.nodes[source].isUp, world.isReachable(place, source) else {
        disconnect()
        fetch?.disconnected("it is not there")
        return
      }
      fetch?.connected()
    case .closed(let number, let why):
      guard number == connection else { return }
      disconnect()
      fetch?.disconnected(why)
    case .asked(let read, let receiver, let number):
      let other = world.nodes[receiver]
      guard let node = world.nodes[place].node, let state = node.inspect(read.group), other.isUp else { return }
      let answer = outgoing.read(read)
      if let (name, reason) = answer.unsound {
        world.faults.count(.snapshotDamaged)
        world.nodes[place].snapshots.removeAll { $0 == name.index }
        world.nodes[place].node?.snapshotIsUnsound(of: name.group, name.index, reason)
        world.planTurn(place)
      }
      let part = SnapshotPart(group: read.group, term: state.hardState.term, outcome: answer.outcome)
      guard world.isReachable(place, receiver) else { return }
      other.installs?.answer(part, number, other.life)
    case .came(let part, let number):
      if number == connection { fetch?.received(part) }
    case .worked:
      isWorking = false
      guard !work.isEmpty else { return }
      let next = work.removeFirst()
      let result = worker.run(next)
      if case .restored(let snapshot, _) = result, case .restore(let term) = next {
        world.faults.count(.installArrived)
        world.books.arrived(place, snapshot.last.index, term)
        let simulated = world.nodes[place]
        // The moment in which it has arrived, and the log does not begin behind it, is short.
        if world.crashOdds.write > 0, world.processRandom.oneIn(4) { simulated.doom = .crashAtWrite }
      }
      // The process may have died right after it had arrived.
      if case .failed = result, case .restore(let term) = next, let index = fetch?.progress(tickMilliseconds: 10).index,
        world.nodes[place].disk.paths.contains(where: { $0.contains(".arrived-") })
      {
        world.books.arrived(place, index, term)
      }
      if case .damaged(let why) = result {
        world.faults.count(.installDamaged)
        world.tell("node \(place + 1) has got no snapshot: \(why)")
      }
      if case .prepared(let index?, _) = result {
        world.faults.count(.installResumed)
        world.tell("node \(place + 1) goes on with a snapshot up to entry \(index)")
      }
      if !work.isEmpty { planWork() }
      fetch?.finished(result)
    }
  }
}

enum InstallEvent {
  case opened(Int)
  case closed(Int, String)
  case asked(SnapshotRead, by: Int, Int)
  case came(SnapshotPart, Int)
  case worked
}
