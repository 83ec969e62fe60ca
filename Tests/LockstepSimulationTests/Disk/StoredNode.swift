import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

/// Where a node's data is, and who it is: what a start needs.
struct NodeHome {
  var path = "data"
  var cluster = [UInt8](repeating: 7, count: 16)
  var node = NodeID(1)
  var members = (1...3 as ClosedRange<UInt64>).map { DiskIdentity.Member(node: NodeID($0), address: "node\($0)") }
  var options = LogOptions()

  typealias Process = (directory: NodeDirectory, log: DurableLog, groups: [RecoveredGroup], report: RecoveryReport)

  /// What every start of a node does first.
  func open(_ disk: SimulatedDisk) throws -> Process {
    let directory = try NodeDirectory.open(
      disk: disk, path: path, cluster: cluster, node: node, members: members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: options)
    let opened = try DurableLog.open(directory, options: options)
    return (directory, opened.log, opened.groups, opened.report)
  }

  /// Starts a node on this disk, reads all that it has if asked to, and kills it.
  func recover(_ disk: SimulatedDisk, reading isReading: Bool) throws -> Recovered {
    let process = try open(disk)
    defer { disk.processEnded() }
    if isReading { for group in process.groups { try read(group, process.log) } }
    return Recovered(
      groups: process.groups.map(GroupState.init(of:)), incarnation: process.directory.incarnation,
      peers: process.directory.peers, report: process.report)
  }

  /// Every entry is there, and each follows the one before it: a block that is read has its chain hashes computed anew.
  private func read(_ group: RecoveredGroup, _ log: DurableLog) throws {
    var (next, chain) = (LogIndex(1), Checksum.chainOrigin(cluster: cluster, group: group.group.rawValue))
    while next <= group.last.index {
      let blocks = try log.read(
        group: group.group, from: next, through: group.last.index, maximumBytes: 64 << 10,
        termAt: { log.term(of: group.group, at: $0) })
      for block in blocks {
        #expect(block.first == next && block.previousChain == chain)
        (next, chain) = (block.last.next, block.lastChain)
      }
    }
    #expect(chain == group.lastChain)
  }
}

/// What a start found. The chain hash of a group's last entry stands for all its entries.
struct Recovered: Equatable {
  var groups: [GroupState]
  var incarnation: UInt64
  var peers: [DiskIdentity.Peer]
  var report: RecoveryReport
}

extension GroupState {
  init(of group: RecoveredGroup) {
    self.init(group: group.group, hardState: group.hardState, last: group.last, lastChain: group.lastChain)
  }
}

/// A node's log on a simulated disk, and a model of it beside it.
final class StoredNode {
  /// One group's log.
  private struct Line {
    var hardState = HardState()
    var terms: [Term] = []
    var chains: [UInt64] = []
  }

  let home: NodeHome
  let disk: SimulatedDisk
  private(set) var log: DurableLog?
  private(set) var directory: NodeDirectory?
  /// What was stored by all appends that have returned, and by the one under way.
  private(set) var stored: [GroupState] = []
  private(set) var begun: [GroupState] = []
  /// What starts and calls that have returned have promised.
  private(set) var incarnation: UInt64 = 0
  private(set) var peers: [DiskIdentity.Peer] = []
  private(set) var appends = 0
  private var lines: [UInt64: Line] = [:]
  private var storedLines: [UInt64: Line] = [:]
  private var random: SimulationRandom

  init(_ home: NodeHome, seed: UInt64) {
    self.home = home
    disk = SimulatedDisk(random: SimulationRandom(seed: seed))
    random = SimulationRandom(seed: seed).stream("appends")
  }

  /// Goes on with what was found, which is what was stored, or that and the append that was under way. False when it is
  /// neither.
  func start() throws -> Bool {
    let process = try home.open(disk)
    log = process.log
    directory = process.directory
    let isNewer = process.directory.incarnation > incarnation
    incarnation = process.directory.incarnation
    let found = process.groups.map(GroupState.init(of:))
    if found == begun { storedLines = lines } else { lines = storedLines }
    let isKnown = [stored, begun].contains(found)
    (stored, begun) = (found, found)
    return isKnown && isNewer
  }

  /// Cleanly.
  func stop() throws {
    try log?.close()
    directory?.close()
    disk.processEnded()
  }

  private func states() -> [GroupState] {
    lines.keys.sorted().map { group in
      let line = lines[group] ?? Line()
      let origin = Checksum.chainOrigin(cluster: home.cluster, group: group)
      let last = line.terms.last.map { EntryID(term: $0, index: LogIndex(UInt64(line.terms.count))) } ?? .zero
      return GroupState(
        group: GroupID(group), hardState: line.hardState, last: last, lastChain: line.chains.last ?? origin)
    }
  }

  /// Stores entries of these terms in a group, from `first` on; what the group has from there on is replaced.
  func write(
    _ group: UInt64 = 1, state: HardState, first: Int? = nil, terms: [Term] = [], size: Int = 40
  ) -> LogWrite {
    var line = lines[group] ?? Line()
    line.hardState = state
    let kept = first.map { $0 - 1 } ?? line.terms.count
    line.terms.removeSubrange(min(kept, line.terms.count)...)
    line.chains.removeSubrange(line.terms.count...)
    var block = EntryBlock(
      first: LogIndex(UInt64(line.terms.count + 1)),
      previousChain: line.chains.last ?? Checksum.chainOrigin(cluster: home.cluster, group: group))
    for term in terms {
      let payload = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      payload.withUnsafeBytes { block.append(term: term, kind: .command, payload: $0) }
      line.terms.append(term)
      line.chains.append(block.lastChain)
    }
    lines[group] = line
    return LogWrite(group: GroupID(group), hardState: state, entries: terms.isEmpty ? nil : block)
  }

  func append(_ writes: [LogWrite]) throws {
    begun = states()
    try #require(log).append(writes)
    (stored, storedLines) = (begun, lines)
    appends += 1
  }

  /// One of the things that happen to a log: a few entries, a new term that replaces some, a vote, two groups at once.
  func appendSomething() throws {
    var writes: [LogWrite] = []
    for group in 1...2 as ClosedRange<UInt64> where writes.isEmpty || random.oneIn(3) {
      let line = lines[group] ?? Line()
      let first = random.oneIn(6) ? 1 + max(0, line.terms.count - random.below(8)) : line.terms.count + 1
      // What replaces an entry has a term in which the group had none.
      let isNewTerm = first <= line.terms.count || line.hardState.term == .zero || random.oneIn(10)
      var state = line.hardState
      if isNewTerm { state = HardState(term: state.term.next, vote: random.oneIn(2) ? NodeID(2) : nil) }
      state.commit = LogIndex(UInt64(max(0, min(first, line.terms.count) - 1)))
      let count = random.oneIn(8) ? 0 : 1 + random.below(3)
      let size = random.oneIn(4) ? random.below(random.oneIn(10) ? 12_000 : 1500) : random.below(120)
      let terms = Array(repeating: state.term, count: count)
      writes.append(write(group, state: state, first: count == 0 ? nil : first, terms: terms, size: size))
    }
    try append(writes)
  }

  /// A peer has come up, with an incarnation that was not seen before.
  func meetPeer(_ incarnation: UInt64) throws {
    let disk = [UInt8](repeating: 3, count: 16)
    let peer = DiskIdentity.Peer(node: NodeID(2), disk: disk, incarnation: incarnation, start: incarnation ^ .max)
    try #require(directory).store(peers: [peer])
    peers = [peer]
  }
}
