import Foundation
import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepServices
import LockstepStorage
import LockstepWire
import LockstepSimulation
import Testing

@testable import Lockstep

/// A node whose machine has its own storage, with a log of five entries, four of them carried out; and a snapshot of
/// another node, up to entry 20.
private final class Installing {
  /// What there is of an install, in this order.
  enum Moment: Int, CaseIterable {
    case nothing, come, prepared, arrived, begun, logBegins, settled, over
  }

  static let term = Term(5)
  static let id = EntryID(term: Term(3), index: LogIndex(20))
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
  let machine: KeptMachine
  private var copies: [Moment: String] = [:]
  private static let members = (1...3).map { DiskIdentity.Member(node: NodeID($0), address: "n\($0):1") }
  private var node: String { "\(path)/node" }

  init() throws {
    machine = KeptMachine(try ServiceMachine(services: [Counter.self]))
    try FileManager.default.createDirectory(atPath: "\(path)/source", withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  private func open(_ path: String) throws -> (directory: NodeDirectory, log: DurableLog, groups: [RecoveredGroup]) {
    let directory = try NodeDirectory.open(
      disk: PosixDisk(), path: path, cluster: [UInt8](repeating: 7, count: 16), node: NodeID(1), members: Self.members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, isMoved: true, options: LogOptions(segmentBytes: 1 << 20))
    let (log, groups, _) = try DurableLog.open(directory, options: LogOptions(segmentBytes: 1 << 20))
    return (directory, log, groups)
  }

  private func carryOut(_ count: Int, _ executor: StoredExecutor) throws {
    for _ in 0..<count {
      let id = EntryID(term: Self.id.term, index: executor.mark.last.index.next)
      let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
      let entry = Executor.Entry(
        id: id, kind: .noOperation, timestamp: id.index.rawValue, session: 0, sequence: 0,
        call: MethodCall(method: nothing, request: nothing))
      _ = try executor.apply([entry], repliesAreWanted: false)
    }
  }

  /// All of the snapshot's file.
  private func source() throws -> (header: SnapshotHeader, bytes: [UInt8]) {
    let directory = "\(path)/source"
    let executor = try StoredExecutor(group: .first, state: try machine.open(directory))
    try carryOut(20, executor)
    let header = SnapshotHeader(
      cluster: [UInt8](repeating: 7, count: 16), group: .first,
      last: LogBase(id: Self.id, chain: 0xfeed, members: Codec.packed(Members(voters: [1, 2, 3].map { NodeID($0) }))),
      addresses: [], machineVersion: 1, time: executor.mark.time, digest: executor.state.digest)
    let writer = try SnapshotWriter(disk: PosixDisk(), directory: directory, header: header)
    var content = try executor.state.freeze()
    while let piece = try content.next(maximumBytes: 100) { try writer.append(piece) }
    _ = try writer.finish()
    let name = SnapshotName(group: .first, index: Self.id.index)
    return (header, [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))))
  }

  /// A whole install, and a copy of the directory as each moment leaves it: what a crash would find. `isOfUse`: the log
  /// begins behind it; otherwise it has gone on without it.
  func run(isOfUse: Bool) throws {
    let (header, bytes) = try source()
    let (directory, log, _) = try open(node)
    var block = EntryBlock(
      first: LogIndex(1), previousChain: Checksum.chainOrigin(cluster: directory.cluster, group: 1))
    for _ in 0..<5 { block.append(term: Self.id.term, kind: .noOperation, timestamp: 1) }
    try log.append([LogWrite(group: .first, hardState: HardState(term: Self.id.term, vote: nil), entries: block)])
    let store = SnapshotStore(directory)
    let directories = StateDirectories(node, group: .first)
    let recovery = StateRecovery(store: store, log: log) { _ in }
    let (opened, _) = try recovery.open(.first, machine, in: directories, recovered: nil)
    try carryOut(4, opened.executor)
    let begin: StoredStates.Begin = { executor, machine throws(StoredMachineFailure) in
      let applier = StoredApplier(executor, of: machine, isReady: {})
      applier.start(try StoredApplier.readers(of: executor))
      return applier
    }
    let states = StoredStates(
      try begin(opened.executor, machine), in: opened.directory, of: directories, machine: machine, beginWork: begin)
    defer { states.stop() }
    func note(_ moment: Moment) throws {
      let copy = "\(path)/\(moment)"
      try FileManager.default.copyItem(atPath: node, toPath: copy)
      copies[moment] = copy
    }
    try note(.nothing)
    let incoming = try store.receive(SnapshotName(group: .first, index: Self.id.index))
    try incoming.append(bytes)
    try note(.come)
    try states.prepare(try incoming.open())
    try note(.prepared)
    try incoming.arrive(in: Self.term)
    try note(.arrived)
    let applier = try states.begin()
    #expect(applier.applied == Self.id.index && applier.digest == header.digest)
    try note(.begun)
    if isOfUse {
      let state = HardState(term: Self.term, vote: nil, commit: Self.id.index)
      try log.append([LogWrite(group: .first, hardState: state, base: header.last)])
      try note(.logBegins)
    }
    try states.settle(isOfUse: isOfUse)
    try note(.settled)
    try store.settle(.first) { isOfUse && $0 == Self.id.index }
    try note(.over)
    directory.close()
  }

  /// What a start makes of the directory as it was then: how far the machine is, and where the log begins and ends.
  func start(_ moment: Moment) throws -> (mark: UInt64, base: UInt64, last: UInt64, files: [String])? {
    guard let path = copies[moment] else { return nil }
    let (directory, log, groups) = try open(path)
    defer { directory.close() }
    let store = SnapshotStore(directory)
    let group = try InstallRecovery(store: store, log: log).complete(.first, recovered: groups.first) { _ in }
    let recovery = StateRecovery(store: store, log: log) { _ in }
    let (opened, _) = try recovery.open(
      .first, machine, in: StateDirectories(path, group: .first), recovered: group)
    let files = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("state-") }
    return (
      opened.executor.mark.last.index.rawValue, group?.base.id.index.rawValue ?? 0, group?.last.index.rawValue ?? 0,
      files
    )
  }
}

@Suite("A stored state that comes from another node")
struct StoredStatesTests {
  @Test("a crash at any moment leaves the old state or the new one, which the log goes on from, and nothing else")
  func crashes() throws {
    let installing = try Installing()
    try installing.run(isOfUse: true)
    for moment in Installing.Moment.allCases {
      let found = try #require(try installing.start(moment))
      if moment.rawValue < Installing.Moment.arrived.rawValue {
        #expect(found.mark == 4 && found.base == 0 && found.last == 5 && found.files == ["state-1"], "\(moment)")
      } else {
        #expect(found.mark == 20 && found.base == 20 && found.files == ["state-1-20"], "\(moment)")
      }
    }
  }

  @Test("one that the log has gone on without is gone before its snapshot is, and the old state stays")
  func ofNoUse() throws {
    let installing = try Installing()
    try installing.run(isOfUse: false)
    for moment in Installing.Moment.allCases {
      guard let found = try installing.start(moment) else { continue }
      switch moment {
      case .nothing, .come, .prepared, .over:
        #expect(found.mark == 4 && found.base == 0 && found.files == ["state-1"], "\(moment)")
      case .arrived, .begun, .settled, .logBegins:
        #expect(found.mark == 20 && found.base == 20 && found.files == ["state-1-20"], "\(moment)")
      }
    }
  }
}
