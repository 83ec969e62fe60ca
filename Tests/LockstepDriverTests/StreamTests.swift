import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepDriver

@Suite("Streams of changes")
struct StreamTests {
  /// What one client is told.
  private final class Reader: StreamWriter {
    var isFlushDue = false
    var hasRoom = true
    var maximumReplyBytes = 1 << 20
    private(set) var items: [StreamItem] = []
    private(set) var next: LogIndex?
    private(set) var frames = 0
    private(set) var end: (status: CallStatus, index: LogIndex)?

    func write(_ items: [StreamItem], of stream: UInt64, next: LogIndex?, from node: NodeID) {
      self.items += items
      self.next = next
      frames += 1
    }
    func refuse(_ call: UInt64, _ outcome: Outcome, _ evidence: Evidence) {}
    func end(_ stream: UInt64, _ outcome: Outcome, _ evidence: Evidence) {
      guard case .failure(let status) = outcome.answer else { return }
      end = (status, outcome.index)
    }
    func write(_ outcome: Outcome, position: Int, of call: UInt64, _ evidence: Evidence) {}
    func pass(_ answer: UnsafeRawBufferPointer, to call: UInt64) {}
    func flush() {}

    var indexes: [UInt64] { items.map(\.index.rawValue) }
  }

  private func open(
    _ reader: Reader, at node: TestNode, id: UInt64 = 1, payload: [UInt8] = [], from: UInt64? = nil,
    credit: Int = 1 << 20, method: String = "lockstep.changes.v1.ChangeStream/Watch"
  ) {
    Array(method.utf8).withUnsafeBytes { method in
      payload.withUnsafeBytes { payload in
        node.node.open(
          StreamRequest(
            group: GroupID(0), method: method, payload: payload, from: from.map { LogIndex($0) }, credit: credit),
          id: id, reader)
      }
    }
  }

  private static let fromTheBeginning: [UInt8] = [2 << 3, 0]

  @Test("a stream tells each command once, with its reply, at every node; entries that are no commands are none")
  func everywhere() throws {
    let world = try World(3)
    try world.elect(1)
    let sink = FakeSink()
    for id in 1...3 as ClosedRange<UInt64> { try world[1].call(sink, id, [UInt8(id)]) }
    try world.settle()
    let readers = (0..<3).map { _ in Reader() }
    for (place, reader) in readers.enumerated() {
      open(reader, at: world[UInt64(place + 1)], payload: Self.fromTheBeginning)
    }
    try world.settle()
    try world[1].call(sink, 4, [33])
    try world.tick(4)
    for reader in readers {
      #expect(reader.indexes == [2, 3, 4, 5] && reader.next == LogIndex(6) && reader.end == nil)
      #expect(reader.items.map(\.payloads) == readers[0].items.map(\.payloads))
    }
    let last = try #require(readers[0].items.last?.payloads.first)
    // The failure is recorded: code 10, in field 7.
    #expect(Array(last).contains(sequence: [7 << 3, 10]))
  }

  @Test("now: what was carried out before is not told; and that it is open is said at once")
  func now() throws {
    let world = try World(1)
    try world.elect(1)
    let (sink, reader) = (FakeSink(), Reader())
    try world[1].call(sink, 1)
    try world.settle()
    open(reader, at: world[1])
    try world.settle()
    #expect(reader.frames == 1 && reader.items.isEmpty && reader.next == LogIndex(3))
    try world[1].call(sink, 2)
    try world.settle()
    #expect(reader.indexes == [3])
  }

  @Test("credit: no more is told than is granted, but for the last item; and with more it goes on where it was")
  func credit() throws {
    let world = try World(1)
    try world.elect(1)
    let (sink, reader) = (FakeSink(), Reader())
    open(reader, at: world[1], credit: 1)
    try world.settle()
    for id in 1...20 as ClosedRange<UInt64> { try world[1].call(sink, id) }
    try world.settle()
    #expect(reader.indexes == [2])
    let each = try #require(reader.items.first?.credit)
    world[1].node.credit(3 * each, to: 1, reader)
    try world.settle()
    // Of the first grant one byte was there, and it is paid back.
    #expect(reader.indexes == [2, 3, 4] || reader.indexes == [2, 3, 4, 5])
    world[1].node.credit(1 << 20, to: 1, reader)
    try world.settle()
    #expect(reader.indexes == Array(2...21))
  }

  @Test("a client without room is told nothing, and all of it later")
  func room() throws {
    let world = try World(1)
    try world.elect(1)
    let (sink, reader) = (FakeSink(), Reader())
    open(reader, at: world[1])
    try world.settle()
    reader.hasRoom = false
    try world[1].call(sink, 1)
    try world.settle()
    #expect(reader.items.isEmpty)
    reader.hasRoom = true
    try world.tick(10)
    #expect(reader.indexes == [2])
  }

