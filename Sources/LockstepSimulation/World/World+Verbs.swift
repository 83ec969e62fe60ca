package import LockstepConsensus
import LockstepDriver
package import LockstepRequests
import LockstepWire

// What a script, and a swarm, can do to a world. Nodes are named by their numbers, from 1.

extension World {
  package func start(_ ids: [Int]? = nil) {
    for id in ids ?? Array(1...nodes.count) { plan(.start(node: id - 1), in: 1_000) }
  }

  /// Every client asks, waits for the answer, thinks, and asks again.
  package func startClients() {
    for client in clients {
      client.isActive = true
      plan(.act(client: client.place), in: UInt64(clientRandom.below(Int(options.thinkTime) + 1)))
    }
    for follower in followers { plan(.follow(follower.place), in: UInt64(followRandom.below(100_000_000))) }
  }

  package func stopClients() {
    for client in clients { client.isActive = false }
  }

  package var leader: Int? {
    nodes.filter { $0.isUp && !$0.isPaused && books.nodes[$0.place].leads != nil }
      .max { left, right in
        let terms = [left, right].map { books.nodes[$0.place].leads?.term ?? .zero }
        return terms[0] < terms[1]
      }.map { $0.place + 1 }
  }

  package func isUp(_ id: Int) -> Bool { nodes[id - 1].isUp }
  package func term(of id: Int) -> Term { nodes[id - 1].node?.inspect(group)?.hardState.term ?? .zero }
  /// One of them leads, and the others follow it.
  package func isLed(_ ids: [Int]) -> Bool {
    let seen = ids.compactMap { nodes[$0 - 1].node?.inspect(group) }
    guard seen.count == ids.count, let leader = seen.first?.leader, let term = seen.first?.hardState.term else {
      return false
    }
    return ids.contains(Int(leader.rawValue)) && seen.allSatisfy { $0.leader == leader && $0.hardState.term == term }
  }

  package func applied(by id: Int) -> LogIndex { books.nodes[id - 1].applied }
  package func digest(of id: Int) -> UInt64? { nodes[id - 1].node?.digest(of: group) }
  package func disk(of id: Int) -> SimulatedDisk { nodes[id - 1].disk }
  package var committed: Int { Int(books.committed.last.rawValue) }
  /// Why a node does not start any more.
  package func refusal(of id: Int) -> String? {
    if case .refused(let reason) = nodes[id - 1].state { reason } else { nil }
  }

  // MARK: Processes

  /// SIGTERM: it ends when it has handed over its lead and answered all calls, or when it has waited long enough.
  package func stop(_ id: Int) {
    let simulated = nodes[id - 1]
    guard simulated.isUp, !simulated.isStopping else { return }
    tell("node \(id) is told to stop")
    simulated.isStopping = true
    simulated.node?.stop()
    planTurn(id - 1)
  }

  /// kill -9.
  package func crash(_ id: Int) {
    guard nodes[id - 1].isUp else { return }
    tell("node \(id) is killed")
    end(id - 1)
  }

  package func cutPower(_ ids: [Int], _ cut: PowerCut = .keepsAny) {
    tell("power is cut: \(ids.map(String.init).joined(separator: ", "))")
    for id in ids {
      let isUp = nodes[id - 1].isUp
      end(id - 1, keepsMachine: false, cut: cut)
      if isUp { planStart(id - 1) }
    }
  }

  /// The disk is lost for good: the node starts with an empty one, and with the word that it comes in its place.
  package func replaceDisk(_ id: Int) {
    let (place, simulated) = (id - 1, nodes[id - 1])
    tell("node \(id) loses its disk, and is given another one")
    end(place, keepsMachine: false)
    simulated.disk.wipe()
    simulated.isDiskReplaced = true
    simulated.rottenSnapshots = []
    simulated.beforeDamage = nil
    books.diskReplaced(place)
    // A connection ends with the process: what went over one of the former disk's comes over no other.
    for other in nodes.indices {
      oldFrames[pair(place, other)] = []
      oldFrames[pair(other, place)] = []
    }
    planStart(place)
  }

  /// By all that is committed, it votes with the disk that it has.
  package func votes(_ id: Int) -> Bool { books.givesVotes(id - 1) }

  /// From its next start on.
  package func give(_ id: Int, diskBudget: Int) { nodes[id - 1].diskBudget = diskBudget }

  package func restart(_ id: Int) { plan(.start(node: id - 1), in: 1_000) }

  package func pause(_ id: Int, for nanoseconds: UInt64? = nil) {
    guard nodes[id - 1].isUp, !nodes[id - 1].isPaused else { return }
    tell("node \(id) stands still")
    nodes[id - 1].isPaused = true
    if let nanoseconds { plan(.resume(node: id - 1), in: nanoseconds) }
  }

  package func goOn(_ id: Int) { resume(id - 1) }

  package func transferLeadership(to id: Int) {
    guard let leader else { return }
    tell("node \(leader) is asked to hand over to node \(id)")
    nodes[leader - 1].node?.transferLeadership(of: group, to: NodeID(UInt64(id)))
    planTurn(leader - 1)
  }

  // MARK: Network

