import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepSimulation

// Which bits may change unnoticed: none that hold anything. What a start may do with a flipped bit:
//
// - In a record of the log, its header, body or padding, in the seal, or in the identity: the start is refused, and the
//   error names the file and where the record begins.
// - In space that was not used yet, behind the seal or in a segment made ahead: nothing is stored there and nothing
//   valid is found there, so nothing can be lost. It is set to zero again, and the report names the file; or, where the
//   header of the next segment is to stand, the start is refused.
// - In a last record that nothing vouches for, because the process was killed between its sync and the seal that it
//   writes when it is idle: such a record cannot be told from one that was torn by the crash. It is dropped, all of it,
//   and the report names the file and the place. `TailFinder` says more of this window.
//
// The lock has no bytes.

@Suite("bit sweep")
struct BitSweepTests {
  static let path = "data"
  private static let logBytes = 16 << 10

  private enum Verdict: Equatable {
    case refused(path: String, offset: Int)
    /// All is there, and the report says what was put right.
    case mended
    /// The last record is not, and the report says so.
    case dropped
    case silent
    case wrong(String)
  }

  /// A stopped node, and what is where in its files.
  private struct Stopped {
    let home: NodeHome
    let image: SimulatedDisk.Image
    let groups: [GroupState]
    /// The same without the last record.
    let groupsBefore: [GroupState]
    let records: [String: [Range<Int>]]
    let sizes: [String: Int]

    init(_ node: StoredNode, before: [GroupState]) throws {
      home = node.home
      image = node.disk.image()
      (groups, groupsBefore) = (node.stored, before)
      var records: [String: [Range<Int>]] = [:]
      let inspector = try LogInspector(disk: node.disk, path: BitSweepTests.path)
      let summary = try inspector.walk { record in
        records[record.file, default: []].append(record.offset..<record.offset + record.length)
      }
      inspector.close()
      if summary.isSealed, let last = node.disk.paths.last(where: { records[$0] != nil }) {
        let end = try #require(records[last]?.last?.upperBound)
        records[last]?.append(end..<end + 64)
      }
      self.records = records
      sizes = Dictionary(uniqueKeysWithValues: node.disk.paths.map { ($0, node.disk.contents(of: $0)?.count ?? 0) })
    }

    func start(flipping bit: Int, of path: String) -> Verdict {
      let disk = SimulatedDisk(image, random: SimulationRandom(seed: 1))
      disk.flipBit(bit % 8, at: bit / 8, in: path)
      let damaged = disk.logFiles
      do {
        let found = try home.recover(disk, reading: false)
        let isNamed = found.report.notices.contains { $0.contains(path) }
        if found.groups == groups { return isNamed ? .mended : .silent }
        return found.groups == groupsBefore && isNamed && found.report.droppedBytes > 0
          ? .dropped : .wrong("\(found)")
      } catch StorageError.damaged(let file, let offset, _) {
        return disk.logFiles == damaged ? .refused(path: file, offset: offset) : .wrong("refused, and changed")
      } catch {
        return .wrong("\(error)")
      }
    }
  }

  private func home(segment: Int, first: Int) -> NodeHome {
    var home = NodeHome()
    home.options.segmentBytes = segment
    home.options.firstSegmentBytes = first
    return home
  }

  /// A log of 16 KiB, full to its last byte; the tail behind it, sealed; the next segment, made ahead; who the node is.
  private func stoppedNode() throws -> Stopped {
    let node = StoredNode(home(segment: 2048, first: Self.logBytes), seed: 1)
    #expect(try node.start())
    try node.meetPeer(3)
    let log = try #require(node.log)
    while log.room > 2000 { try node.appendSomething() }
    let state = HardState(term: Term(1000), vote: NodeID(3))
    // Header, length, batch header and entry header are less than 128 bytes; the end of the segment takes 64.
    while log.room > 64, log.room < 2048 {
      let size = log.room > 1000 ? 500 : log.room - 64 - 64 - 100
      try node.append([node.write(state: state, terms: size > 0 ? [state.term] : [], size: max(0, size))])
    }
    try node.append([node.write(state: state, terms: [state.term, state.term], size: 300)])
    let before = node.stored
    try node.append([node.write(2, state: state, terms: [state.term], size: 200)])
    while try !log.prepareNextSegment(maximumBytes: 4096) {}
    try node.stop()
    return try Stopped(node, before: before)
  }

