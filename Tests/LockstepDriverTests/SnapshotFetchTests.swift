import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

/// The world of one fetch: sources that have files, a disk that answers when it is told to, connections that break.
private final class Sources: FetchPort {
  var files: [NodeID: (index: LogIndex, bytes: [UInt8])] = [:]
  var reachable: Set<UInt64> = [2, 3]
  private(set) var connectedTo: NodeID?
  private(set) var dialed: [UInt64] = []
  private(set) var asked: [SnapshotRead] = []
  private(set) var written: [UInt8] = []
  private(set) var works: [FetchWork] = []
  private(set) var result: InstallResult?
  private(set) var failure: StorageError?
  /// What was begun before.
  var begun: (index: LogIndex, bytes: [UInt8])?
  /// How often what has come is found damaged.
  var damages = 0
  private(set) var most = 0
  private var pending: [SnapshotRead] = []
  var fetch: SnapshotFetch?

  func connect(to node: NodeID) {
    dialed.append(node.rawValue)
    connectedTo = node
    pending = []
  }

  func disconnect() {
    connectedTo = nil
    pending = []
  }

  func send(_ read: SnapshotRead) {
    asked.append(read)
    pending.append(read)
    most = max(most, pending.count)
  }

  func run(_ work: FetchWork) { works.append(work) }
  func arrived(_ result: InstallResult) { self.result = result }
  func observe(_ event: NodeEvent) {}
  func failed(_ error: StorageError) { failure = error }

  /// The connection that was dialed is made, or not.
  func answerDial() {
    guard let connectedTo, pending.isEmpty else { return }
    if reachable.contains(connectedTo.rawValue) { fetch?.connected() } else { fetch?.disconnected("refused") }
  }

  /// The oldest piece that was asked for comes.
  @discardableResult func answerRead(term: UInt64 = 3) -> Bool {
    guard !pending.isEmpty, let node = connectedTo else { return false }
    let read = pending.removeFirst()
    let outcome: SnapshotPart.Outcome
    if let file = files[node], read.index ?? file.index == file.index, file.index >= read.atLeast,
      read.offset < file.bytes.count
    {
      let data = Array(file.bytes[read.offset..<min(file.bytes.count, read.offset + read.length)])
      outcome = .found(
        SnapshotPart.Found(index: file.index, fileBytes: file.bytes.count, offset: read.offset, data: data))
    } else {
      outcome = .refused("not here")
    }
    fetch?.received(SnapshotPart(group: .first, term: Term(term), outcome: outcome))
    return true
  }

  /// The disk does what it was given first.
  @discardableResult func answerWork() -> Bool {
    guard !works.isEmpty else { return false }
    switch works.removeFirst() {
    case .prepare:
      written = begun?.bytes ?? []
      fetch?.finished(.prepared(begun?.index, bytes: written.count))
    case .write(_, let found):
      #expect(found.offset == written.count)
      written += found.data
      fetch?.finished(.written)
    case .restore:
      if damages > 0 {
        damages -= 1
        written = []
        fetch?.finished(.damaged("it does not hold"))
      } else {
        let header = SnapshotHeader(
          cluster: testCluster, group: .first,
          last: LogBase(id: EntryID(term: Term(2), index: LogIndex(9)), chain: 1, members: []), addresses: [],
          machineVersion: 1, time: 0, digest: 0)
        fetch?.finished(
          .restored(
            StoredSnapshot(header: header, fileBytes: written.count),
            ImmediateApplier(group: .first, machine: Tape())))
      }
    case .drop:
      written = []
      fetch?.finished(.dropped)
    }
    return true
  }

  /// Everything goes its way.
  func run(ticks: Int) {
    for _ in 0..<ticks where result == nil {
      answerDial()
      while answerWork() || answerRead() {}
      fetch?.tick()
    }
  }
}