  /// Nothing passes between these and those, either way or, with `oneWay`, from these to those.
  package func partition(_ some: [Int], from others: [Int], oneWay: Bool = false) {
    tell("\(some) cannot reach \(others)\(oneWay ? ", one way" : "")")
    for one in some {
      for other in others where one != other {
        block(one - 1, other - 1)
        if !oneWay { block(other - 1, one - 1) }
      }
    }
  }

  package func isolate(_ id: Int) { partition([id], from: (1...nodes.count).filter { $0 != id }) }

  package func healNetwork() {
    tell("all links are whole again")
    for from in nodes.indices {
      for to in nodes.indices { unblock(from, to) }
    }
  }

  /// Each of them has a connection to each other one, whose other end is there.
  func areConnected(_ ids: [Int]) -> Bool {
    ids.allSatisfy { from in
      ids.allSatisfy { to in
        guard from != to else { return true }
        guard let connection = nodes[from - 1].links.outgoing[to - 1] else { return false }
        return !connection.isClosed && !connection.isHalfOpen && connection.toLife == nodes[to - 1].life
      }
    }
  }

  /// When all has arrived that is under way between nodes now.
  var lastArrival: UInt64 { connections.reduce(now) { max($0, $1.lastArrival) } }

  /// From the one to the other so many bytes a second get through.
  package func narrow(_ from: Int, _ to: Int, bytesPerSecond: UInt64) {
    tell("node \(from) to node \(to): \(bytesPerSecond) bytes a second")
    bandwidth[pair(from - 1, to - 1)] = bytesPerSecond
  }

  /// Calls that a process has sent may reach a node that is paused, and be answered so much later.
  private static let longestDelay: UInt64 = 15_000_000_000

  /// A process of a client stops reading, or reads slowly.
  package func stopReading(_ process: Int, for nanoseconds: UInt64, goesOnCalling: Bool = false) {
    let meanwhile = goesOnCalling ? ", and goes on calling" : ""
    tell("client process \(process) reads nothing for \(nanoseconds / 1_000_000) ms\(meanwhile)")
    readers[process - 1].stoppedUntil = max(readers[process - 1].stoppedUntil, now + nanoseconds)
    readers[process - 1].goesOnCalling = goesOnCalling
    if goesOnCalling { readers[process - 1].askedTooMuchUntil = now + nanoseconds + Self.longestDelay }
  }

  package func readSlowly(_ process: Int, bytesPerSecond: UInt64) {
    tell("client process \(process) reads \(bytesPerSecond) bytes a second")
    readers[process - 1].bytesPerSecond = bytesPerSecond
  }

  /// The connections between two nodes break.
  package func resetConnections(between one: Int, and other: Int) {
    let broken = connections.filter {
      ($0.from, $0.to) == (one - 1, other - 1) || ($0.from, $0.to) == (other - 1, one - 1)
    }
    for connection in broken { close(connection) }
  }

  // MARK: One call

  /// Has a client of its own make this call, and returns the answer, or nil when none came in time.
  package func ask(
    _ request: [UInt8], method: String, isQuery: Bool, at id: Int, read: Consistency? = nil, timeout: UInt64 = 2_000
  ) -> CallOutcome? {
    let reader = SimulatedReader(index: readers.count)
    readers.append(reader)
    let client = SimulatedClient(place: clients.count, reader: reader)
    clients.append(client)
    callNumber += 1
    let watcher = OutcomeWatcher()
    watchers[callNumber] = watcher
    let planned = PlannedCall(number: callNumber, method: method, request: request, isQuery: isQuery)
    call(planned, by: client.place, at: id - 1, read: read, timeout: timeout)
    _ = run(within: timeout * 3_000_000) { watcher.outcome != nil }
    watchers[callNumber] = nil
    return watcher.outcome
  }

  /// All faults end; what is broken for good stays broken.
  package func endFaults() {
    network = NetworkFaults()
    network.latency = options.latency
    crashOdds = CrashOdds()
    onFault = nil
    for pair in bandwidth.indices { bandwidth[pair] = 0 }
    for reader in readers { readAll(reader) }
    for node in nodes {
      var faults = DiskFaults()
      faults.writeTime = node.disk.faults.writeTime
      faults.syncTime = node.disk.faults.syncTime
      node.disk.faults = faults
      node.diskSlowness = 1
      node.diskStalledUntil = 0
      node.starvation = 0
      node.clock.thaw(now: now)
      node.clock.setRate(1000, now: now)
      // What a slow disk is still at is done now.
      if node.isDiskBusy { plan(.disk(node: node.place, life: node.life), in: faults.syncTime) }
    }
  }
}

/// Waits for the outcome of one call.
final class OutcomeWatcher {
  var outcome: CallOutcome?
}

extension World {
  /// One line for each node, for whoever wants to know why nothing goes on.
  package var picture: String {
    nodes.map { node in
      let book = books.nodes[node.place]
      let links = node.links.outgoing.indices.filter { node.links.outgoing[$0] != nil }.map { "\($0 + 1)" }
      let log = "log up to entry \(book.log.last), of term \(book.log.lastElement?.term ?? .zero)"
      let state = node.isUp ? (node.isPaused ? "paused" : "up") : "down"
      return
        "node \(node.place + 1): \(state), term \(term(of: node.place + 1)), \(log), links to \(links), \(node.jobs.count) disk jobs"
    }.joined(separator: "; ")
  }
}
