import Dispatch
import Foundation
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import Testing

@testable import Lockstep
@testable import LockstepSimulation

/// A state that carries nothing out while it is held, and counts what it has stored.
private final class HeldState: LockstepExecution.StoredState {
  private let inner: any LockstepExecution.StoredState
  /// Signalled by each call of `apply`, which then waits for the other.
  let hasBegun = DispatchSemaphore(value: 0)
  let mayGoOn = DispatchSemaphore(value: 0)
  private(set) var commits = 0

  init(_ inner: any LockstepExecution.StoredState) { self.inner = inner }

  var mark: StoredMark { inner.mark }
  var digest: UInt64 { inner.digest }
  func sessionRecords() throws(StoredMachineFailure) -> [SessionRecord] { try inner.sessionRecords() }
  func apply(_ batch: CommandBatch, into replies: inout Replies) throws(StoredMachineFailure) {
    hasBegun.signal()
    mayGoOn.wait()
    try inner.apply(batch, into: &replies)
  }
  func commit(_ mark: StoredMark, _ sessions: [SessionRecord]) throws(StoredMachineFailure) {
    commits += 1
    try inner.commit(mark, sessions)
  }
  func freeze() throws(StoredMachineFailure) -> any Snapshot { try inner.freeze() }
  func makeReader() throws(StoredMachineFailure) -> any StoredStateReader { try inner.makeReader() }
  func close() { inner.close() }
}

/// An applier that works on threads of its own, in a directory that goes with the test.
private final class StoredSeat {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path
  let applier: StoredApplier
  private let ready: DispatchSemaphore

  init(_ wrap: (any LockstepExecution.StoredState) -> any LockstepExecution.StoredState = { $0 }) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let machine = KeptMachine(Registers())
    let executor = try StoredExecutor(group: .first, state: wrap(try machine.open(directory)))
    let ready = DispatchSemaphore(value: 0)
    self.ready = ready
    applier = StoredApplier(executor, of: machine) { ready.signal() }
    applier.start(try (0..<2).map { _ in try executor.state.makeReader() })
  }

  /// There is something to collect.
  func wait() throws { try #require(ready.wait(timeout: .now() + 20) == .success) }

  deinit {
    applier.stop()
    try? FileManager.default.removeItem(atPath: directory)
  }
}

/// One whose queries are all long, and answered on threads of their own.
private final class LongSeat {
  let applier: ImmediateApplier
  private let threads: QueryThreads
  private let ready: DispatchSemaphore

  init() {
    let ready = DispatchSemaphore(value: 0)
    self.ready = ready
    threads = QueryThreads { ready.signal() }
    threads.start([nil, nil])
    applier = ImmediateApplier(Executor(group: .first, machine: SlowToAsk(inner: Registers())), longQueries: threads)
  }

  func wait() throws { try #require(ready.wait(timeout: .now() + 20) == .success) }
  deinit { threads.stop() }
}

private struct SlowToAsk: StateMachine {
  var inner: Registers
  var version: UInt32 { inner.version }
  var digest: UInt64 { inner.digest }
  var schemas: [Schema] { inner.schemas }
  mutating func apply(_ batch: CommandBatch, into replies: inout Replies) { inner.apply(batch, into: &replies) }
  func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    try inner.query(call, context)
  }
  func isLong(_ query: MethodCall) -> Bool { true }
  func validate(_ call: MethodCall) throws(CallStatus) { try inner.validate(call) }
  func kind(ofMethod method: RawSpan) -> MethodKind? { inner.kind(ofMethod: method) }
  func freeze() -> any Snapshot { inner.freeze() }
  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> SlowToAsk {
    SlowToAsk(inner: try inner.restored(from: &snapshot))
  }
}

/// What every applier must do, whenever it answers.
@Suite("appliers")
struct ApplierTests {
  /// An applier, and what waits until there is something to collect.
  typealias Seat = (applier: any Applier, wait: () throws -> Void)

