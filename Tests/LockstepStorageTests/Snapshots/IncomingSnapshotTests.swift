import DiskTesting
import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepStorage

/// A node with a log of its own, and a snapshot of another node that reaches beyond it.
private final class Receiver {
  static let index: UInt64 = 20
  static let term = Term(5)
  let fixture: Fixture
  let bytes: [UInt8]
  let header: SnapshotHeader
  /// It has arrived, durably.
  private(set) var hasArrived = false
  private(set) var isSettled = false

  init(_ disk: MemoryDisk = MemoryDisk()) throws {
    fixture = Fixture(disk)
    header = SnapshotBench.header(Self.index)
    let source = SnapshotBench()
    try source.write(header, (0..<6).map { [UInt8](repeating: UInt8($0), count: 1000 + 700 * $0) })
    bytes = source.disk[SnapshotBench.path(Self.index)]
  }

  var store: SnapshotStore {
    get throws { SnapshotStore(try #require(fixture.directory)) }
  }

  var name: SnapshotName { SnapshotName(group: .first, index: LogIndex(Self.index)) }

  /// All that comes from now on, in pieces of this size.
  func receive(pieces: Int = 900) throws -> IncomingSnapshot {
    let incoming = try store.incoming(of: .first, atLeast: LogIndex(6)) ?? store.receive(name)
    #expect(bytes.starts(with: fixture.disk["\(Fixture.path)/\(name).part"].prefix(incoming.received)))
    while incoming.received < bytes.count {
      try incoming.append(Array(bytes[incoming.received..<min(bytes.count, incoming.received + pieces)]))
    }
    return incoming
  }

  func arrive() throws {
    let incoming = try receive()
    _ = try incoming.open().verify()
    try incoming.arrive(in: Self.term)
    hasArrived = true
  }

  /// A whole install, and what comes after it.
  func live() throws {
    try fixture.open()
    try fixture.append(5)
    try arrive()
    let state = HardState(term: Self.term, vote: nil, commit: LogIndex(Self.index))
    try #require(fixture.log).append([LogWrite(group: .first, hardState: state, base: header.last)])
    try store.settle(.first) { $0 == LogIndex(Self.index) }
    isSettled = true
    var block = EntryBlock(first: LogIndex(Self.index + 1), previousChain: header.last.chain)
    block.append(term: Self.term, kind: .noOperation, timestamp: 1)
    try #require(fixture.log).append([LogWrite(group: .first, hardState: state, entries: block)])
    try fixture.close()
  }

  /// A start: what the log holds after it.
  func start() throws -> (group: RecoveredGroup?, names: [SnapshotName]) {
    try fixture.open()
    defer { try? fixture.close() }
    let log = try #require(fixture.log)
    let recovered = fixture.recovered.first
    let group = try InstallRecovery(store: try store, log: log).complete(.first, recovered: recovered) { _ in }
    return (group, try store.names(of: .first))
  }
}

@Suite("a snapshot that comes from another node")
struct IncomingSnapshotTests {
  @Test("what was begun goes on behind its last whole record, wherever it ends", arguments: 1...12)
  func resumed(twelfth: Int) throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    let first = try receiver.store.receive(receiver.name)
    let count = receiver.bytes.count * twelfth / 12
    try first.append(Array(receiver.bytes.prefix(count)))
    let second = try #require(try receiver.store.incoming(of: .first, atLeast: LogIndex(Receiver.index)))
    // The last byte comes again.
    #expect(second.received < count && second.received > count - 5000)
    try receiver.arrive()
    try receiver.fixture.close()
    let (group, names) = try receiver.start()
    #expect(group?.base == receiver.header.last && names == [receiver.name])
  }

  @Test("what is older than the snapshot behind which the log begins goes with its mark; another cluster's stays")
  func older() throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    let store = try receiver.store
    for index in [3, 4] as [UInt64] {
      let writer = try store.begin(SnapshotBench.header(index))
      try writer.append([1])
      _ = try writer.finish()
    }
    let foreign = SnapshotBench()
    try foreign.write(SnapshotBench.header(5, cluster: 8), [[1]])
    receiver.fixture.disk[SnapshotBench.path(5)] = foreign.disk[SnapshotBench.path(5)]
    try receiver.arrive()
    #expect(try store.names(of: .first).map(\.index.rawValue) == [Receiver.index, 5, 4, 3])
    try store.replaceOlder(.first, by: LogIndex(Receiver.index))
    #expect(try store.names(of: .first).map(\.index.rawValue) == [Receiver.index, 5])
    #expect(try store.arrived(of: .first).isEmpty)
  }