  @Test("a slow one is cut, with the first index that is still there; and one that goes on there misses nothing more")
  func slow() throws {
    let world = try World(1) { $0.changeBytes = 2000 }
    try world.elect(1)
    let (sink, slow, again) = (FakeSink(), Reader(), Reader())
    open(slow, at: world[1], credit: 0)
    try world.settle()
    for id in 1...40 as ClosedRange<UInt64> { try world[1].call(sink, id) }
    try world.settle()
    try world.tick(10)
    let end = try #require(slow.end)
    #expect(end.status.code == .outOfRange && end.index > LogIndex(2) && world[1].node.streamCount == 0)
    open(again, at: world[1], from: end.index.rawValue)
    try world.settle()
    #expect(again.indexes == Array(end.index.rawValue...41))
  }

  @Test("what does not fit in a frame ends the stream, behind all before it, and it can go on behind that")
  func tooLong() throws {
    let world = try World(1)
    try world.elect(1)
    let (sink, reader, again) = (FakeSink(), Reader(), Reader())
    reader.maximumReplyBytes = 1000
    open(reader, at: world[1])
    try world[1].call(sink, 1)
    try world[1].call(sink, 2, [UInt8](repeating: 1, count: 2000))
    try world[1].call(sink, 3)
    try world.settle()
    #expect(reader.indexes == [2])
    #expect(reader.end?.status.code == .resourceExhausted && reader.end?.index == LogIndex(4))
    open(again, at: world[1], from: 4)
    try world.settle()
    #expect(again.indexes == [4])
  }

  @Test("a node without a leader ends its streams after three seconds: others may hear of more")
  func cutOff() throws {
    let world = try World(3)
    try world.elect(1)
    let reader = Reader()
    open(reader, at: world[2])
    try world.settle()
    world.isolate(2)
    try world.run(upTo: 2000) { reader.end != nil }
    #expect(reader.end?.status.code == .unavailable && reader.end?.index == LogIndex(2))
  }

  @Test("a node that is stopped ends its streams, and says where they go on")
  func stopped() throws {
    let world = try World(3)
    try world.elect(1)
    let reader = Reader()
    open(reader, at: world[1])
    try world.settle()
    world[1].node.stop()
    try world.run { world[1].node.isStopped }
    #expect(reader.end?.status.code == .unavailable)
  }

  @Test(
    "what is no stream is refused, and so are too many, two under one number, and a node that keeps no changes",
    arguments: ["t/Add", "t/Read", "t/Nothing", "\u{0}"])
  func refused(method: String) throws {
    let world = try World(1)
    try world.elect(1)
    let reader = Reader()
    open(reader, at: world[1], method: method)
    try world.settle()
    let isThere = ["t/Add", "t/Read"].contains(method)
    #expect(reader.end?.status.code == (isThere ? .invalidArgument : .unimplemented))
    let (first, second) = (Reader(), Reader())
    open(first, at: world[1])
    open(first, at: world[1])
    #expect(first.end?.status.code == .invalidArgument && world[1].node.streamCount == 1)
    open(second, at: world[1], payload: [0xff])
    #expect(second.end?.status.code == .invalidArgument)
    let none = try World(1) { $0.changeBytes = 0 }
    try none.elect(1)
    open(second, at: none[1])
    #expect(second.end?.status.code == .failedPrecondition)
    let full = try World(1) { $0.streams = 1 }
    try full.elect(1)
    open(Reader(), at: full[1])
    open(second, at: full[1])
    #expect(second.end?.status.code == .resourceExhausted)
  }

  @Test("a call of a stream as if it answered once is refused; one that is cancelled ends")
  func ends() throws {
    let world = try World(1)
    try world.elect(1)
    let (sink, reader) = (FakeSink(), Reader())
    try world[1].call(sink, 1, method: "lockstep.changes.v1.ChangeStream/Watch")
    #expect(sink.reply(1)?.code == UInt32(CallStatus.Code.unimplemented.rawValue))
    open(reader, at: world[1])
    open(reader, at: world[1], id: 2)
    #expect(!world[1].node.cancel(3, reader) && world[1].node.cancel(1, reader) && !world[1].node.cancel(1, reader))
    #expect(world[1].node.streamCount == 1)
    world[1].node.closed(reader)
    #expect(world[1].node.streamCount == 0)
  }
}

extension [UInt8] {
  fileprivate func contains(sequence: [UInt8]) -> Bool {
    indices.contains { self[$0...].starts(with: sequence) }
  }
}
