import LockstepConsensus
import LockstepExecution
import Testing

@testable import LockstepSimulation

/// What every applier must do, whenever it answers.
@Suite("appliers")
struct ApplierTests {
  static let kinds: [@Sendable () -> any Applier] = [
    { ImmediateApplier(group: .first, machine: Registers()) },
    { SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 1, isWanted: {}) },
    { SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 1000, isWanted: {}) },
  ]

  private typealias Answers = [(index: UInt64, reply: Replies.Reply?)]
  private enum Entry {
    case put(UInt64)
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
          call: Call(
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

  private func collect(_ applier: any Applier, _ answers: inout Answers) -> ApplyProgress {
    var (progress, found) = (ApplyProgress.underWay, Answers())
    for _ in 0..<1000 where progress == .underWay {
      progress = applier.collect { found.append(($0.index.rawValue, $1)) }
    }
    answers += found
    return progress
  }

  private func value(_ applier: any Applier) throws -> [UInt8] {
    let (method, request) = ([UInt8](repeating: 0, count: 2), Self.request(.get))
    return try method.withUnsafeBytes { method in
      try request.withUnsafeBytes { try applier.query(Call(method: method, request: $0), id: 1, deadline: .max) ?? [] }
    }
  }

  @Test(
    "applier: each entry is answered once, in order, with the machine's reply, at once or later",
    arguments: kinds.indices)
  func order(kind: Int) throws {
    let applier = Self.kinds[kind]()
    var answers: Answers = []
    let digest = applier.digest
    var progress = submit([.put(5), .nothing, .fail, .put(6)], to: applier, &answers)
    #expect(applier.submitted == LogIndex(4))
    #expect(progress == .done || applier.applied < applier.submitted)
    if progress == .underWay { #expect(applier.digest == digest, "the machine is as of what is applied") }
    progress = submit([.put(7)], to: applier, &answers)
    if progress == .underWay { progress = collect(applier, &answers) }
    #expect(progress == .done && answers.map(\.index) == [1, 2, 3, 4, 5])
    let aborted = Replies.Reply.failure(Status(.aborted, "as asked"))
    #expect(answers.map(\.reply) == [Self.former(0), nil, aborted, Self.former(5), Self.former(6)])
    #expect(applier.applied == LogIndex(5) && applier.appliedTerm == Term(3) && applier.time == 7)
    #expect(collect(applier, &answers) == .done && answers.count == 5, "nothing is answered twice")
  }

  @Test("applier: queries are of what is applied", arguments: kinds.indices)
  func queries(kind: Int) throws {
    let applier = Self.kinds[kind]()
    var answers: Answers = []
    _ = submit([.put(5)], to: applier, &answers)
    #expect(try value(applier) == Registers.answer(true, applier.applied == LogIndex(1) ? 5 : 0))
    _ = collect(applier, &answers)
    #expect(try value(applier) == Registers.answer(true, 5))
  }

  @Test("applier: one that cannot go on says so, what it has done, and answers nothing after it")
  func failing() {
    var asked = 0
    let applier = SimulatedApplier(Executor(group: .first, machine: Registers()), atOnce: 2, isWanted: {}) {
      asked += 1
      return asked > 1
    }
    var answers: Answers = []
    #expect(submit([.put(1), .put(2), .put(3)], to: applier, &answers) == .underWay)
    let progress = collect(applier, &answers)
    #expect(
      progress == .failed(ApplierFailure(applied: LogIndex(2), message: "its disk is full")) && answers.count == 2)
    #expect(submit([.put(4)], to: applier, &answers) == progress)
    #expect(collect(applier, &answers) == progress && answers.count == 2)
  }
}