  static let kinds: [@Sendable () throws -> Seat] = [
    {
      let seat = LongSeat()
      return (seat.applier, { try seat.wait() })
    },
    { (ImmediateApplier(group: .first, machine: Registers()), {}) },
    { (SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 1, isWanted: {}), {}) },
    { (SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 1000, isWanted: {}), {}) },
    {
      let disk = SimulatedDisk(random: SimulationRandom(seed: 1))
      try disk.createDirectory("state")
      let machine = KeptMachine(Registers(), on: disk)
      let executor = try StoredExecutor(group: .first, state: try machine.open("state"))
      return (try SimulatedStoredApplier(executor, of: machine, atOnce: 2, isWanted: {}), {})
    },
    {
      let seat = try StoredSeat()
      return (seat.applier, { try seat.wait() })
    },
  ]

  private typealias Answers = [(index: UInt64, reply: Replies.Reply?)]
  private enum Entry {
    case put(UInt64)
    /// A put with some bytes more.
    case long(UInt64)
    case fail
    case nothing
  }

  private static func request(_ operation: Registers.Operation, _ value: UInt64 = 0) -> [UInt8] {
    Registers.Request(operation: operation, register: 0, number: 1, first: value, second: 0).encoded(padding: 0)
  }

  /// What a put answers whose register had this value before.
  private static func former(_ value: UInt64) -> Replies.Reply { .success(Registers.answer(true, value)) }

  /// Submits these as the next entries; their bytes are others afterwards.
  private func submit(_ entries: [Entry], to applier: any Applier, _ answers: inout Answers) -> ApplyProgress {
    let method: [UInt8] = [1]
    let requests = entries.map { entry in
      switch entry {
      case .put(let value): Self.request(.put, value)
      case .long(let value): Self.request(.put, value) + [UInt8](repeating: 0, count: 100_000)
      case .fail: Self.request(.fail)
      case .nothing: [UInt8]()
      }
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 + requests.joined().count, alignment: 1)
    defer { bytes.deallocate() }
    bytes.copyBytes(from: method + requests.joined())
    var begin = 1
    var list: [Executor.Entry] = []
    for (offset, entry) in entries.enumerated() {
      let end = begin + requests[offset].count
      var kind = EntryKind.command
      if case .nothing = entry { kind = .noOperation }
      list.append(
        Executor.Entry(
          id: EntryID(term: Term(3), index: applier.submitted.advanced(by: offset + 1)), kind: kind, timestamp: 7,
          session: 0, sequence: 0,
          call: MethodCall(
            method: UnsafeRawBufferPointer(rebasing: bytes[0..<1]),
            request: UnsafeRawBufferPointer(rebasing: bytes[begin..<end]))))
      begin = end
    }
    var found: Answers = []
    let progress = applier.submit(list[...], repliesAreWanted: true) { found.append(($0.index.rawValue, $1)) }
    for position in bytes.indices { bytes[position] = 0x21 }
    answers += found
    return progress
  }

  private func collect(_ seat: Seat, _ answers: inout Answers) throws -> ApplyProgress {
    var found = Answers()
    var progress = seat.applier.collect { found.append(($0.index.rawValue, $1)) }
    for _ in 0..<1000 where progress.isAwaited {
      try seat.wait()
      progress = seat.applier.collect { found.append(($0.index.rawValue, $1)) }
    }
    answers += found
    return progress
  }

  /// And as of which entry.
  private func value(_ seat: Seat) throws -> (answer: [UInt8], index: LogIndex) {
    let (method, request) = ([UInt8](repeating: 0, count: 2), Self.request(.get))
    let atOnce = try method.withUnsafeBytes { method in
      try request.withUnsafeBytes {
        try seat.applier.query(MethodCall(method: method, request: $0), id: 9, deadline: .max)
      }
    }
    if let atOnce { return (atOnce, seat.applier.applied) }
    var answers: [(UInt64, StoredAnswer)] = []
    while answers.isEmpty {
      try seat.wait()
      seat.applier.collectAnswers { answers.append(($0, $1)) }
    }
    #expect(answers.map(\.0) == [9])
    return (try answers[0].1.result.get(), answers[0].1.mark.last.index)
  }

  @Test(
    "applier: each entry is answered once, in order, with the machine's reply, at once or later",
    arguments: kinds.indices)
  func order(kind: Int) throws {
    let seat = try Self.kinds[kind]()
    let applier = seat.applier
    var answers: Answers = []
    let digest = applier.digest
    var progress = submit([.put(5), .nothing, .fail, .put(6)], to: applier, &answers)
    #expect(applier.submitted == LogIndex(4))
    #expect(progress == .done || applier.applied < applier.submitted)
    if progress.isAwaited { #expect(applier.digest == digest, "the machine is as of what is applied") }
    progress = submit([.put(7)], to: applier, &answers)
    if progress.isAwaited { progress = try collect(seat, &answers) }
    #expect(progress == .done && answers.map(\.index) == [1, 2, 3, 4, 5])
    let aborted = Replies.Reply.failure(CallStatus(.aborted, "as asked"))
    #expect(answers.map(\.reply) == [Self.former(0), nil, aborted, Self.former(5), Self.former(6)])
    #expect(applier.applied == LogIndex(5) && applier.appliedTerm == Term(3) && applier.time == 7)
    #expect(try collect(seat, &answers) == .done && answers.count == 5, "nothing is answered twice")
  }

  @Test("applier: queries are of what is applied, or of what is carried out since", arguments: kinds.indices)
  func queries(kind: Int) throws {
    let seat = try Self.kinds[kind]()
    var answers: Answers = []
    _ = submit([.put(5)], to: seat.applier, &answers)
    let applied = seat.applier.applied
    let (first, index) = try value(seat)
    #expect(first == Registers.answer(true, index == LogIndex(1) ? 5 : 0) && index >= applied)
    _ = try collect(seat, &answers)
    let (last, end) = try value(seat)
    #expect(last == Registers.answer(true, 5) && end == LogIndex(1))
  }

  @Test(
    "applier: what is frozen is of what is applied, and there is nothing to freeze before", arguments: kinds.indices)
  func frozen(kind: Int) throws {
    let seat = try Self.kinds[kind]()
    var answers: Answers = []
    let progress = submit([.put(5), .nothing], to: seat.applier, &answers)
    #expect((seat.applier.freeze() == nil) == progress.isAwaited)
    _ = try collect(seat, &answers)
    let frozen = try #require(seat.applier.freeze())
    #expect(frozen.last == EntryID(term: Term(3), index: LogIndex(2)) && frozen.digest == seat.applier.digest)
  }

  @Test("applier: what comes while the machine is at work waits together, until there is enough of it")
  func gathered() throws {
    var held: HeldState?
    let seat = try StoredSeat { inner in
      let state = HeldState(inner)
      held = state
      return state
    }
    let state = try #require(held)
    let waiting: Seat = (seat.applier, { try seat.wait() })
    var answers: Answers = []
    #expect(submit([.put(1)], to: seat.applier, &answers) == .underWay)
    state.hasBegun.wait()
    for value in 2...5 as ClosedRange<UInt64> {
      #expect(submit([.put(value)], to: seat.applier, &answers) == .underWay)
    }
    for _ in 0..<2 { state.mayGoOn.signal() }
    #expect(try collect(waiting, &answers) == .done && answers.map(\.index) == [1, 2, 3, 4, 5])
    #expect(state.commits == 2, "the second transaction has all that came during the first")

    state.hasBegun.wait()
    _ = submit([.put(6)], to: seat.applier, &answers)
    state.hasBegun.wait()
    var progress = ApplyProgress.underWay
    for value in 7...1000 as ClosedRange<UInt64> where progress == .underWay {
      progress = submit([.long(value)], to: seat.applier, &answers)
    }
    #expect(progress == .full && seat.applier.submitted < LogIndex(100), "what waits is bounded")
    for _ in 0..<2 { state.mayGoOn.signal() }
    #expect(try collect(waiting, &answers) == .done)
    #expect(answers.map(\.index) == Array(1...seat.applier.applied.rawValue) && state.commits == 4)
  }

  @Test("applier: a long query is answered as of when it was asked, though commands have gone on")
  func longQuery() throws {
    let seat = LongSeat()
    var answers: Answers = []
    #expect(submit([.put(5)], to: seat.applier, &answers) == .done)
    let (method, request) = ([UInt8](repeating: 0, count: 2), Self.request(.get))
    let atOnce = try method.withUnsafeBytes { method in
      try request.withUnsafeBytes {
        try seat.applier.query(MethodCall(method: method, request: $0), id: 3, deadline: .max)
      }
    }
    #expect(atOnce == nil && submit([.put(6)], to: seat.applier, &answers) == .done)
    try seat.wait()
    var found: [(UInt64, StoredAnswer)] = []
    seat.applier.collectAnswers { found.append(($0, $1)) }
    let answer = try #require(found.first)
    #expect(found.count == 1 && answer.0 == 3 && answer.1.mark.last.index == LogIndex(1))
    #expect(try answer.1.result.get() == Registers.answer(true, 5))
  }

  @Test("applier: one that cannot go on says so, what it has done, and answers nothing after it")
  func failing() throws {
    var asked = 0
    let applier = SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 2, isWanted: {}) {
      asked += 1
      return asked > 1
    }
    let seat: Seat = (applier, {})
    var answers: Answers = []
    #expect(submit([.put(1), .put(2), .put(3)], to: applier, &answers) == .full)
    let progress = try collect(seat, &answers)
    #expect(
      progress == .failed(ApplierFailure(applied: LogIndex(2), message: "its disk is full")) && answers.count == 2)
    #expect(submit([.put(4)], to: applier, &answers) == progress)
    #expect(try collect(seat, &answers) == progress && answers.count == 2)
  }
  @Test("applier: one whose storage fails answers nothing of the batch, and says what has happened")
  func storageFails() throws {
    let stored = try StoredSeat()
    let seat: Seat = (stored.applier, { try stored.wait() })
    var answers: Answers = []
    _ = submit([.put(1)], to: seat.applier, &answers)
    #expect(try collect(seat, &answers) == .done && answers.count == 1)
    try FileManager.default.removeItem(atPath: stored.directory)
    _ = submit([.put(2), .put(3)], to: seat.applier, &answers)
    guard case .failed(let failure) = try collect(seat, &answers) else {
      Issue.record("it goes on")
      return
    }
    #expect(failure.applied == LogIndex(1) && failure.message.contains("cannot be written") && answers.count == 1)
    #expect(submit([.put(4)], to: seat.applier, &answers) == .failed(failure) && answers.count == 1)
  }

  @Test("applier: what it stores is there when it is opened again, with its mark")
  func reopened() throws {
    let stored = try StoredSeat()
    let seat: Seat = (stored.applier, { try stored.wait() })
    var answers: Answers = []
    _ = submit([.put(1), .nothing, .put(2)], to: seat.applier, &answers)
    _ = try collect(seat, &answers)
    let state = try KeptMachine(Registers()).open(stored.directory)
    #expect(state.mark == StoredMark(last: EntryID(term: Term(3), index: LogIndex(3)), time: 7))
    #expect(state.digest == seat.applier.digest)
  }
}

extension ApplyProgress {
  fileprivate var isAwaited: Bool { self == .underWay || self == .full }
}
