import DiskTesting
import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepStorage

@Suite("a snapshot that another node reads")
struct OutgoingSnapshotTests {
  private let bench = SnapshotBench()

  private func outgoing() throws -> OutgoingSnapshots {
    let identity = DiskIdentity(
      cluster: [UInt8](repeating: 7, count: 16), node: NodeID(1), disk: [UInt8](repeating: 1, count: 16),
      incarnation: 1,
      initialMembers: [], peers: [])
    return OutgoingSnapshots(
      store: SnapshotStore(LogFiles(disk: bench.disk, directory: SnapshotBench.directory, identity: identity)))
  }

  private func write(_ index: UInt64) throws {
    try bench.write(SnapshotBench.header(index), (0..<8).map { [UInt8](repeating: UInt8($0), count: 1000) })
  }

  private func read(_ offset: Int, of outgoing: OutgoingSnapshots) -> OutgoingSnapshots.Answer {
    outgoing.read(SnapshotRead(group: .first, index: nil, atLeast: LogIndex(5), offset: offset, length: 500))
  }

  /// Reads all of it, piece by piece; what was read before it was refused, and why the file does not hold.
  private func readAll(_ outgoing: OutgoingSnapshots) -> (bytes: [UInt8], unsound: SnapshotName?) {
    var bytes: [UInt8] = []
    while true {
      let answer = read(bytes.count, of: outgoing)
      guard case .found(let found) = answer.outcome else { return (bytes, answer.unsound?.name) }
      bytes += found.data
      if bytes.count == found.fileBytes { return (bytes, nil) }
    }
  }

  @Test("all of it comes as it is in the file")
  func whole() throws {
    try write(9)
    #expect(readAll(try outgoing()) == (bench.disk[SnapshotBench.path(9)], nil))
  }

  @Test("nothing is sent of a record that does not hold, and its node is told which file that is")
  func rotten() throws {
    try write(9)
    let whole = bench.disk[SnapshotBench.path(9)]
    bench.disk[SnapshotBench.path(9)][4_500] ^= 1
    let outgoing = try outgoing()
    let (bytes, unsound) = readAll(outgoing)
    #expect(unsound == SnapshotName(group: .first, index: LogIndex(9)))
    #expect(!bytes.isEmpty && bytes.count < 4_500 && whole.starts(with: bytes))
    // The one that its node has written in its place.
    bench.disk[SnapshotBench.path(9)] = whole
    #expect(readAll(outgoing) == (whole, nil))
  }

  @Test("of two the newest is sent, and where that does not hold the one before it, if it reaches far enough")
  func fallsBack() throws {
    try write(9)
    try write(11)
    let outgoing = try outgoing()
    #expect(readAll(outgoing) == (bench.disk[SnapshotBench.path(11)], nil))
    bench.disk[SnapshotBench.path(11)][4_500] ^= 1
    #expect(readAll(outgoing).unsound == SnapshotName(group: .first, index: LogIndex(11)))
    #expect(readAll(outgoing) == (bench.disk[SnapshotBench.path(9)], nil))
    let answer = outgoing.read(SnapshotRead(group: .first, index: nil, atLeast: LogIndex(10), offset: 0, length: 9_000))
    #expect(answer.unsound?.name.index == LogIndex(11), "nothing else reaches entry 10")
  }

  @Test("who begins again reads what is there now, and not what was checked before")
  func again() throws {
    try write(9)
    let outgoing = try outgoing()
    #expect(readAll(outgoing).unsound == nil)
    bench.disk[SnapshotBench.path(9)][4_500] ^= 1
    #expect(readAll(outgoing).unsound != nil)
  }

  @Test("one that was removed while it was read is read to its end, from its beginning too")
  func removed() throws {
    try write(9)
    let whole = bench.disk[SnapshotBench.path(9)]
    let outgoing = try outgoing()
    _ = read(0, of: outgoing)
    bench.disk.erase(SnapshotBench.path(9))
    let rest = outgoing.read(
      SnapshotRead(group: .first, index: LogIndex(9), atLeast: LogIndex(5), offset: 0, length: whole.count))
    guard case .found(let found) = rest.outcome else {
      Issue.record("\(rest.outcome)")
      return
    }
    #expect(found.data == whole)
  }
}