@Suite("A snapshot that is fetched")
struct SnapshotFetchTests {
  private let file = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }

  private func begin(_ change: (Sources, inout SnapshotFetch.Options) -> Void = { _, _ in }) -> Sources {
    let sources = Sources()
    sources.files = [NodeID(2): (LogIndex(9), file), NodeID(3): (LogIndex(9), file)]
    var options = SnapshotFetch.Options()
    (options.pieceBytes, options.window, options.pauseTicks, options.patienceTicks) = (64, 3, 4, 20)
    change(sources, &options)
    sources.fetch = SnapshotFetch(
      InstallJob(group: .first, atLeast: LogIndex(5), sources: [NodeID(2), NodeID(3)]), options: options, port: sources)
    return sources
  }

  @Test("piece by piece, so many at once, in order; a source's term goes with it")
  func whole() {
    let sources = begin()
    sources.run(ticks: 3)
    #expect(sources.written == file && sources.most == 3)
    #expect(sources.result?.term == Term(3) && sources.result?.snapshot.last.index == LogIndex(9))
    #expect(sources.dialed == [2] && sources.connectedTo == nil)
  }

  @Test("it waits for its own disk as for the network: nothing more is asked while that is behind")
  func flow() {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    while sources.answerRead() {}
    #expect(sources.asked.count == 3 && sources.works.count == 3)
    sources.answerWork()
    #expect(sources.asked.count == 4)
  }

  @Test("no more comes in a tick than it may")
  func paced() {
    let sources = begin { $1.bytesPerTick = 128 }
    for tick in 1...4 {
      sources.run(ticks: 1)
      #expect(sources.asked.reduce(0) { $0 + $1.length } <= 128 * (tick + 1))
    }
    sources.run(ticks: 20)
    #expect(sources.result != nil)
  }

  @Test("a rate of less than a piece a tick is kept: what a piece is larger, the next ones wait for")
  func slow() {
    let sources = begin { $1.bytesPerTick = 10 }
    for tick in 1...20 {
      sources.run(ticks: 1)
      let asked = sources.asked.map(\.length)
      // The last one may have begun with the least allowance.
      #expect(asked.dropLast().reduce(0, +) < 10 * (tick + 1))
    }
    sources.run(ticks: 400)
    #expect(sources.result != nil)
  }

  @Test("the connection breaks: the next source goes on where it was", arguments: [1, 5, 14])
  func resumed(pieces: Int) {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    for _ in 0..<pieces {
      sources.answerRead()
      sources.answerWork()
    }
    let had = sources.written.count
    sources.fetch?.disconnected("reset")
    let before = sources.asked.count
    sources.run(ticks: 10)
    #expect(sources.asked[before].offset == had && sources.asked[before].index == LogIndex(9))
    #expect(sources.written == file && sources.result != nil && sources.dialed == [2, 3])
  }

  @Test("it breaks when all has come, and the disk is not done: the state is restored all the same")
  func resumedAtTheEnd() {
    let sources = begin { $1.window = 100 }
    sources.answerWork()
    sources.answerDial()
    while sources.answerRead() || sources.written.isEmpty && sources.answerWork() {}
    while sources.answerRead() {}
    sources.fetch?.disconnected("reset")
    sources.run(ticks: 10)
    #expect(sources.result != nil && sources.written == file)
  }

  @Test("what an earlier process has left is gone on with")
  func afterARestart() {
    let sources = begin { sources, _ in sources.begun = (LogIndex(9), Array(file.prefix(700))) }
    sources.run(ticks: 5)
    #expect(sources.asked.first?.offset == 700 && sources.written == file && sources.result != nil)
  }

  @Test("when nobody has that snapshot any more, another is read from its beginning")
  func superseded() {
    let sources = begin { sources, _ in
      sources.begun = (LogIndex(7), [1, 2, 3])
    }
    sources.run(ticks: 30)
    #expect(sources.written == file && sources.result != nil)
    #expect(sources.asked.first?.index == LogIndex(7) && sources.asked.last?.index == LogIndex(9))
  }

  @Test("another file of the same state, as a machine with its own storage may have, is read from its beginning")
  func otherFile() {
    let other = file + [1, 2, 3]
    let sources = begin { sources, _ in sources.files[NodeID(3)] = (LogIndex(9), other) }
    sources.answerWork()
    sources.answerDial()
    for _ in 0..<5 {
      sources.answerRead()
      sources.answerWork()
    }
    #expect(sources.written.count == 320)
    sources.reachable = [3]
    sources.fetch?.disconnected("it is gone")
    sources.run(ticks: 60)
    #expect(sources.written == other && sources.result != nil)
  }

  @Test("a source that has none, or is not there, is passed over; when there is none at all, all are asked again")
  func sources() {
    let sources = begin { sources, _ in
      sources.reachable = [3]
      sources.files = [:]
    }
    sources.run(ticks: 30)
    #expect(sources.result == nil && sources.dialed.filter { $0 == 2 }.count > 2)
    let waits = sources.fetch?.progress(tickMilliseconds: 10).waitsFor
    #expect(waits?.isEmpty == false)
    sources.files[NodeID(3)] = (LogIndex(9), file)
    sources.run(ticks: 30)
    #expect(sources.result != nil)
  }

  @Test("one that sends something else than was asked for is given up, and the other asked")
  func liar() {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    for part in [
      SnapshotPart.Found(index: LogIndex(9), fileBytes: 1000, offset: 64, data: [1]),
      SnapshotPart.Found(index: LogIndex(4), fileBytes: 1000, offset: 0, data: Array(repeating: 0, count: 64)),
    ] {
      let dials = sources.dialed.count
      sources.fetch?.received(SnapshotPart(group: .first, term: Term(1), outcome: .found(part)))
      for _ in 0..<10 where sources.dialed.count == dials { sources.fetch?.tick() }
      #expect(sources.dialed.count == dials + 1 && sources.written.isEmpty)
      sources.answerDial()
    }
  }

  @Test("what does not hold when it was read back is thrown away, and all of it is asked for again")
  func damaged() {
    let sources = begin { sources, _ in sources.damages = 2 }
    sources.run(ticks: 60)
    #expect(sources.result != nil && sources.written == file)
    #expect(sources.asked.filter { $0.offset == 0 }.count == 3)
  }

  @Test("a source that falls silent is given up after a while")
  func silence() {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    for _ in 0..<30 { sources.fetch?.tick() }
    #expect(sources.dialed == [2, 3])
  }

  @Test("no space: what has come is given back, and it is tried again later")
  func noSpace() {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    sources.answerRead()
    sources.answerRead()
    sources.fetch?.finished(.noRoom("the disk is full", isSpace: true))
    #expect(sources.fetch?.progress(tickMilliseconds: 10).waitsFor == "the disk is full")
    sources.fetch?.finished(.noRoom("it was given up", isSpace: false))
    #expect(sources.fetch?.progress(tickMilliseconds: 10).isWithoutRoom == true)
    #expect(sources.dialed == [2])
    for _ in 0..<6 { sources.fetch?.tick() }
    #expect(sources.dialed.count == 2)
  }

  @Test("one that nobody needs any more is dropped, and what still comes of it has no effect")
  func cancelled() {
    let sources = begin()
    sources.answerWork()
    sources.answerDial()
    sources.answerRead()
    sources.fetch?.cancel()
    #expect(sources.connectedTo == nil && sources.works.last == .drop)
    sources.run(ticks: 10)
    #expect(sources.result == nil && sources.dialed == [2] && sources.written.isEmpty)
  }
}
