import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

/// Starts nodes on copies of their disks, as crashes in the middle of a snapshot, of an install, or of a log that begins
/// further on have left them: the start must find what was promised, and the state at it that a replay comes to.
private struct StartSweep {
  /// What a start makes of a disk.
  private struct Start: Equatable {
    var last: LogIndex
    var lastChain: UInt64
    var state: HardState
    var base: LogIndex
    var applied: LogIndex
    var digest: UInt64
    /// Of the last entry that a machine with its own storage has carried out.
    var appliedChain: UInt64?
  }

  private let world: World
  private let tears: Int
  private(set) var moments = 0
  private(set) var images = 0
  private(set) var failures: [String] = []
  private var random = SimulationRandom(seed: 1)

  init(_ world: World, tears: Int) {
    self.world = world
    self.tears = tears
  }

  /// The process is killed, or the power is cut, before this operation, with all outcomes that are different.
  mutating func cut(_ place: Int, _ moment: String) {
    moments += 1
    let image = world.nodes[place].disk.image()
    var seen: [UInt64] = []
    for number in 0..<tears + 3 {
      let disk = SimulatedDisk(image, random: SimulationRandom(seed: random.next()))
      switch number {
      case 0: break
      case 1: disk.powerCut(.losesAll)
      case 2: disk.powerCut(.keepsAll)
      default: disk.powerCut(.keepsAny)
      }
      let digest = disk.digest
      if seen.contains(digest) { continue }
      seen.append(digest)
      check(disk, place, "node \(place + 1), \(moment), number \(number)")
    }
  }

  private mutating func check(_ disk: SimulatedDisk, _ place: Int, _ moment: String) {
    images += 1
    // What is arriving at this moment has, or has not; what has arrived is found.
    let known = world.books.nodes[place].arrived
    let arriving = known == nil ? Self.arriving(on: disk) : nil
    var promised = world.books.recoverable(place, arrived: known ?? arriving)
    if known != nil, promised.count > 2 { promised.removeFirst(promised.count / 2) }
    do {
      let start = try start(place, on: disk)
      let isPromised = promised.contains {
        $0.log.last == start.last && $0.state == start.state
          && ($0.log.lastElement?.chain ?? start.lastChain) == start.lastChain
      }
      if !isPromised {
        failures.append("\(moment): found \(start), promised \(promised.map { "\($0.log.last), \($0.state)" })")
      }
      if start.applied < start.base || start.applied > start.last {
        failures.append("\(moment): a state up to \(start.applied) with a log behind \(start.base) up to \(start.last)")
      }
      if start.applied > .zero, world.books.digest(after: start.applied) != start.digest {
        failures.append("\(moment): the state up to entry \(start.applied) is not that of a replay")
      }
      if world.options.keepsState, start.applied > .zero,
        world.books.committedEntries(through: start.applied).last?.chain != start.appliedChain
      {
        failures.append("\(moment): a snapshot of the state up to entry \(start.applied) could not be made")
      }
      disk.powerCut(.losesAll)
      var again = try self.start(place, on: disk)
      // A machine's own state may be one of a while ago.
      if world.options.keepsState {
        if again.applied > .zero, world.books.digest(after: again.applied) != again.digest {
          failures.append(
            "\(moment): the state up to entry \(again.applied), found a second time, is not that of a replay")
        }
        (again.applied, again.digest, again.appliedChain) = (start.applied, start.digest, start.appliedChain)
      }
      if again != start { failures.append("\(moment): found \(start), and a second time \(again)") }
    } catch { failures.append("\(moment): \(error)") }
  }

  private static func arriving(on disk: SimulatedDisk) -> (index: LogIndex, term: Term)? {
    for path in disk.paths {
      guard let mark = path.firstRange(of: ".arrived-"), let term = UInt64(path[mark.upperBound...]),
        let index = UInt64(path[..<mark.lowerBound].suffix(20)), disk.paths.contains(String(path[..<mark.lowerBound]))
      else { continue }
      return (LogIndex(index), Term(term))
    }
    return nil
  }

  /// As the process of a real node begins; then it is killed.
  private func start(_ place: Int, on disk: SimulatedDisk) throws -> Start {
    defer { disk.processEnded() }
    let directory = try NodeDirectory.open(
      disk: disk, path: "data", cluster: world.cluster, node: NodeID(UInt64(place + 1)), members: world.members,
      newDiskID: { [UInt8](repeating: 1, count: 16) }, options: world.options.log)
    let opened = try DurableLog.open(directory, options: world.options.log)
    let store = SnapshotStore(directory)
    let recovered = try InstallRecovery(store: store, log: opened.log).complete(
      world.group, recovered: opened.groups.first { $0.group == world.group }
    ) { _ in }
    let recovery = StateRecovery(store: store, log: opened.log) { _ in }
    let (applied, digest): (LogIndex, UInt64)
    var chain: UInt64?
    if world.options.keepsState {
      let machine = KeptMachine(world.workload.machine, on: disk)
      let directories = StateDirectories("data", group: world.group, on: disk)
      let (state, _) = try recovery.open(world.group, machine, in: directories, recovered: recovered)
      (applied, digest) = (state.executor.mark.last.index, state.executor.state.digest)
      chain = state.chain
    } else {
      let (executor, _) = try recovery.restore(world.group, first: world.workload.machine, recovered: recovered)
      (applied, digest) = (executor.applied, executor.digest)
    }
    if let recovered { try read(recovered, opened.log) }
    return Start(
      last: recovered?.last.index ?? .zero,
      lastChain: recovered?.lastChain ?? Checksum.chainOrigin(cluster: world.cluster, group: world.group.rawValue),
      state: recovered?.hardState ?? HardState(), base: recovered?.base.id.index ?? .zero, applied: applied,
      digest: digest, appliedChain: chain)
  }