  private static let parts = extent(quick: 4, full: 16)
  /// Of a quick run: bits of all positions in their bytes, in nearly every byte.
  private static let every = extent(quick: 7, full: 1)

  @Test("bit sweep: a log of 16 KiB, its bits: refused by its name and place", arguments: 0..<parts)
  func log(part: Int) throws {
    let stopped = try stoppedNode()
    let path = "data/log-0000000001"
    let records = try #require(stopped.records[path])
    #expect(stopped.sizes[path] == Self.logBytes && records.last?.upperBound == Self.logBytes && records.count > 30)
    #expect(records.map(\.count).reduce(0, +) == Self.logBytes, "the records leave no byte out")
    let share = Self.logBytes * 8 / Self.parts
    for bit in stride(from: part * share, to: (part + 1) * share, by: Self.every) {
      let record = try #require(records.first { $0.contains(bit / 8) })
      let verdict = stopped.start(flipping: bit, of: path)
      #expect(verdict == .refused(path: path, offset: record.lowerBound), "bit \(bit)")
    }
  }

  @Test("bit sweep: the bits of every other file: refused, or in unused space, put right and reported")
  func otherFiles() throws {
    let stopped = try stoppedNode()
    let (tail, next, identity) = ("data/log-0000000002", "data/log-0000000003", "data/identity")
    let identityBytes = try #require(stopped.sizes[identity])
    #expect(
      stopped.sizes == [
        identity: identityBytes, "data/lock": 0, "data/log-0000000001": Self.logBytes, tail: 2048, next: 2048,
      ])
    for bit in stride(from: 0, to: 8 * identityBytes, by: Self.every) {
      let offset = bit / 8 < 64 ? 0 : 64
      #expect(stopped.start(flipping: bit, of: identity) == .refused(path: identity, offset: offset), "bit \(bit)")
    }
    let records = try #require(stopped.records[tail])
    for bit in stride(from: 0, to: 8 * 2048, by: Self.every) {
      let record = records.first { $0.contains(bit / 8) }
      let expected = record.map { Verdict.refused(path: tail, offset: $0.lowerBound) } ?? .mended
      #expect(stopped.start(flipping: bit, of: tail) == expected, "bit \(bit) of \(tail)")
    }
    for bit in stride(from: 0, to: 8 * 2048, by: Self.every) {
      let verdict = stopped.start(flipping: bit, of: next)
      let isRefused = bit / 8 < 64 && verdict == .refused(path: next, offset: 0)
      #expect(isRefused || verdict == .mended, "bit \(bit) of \(next)")
    }
  }

  @Test("bit sweep: a log without a seal, after a kill: refused; in the last record, which may be torn, reported")
  func withoutSeal() throws {
    let node = StoredNode(home(segment: 2048, first: 2048), seed: 2)
    #expect(try node.start())
    let state = HardState(term: Term(1))
    for _ in 0..<3 { try node.append([node.write(state: state, terms: [state.term, state.term], size: 100)]) }
    let before = node.stored
    try node.append([node.write(state: state, terms: [state.term], size: 200)])
    node.disk.processEnded()
    let stopped = try Stopped(node, before: before)
    let path = "data/log-0000000001"
    let records = try #require(stopped.records[path])
    let last = try #require(records.last)
    for bit in stride(from: 0, to: 8 * 2048, by: Self.every) {
      let verdict = stopped.start(flipping: bit, of: path)
      let record = records.first { $0.contains(bit / 8) }
      if record == last {
        #expect(verdict == .dropped, "bit \(bit)")
      } else if let record {
        #expect(verdict == .refused(path: path, offset: record.lowerBound), "bit \(bit)")
      } else {
        #expect(verdict == .mended, "bit \(bit)")
      }
    }
  }
}
