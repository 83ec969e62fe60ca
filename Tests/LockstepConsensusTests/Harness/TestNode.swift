import LockstepConsensus

/// An entry as a node's log holds it. The payload is unique in a run: two entries are the same when it is.
struct TestEntry: Hashable {
  let term: Term
  let payload: UInt64
  let bytes: Int
  let members: Members?
}

/// A write that has been handed to the disk and may still be lost.
struct TestWrite {
  let id: WriteID
  let hardState: HardState
  /// Where the entries go: they replace all from there on.
  let first: LogIndex
  /// nil: the hard state alone.
  let entries: [TestEntry]?
}

/// What is left after a power cut.
struct TestDisk {
  var hardState = HardState()
  var entries: [TestEntry] = []

  mutating func apply(_ write: TestWrite) {
    hardState = write.hardState
    guard let added = write.entries else { return }
    entries.removeSubrange((Int(write.first.rawValue) - 1)...)
    entries += added
  }

  /// A write that was cut off: the hard state comes first, then so many of the entries; or nothing of either.
  mutating func tear(_ write: TestWrite, keeping count: Int?) {
    hardState = write.hardState
    guard let added = write.entries, let count else { return }
    entries.removeSubrange((Int(write.first.rawValue) - 1)...)
    entries += added.prefix(count)
  }
}

/// One node: the replica under test, and what its driver would hold.
final class TestNode {
  let id: NodeID
  var replica: Replica?
  var entries: [TestEntry] = []
  var disk = TestDisk()
  /// Those that were wiped, as they were; the present one is the next.
  var formerDisks: [TestDisk] = []
  var writes: [TestWrite] = []
  var loads: [(node: NodeID, from: LogIndex, maximumBytes: Int)] = []
  /// Scripts stop the disk to see what must wait for it.
  var isDiskStalled = false

  /// Sizes of the proposal that is being stepped, and the entries that came with the message that is.
  var proposed: [Int] = []
  var received: [TestEntry] = []
  var receivedFirst = LogIndex(1)

  /// How far the machine of this node has applied.
  var applied = LogIndex.zero
  var leaderTerm = Term.zero
  var leaderLast = LogIndex.zero
  /// All effects since the script last looked.
  var effects: [Effect] = []

  init(id: NodeID) { self.id = id }

  var isUp: Bool { replica != nil }
  var role: RoleKind? { replica?.role.kind }
  var isLeader: Bool { role == .leader }
  var term: Term { replica?.term ?? .zero }
  var commit: LogIndex { replica?.commit ?? .zero }

  func diskID(_ number: Int) -> [UInt8] { [UInt8](repeating: UInt8(16 * id.rawValue) + UInt8(number), count: 16) }
  var memberDisk: MemberDisk { MemberDisk(node: id, disk: diskID(formerDisks.count)) }
  var isDiskReplaced: Bool { !formerDisks.isEmpty }

  /// The disk that a configuration means by this node.
  func disk(meantBy members: Members) -> TestDisk {
    let disks = formerDisks + [disk]
    let meant = members.disk(of: id)
    return disks.indices.first { diskID($0) == meant }.map { disks[$0] } ?? disks[0]
  }

  func entry(at index: LogIndex) -> TestEntry? {
    index > .zero && index.rawValue <= entries.count ? entries[Int(index.rawValue) - 1] : nil
  }

  func entries(_ slice: LogSlice) -> [TestEntry] {
    slice.isEmpty ? [] : Array(entries[Int(slice.first.rawValue) - 1..<Int(slice.last.rawValue)])
  }

  /// Builds the replica anew from what the disk holds.
  func start(_ configuration: Replica.Configuration) {
    entries = disk.entries
    writes = []
    loads = []
    leaderTerm = .zero
    var runs: [Log.TermRun] = []
    var configurations: [(index: LogIndex, members: Members)] = []
    for (place, entry) in entries.enumerated() {
      let index = LogIndex(UInt64(place) + 1)
      if runs.last?.term != entry.term { runs.append(.init(first: index, term: entry.term)) }
      if let members = entry.members { configurations.append((index, members)) }
    }
    replica = Replica(
      configuration, hardState: disk.hardState, log: Log(runs: runs, last: LogIndex(UInt64(entries.count))),
      configurations: configurations)
    applied = commit
  }

  /// A power cut. Of the writes under way the first so many are kept, and of the next one a part.
  func stop(keepingWrites kept: Int = 0, tornAfter torn: Int?? = .none) {
    for write in writes.prefix(kept) { disk.apply(write) }
    if case .some(let count) = torn, kept < writes.count { disk.tear(writes[kept], keeping: count) }
    replica = nil
    writes = []
    loads = []
  }
}

extension ReceivedEntries {
  init(first: LogIndex, _ entries: [TestEntry]) {
    var end = 0
    var ends: [Int] = []
    var configurations: [(index: LogIndex, members: Members)] = []
    for (place, entry) in entries.enumerated() {
      end += entry.bytes
      ends.append(end)
      if let members = entry.members { configurations.append((LogIndex(first.rawValue + UInt64(place)), members)) }
    }
    self.init(first: first, terms: entries.map(\.term), ends: ends, configurations: configurations)
  }
}