  /// Every entry behind the base is there, and each follows the one before it.
  private func read(_ group: RecoveredGroup, _ log: DurableLog) throws {
    var (next, chain) = (group.base.id.index.next, group.base.chain)
    while next <= group.last.index {
      let blocks = try log.read(
        group: group.group, from: next, through: group.last.index, maximumBytes: 64 << 10,
        termAt: { log.term(of: group.group, at: $0) })
      guard let block = blocks.first, block.first == next, group.base.id.index == .zero || block.previousChain == chain
      else {
        throw DiskError(operation: "read", path: "data", reason: .other, text: "no entry \(next) behind \(chain)")
      }
      (next, chain) = (blocks.last?.last.next ?? next, blocks.last?.lastChain ?? chain)
    }
  }
}

extension Books {
  fileprivate func digest(after index: LogIndex) -> UInt64? { changeReplay { $0.outcomes[index]?.digest } }
}

@Suite("crash sweep: snapshots, installs, and a log that begins further on")
struct SnapshotCrashSweepTests {
  @Test(
    "crash sweep: each write, sync and change of a name while snapshots are written, sent and used, and segments used again",
    arguments: [false, true])
  func everyOperation(keepsState: Bool) throws {
    let wanted = extent(quick: 1_200, full: 12_000)
    let story = try Story(nodes: 3, clients: 3, seed: keepsState ? 2 : 1, contents: 300...3_000) { options in
      options.keepsState = keepsState
      options.thinkTime = 5_000_000
      options.driver.snapshotLogBytes = 3_000
      options.driver.retainedBytes = 0
      options.log.segmentBytes = 16 << 10
      options.log.firstSegmentBytes = 16 << 10
    }
    let world = story.world
    var sweep = StartSweep(world, tears: 5)
    var swept: [String: Int] = [:]
    // There are many writes of pieces, the log's own have a sweep of their own, and a node writes many snapshots for each one
    // that it is sent: of those one in some is enough here, so that there is room for a number of installs.
    var (frequent, own) = (0, 0)
    for place in world.nodes.indices {
      let disk = world.disk(of: place + 1)
      disk.dies = { [unowned world] operation, path in
        guard world.nodes[place].isUp, sweep.images < wanted else { return nil }
        let name = path.split(separator: "/").dropFirst().first.map(String.init) ?? path
        let kind = ["snapshot", "state", "log"].first { name.hasPrefix($0) } ?? "other"
        let isFrequent = operation == .write || kind == "other" || path.hasSuffix("/state.next")
        let isArriving = path.contains(".arrived-") || path.hasSuffix(".part")
        if isFrequent || kind == "log" && (operation == .sync || operation == .create) {
          frequent += 1
          guard frequent.isMultiple(of: extent(quick: 61, full: 211)) else { return nil }
        } else if !isArriving {
          own += 1
          guard own.isMultiple(of: extent(quick: 1, full: 6)) else { return nil }
        }
        swept["\(isArriving ? "arriving snapshot" : kind) \(operation)", default: 0] += 1
        sweep.cut(place, "before \(operation) of \(path)")
        return nil
      }
    }
    var round = 0
    while sweep.images < wanted, round < 200, world.failure == nil, sweep.failures.isEmpty {
      // Away until the others' logs begin behind what it has: it is sent a snapshot.
      let away = round % 3 + 1
      story.world.isolate(away)
      story.pass(4)
      story.world.healNetwork()
      story.pass(1)
      round += 1
    }
    for place in world.nodes.indices { world.disk(of: place + 1).dies = nil }
    print(
      "crash sweep, snapshots: \(sweep.moments) moments, \(sweep.images) starts, \(round) rounds,",
      "\(world.faults[.snapshotInstalled]) installs, \(swept.sorted { $0.key < $1.key })")
    #expect(sweep.failures.isEmpty, "\(sweep.failures.count) failures; the first: \(sweep.failures.first ?? "")")
    #expect(sweep.images >= wanted)
    let needed =
      ["snapshot write", "snapshot sync", "snapshot rename", "log rename"] + (keepsState ? ["state rename"] : [])
      + extent(quick: [], full: ["arriving snapshot sync", "arriving snapshot rename"])
    for kind in needed { #expect(swept[kind, default: 0] > 0, "\(kind) did not occur") }
    #expect(world.faults[.logCompacted] > 0)
    // A short sweep may end before one has arrived.
    #expect(extent(quick: true, full: world.faults[.snapshotInstalled] > 2), "no snapshot was installed")
    story.nothingIsBroken()
  }
}