  @Test("what does not reach as far as is needed, or is of another cluster, is removed")
  func useless() throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    try receiver.store.receive(receiver.name).append(receiver.bytes)
    #expect(try receiver.store.incoming(of: .first, atLeast: LogIndex(Receiver.index + 1)) == nil)
    #expect(receiver.fixture.disk.paths.filter { $0.hasSuffix(".part") }.isEmpty)
    let foreign = SnapshotBench()
    try foreign.write(SnapshotBench.header(Receiver.index, cluster: 8), [[1]])
    try receiver.store.receive(receiver.name).append(foreign.disk[SnapshotBench.path(Receiver.index)])
    #expect(try receiver.store.incoming(of: .first, atLeast: LogIndex(1)) == nil)
  }

  @Test("another cluster's snapshot of the same name is not replaced, and what comes is refused with its path")
  func inTheWay() throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    let foreign = SnapshotBench()
    try foreign.write(SnapshotBench.header(Receiver.index, cluster: 8), [[1]])
    let path = "\(Fixture.path)/\(receiver.name)"
    let file = try receiver.fixture.disk.create(path)
    try file.write(foreign.disk[SnapshotBench.path(Receiver.index)], at: 0)
    file.close()
    let refusals: [() throws -> Void] = [
      { _ = try receiver.store.receive(receiver.name) }, { _ = try receiver.store.begin(receiver.header) },
    ]
    for refusal in refusals {
      let error = #expect(throws: StorageError.self) { try refusal() }
      guard case .refused(let named, _)? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(named == path)
    }
    #expect(receiver.fixture.disk[path] == foreign.disk[SnapshotBench.path(Receiver.index)])
  }

  @Test("what others had acknowledged is committed as far as the log reaches, where it begins behind a snapshot too")
  func acknowledged() throws {
    for (term, index, found) in [(1, 4, [4, 4]), (1, 99, [5, 20]), (9, 4, [0, 0])] as [(UInt64, UInt64, [UInt64])] {
      let receiver = try Receiver()
      try receiver.fixture.open()
      try receiver.fixture.append(5)
      try receiver.fixture.directory?.store(acknowledged: [
        Acknowledged(node: NodeID(2), group: .first, term: Term(term), index: LogIndex(index))
      ])
      try receiver.arrive()
      receiver.fixture.disk.restart()
      let groups = [try receiver.start().group, try receiver.start().group]
      #expect(groups.map { $0?.acknowledged } == found.map { LogIndex($0) }, "entry \(index) of term \(term)")
      #expect(groups.allSatisfy { $0?.hardState.commit == LogIndex(Receiver.index) })
    }
  }

  @Test("a bit that changed on the way, or on the disk, is found before it arrives", arguments: 0..<40)
  func damaged(place: Int) throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    var bytes = receiver.bytes
    bytes[bytes.count * place / 40] ^= 16
    let incoming = try receiver.store.receive(receiver.name)
    try incoming.append(bytes)
    #expect(throws: StorageError.self) { _ = try incoming.open().verify() }
  }

  @Test("one that has arrived and rots is refused at the start: it may be all that is left of what was promised")
  func rotten() throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    try receiver.fixture.append(5)
    try receiver.arrive()
    try receiver.fixture.close()
    let path = SnapshotBench.path(Receiver.index)
    receiver.fixture.disk[path][receiver.bytes.count / 2] ^= 1
    #expect(throws: StorageError.self) { _ = try receiver.start() }
    #expect(receiver.fixture.disk.paths.contains(path))
  }

  @Test("the log has gone on by itself, with that very entry: it stays as it is")
  func overtaken() throws {
    let receiver = try Receiver()
    try receiver.fixture.open()
    try receiver.fixture.append(5)
    // A snapshot of this log.
    let image = try #require(receiver.fixture.model[1])
    let own = SnapshotHeader(
      cluster: Fixture.cluster, group: .first, last: receiver.fixture.base(image, 3), addresses: [], machineVersion: 1,
      time: 0, digest: 0)
    let source = SnapshotBench()
    try source.write(own, [[1]])
    let incoming = try receiver.store.receive(SnapshotName(group: .first, index: LogIndex(3)))
    try incoming.append(source.disk[SnapshotBench.path(3)])
    _ = try incoming.open().verify()
    try incoming.arrive(in: Term(1))
    try receiver.fixture.close()
    let (group, names) = try receiver.start()
    #expect(group?.base.id.index == .zero && group?.last.index == LogIndex(5) && names.map(\.index) == [LogIndex(3)])
  }

  private let fates: [() -> MemoryDisk.Fate] = [
    { .lost }, { .kept }, { .any(Random(3)) }, { .any(Random(4)) }, { .any(Random(5)) }, { .any(Random(6)) },
    { .any(Random(7)) }, { .any(Random(8)) },
  ]

  @Test("power cut at every disk operation of an install: what has arrived counts, and what has not can go on")
  func powerCuts() throws {
    let whole = try Receiver()
    try whole.live()
    var images = 0
    for operation in 0..<whole.fixture.disk.operations.count {
      for fate in fates {
        let receiver = try Receiver()
        receiver.fixture.disk.powerOffAt = operation
        #expect(throws: StorageError.self, "operation \(operation) was never reached") { try receiver.live() }
        receiver.fixture.disk.powerCut(fate())
        images += 1
        try check(receiver, "operation \(operation)")
      }
    }
    #expect(images > 200)
  }

  private func check(_ receiver: Receiver, _ note: String) throws {
    let (group, names) = try receiver.start()
    let base = group?.base.id.index ?? .zero
    #expect(base == .zero || base == LogIndex(Receiver.index), "\(note)")
    if receiver.hasArrived { #expect(base == LogIndex(Receiver.index), "it has arrived, \(note)") }
    if base == .zero {
      #expect(group?.last.index ?? .zero >= LogIndex(UInt64(receiver.fixture.acknowledged > 0 ? 5 : 0)), "\(note)")
    } else {
      let state = try #require(group).hardState
      #expect(
        state.term >= Receiver.term && state.commit >= base && names == [receiver.name],
        "\(note): \(names), \(receiver.fixture.disk.paths)")
    }
    // A second start finds the same.
    receiver.fixture.disk.restart()
    let again = try receiver.start()
    #expect(again.group?.base == group?.base && again.group?.last == group?.last && again.names == names, "\(note)")
    guard base == .zero else { return }
    // And what was begun goes on to its end.
    receiver.fixture.disk.restart()
    try receiver.fixture.open()
    try receiver.arrive()
    try receiver.fixture.close()
    #expect(try receiver.start().group?.base == receiver.header.last, "\(note)")
  }
}
