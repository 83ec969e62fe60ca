import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// A machine that keeps what it is given, answers with what it has counted, and fails on demand.
struct Recorder: StateMachine {
  struct Applied: Hashable {
    let method: String
    let index: UInt64
    let session: UInt64?
    let time: UInt64
    let random: UInt64
  }

  private(set) var applied: [Applied] = []
  private(set) var batches: [Int] = []

  mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    batches.append(batch.count)
    for place in 0..<batch.count {
      let command = batch[place]
      var context = command.context
      applied.append(
        Applied(
          method: command.call.methodName, index: context.index.rawValue, session: context.session, time: context.time,
          random: context.nextRandom()))
      switch command.call.methodName {
      case "fail": replies.fail(CallStatus(.aborted, "as asked"))
      case "ok": replies.fail(CallStatus(.ok, "not a failure"))
      default: replies.succeed(replies.areWanted ? [UInt8(truncatingIfNeeded: applied.count)] : [])
      }
    }
  }

  func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    guard call.methodName != "fail" else { throw CallStatus(.notFound, "as asked") }
    return [UInt8(truncatingIfNeeded: context.index.rawValue), UInt8(truncatingIfNeeded: context.time)]
  }

  func validate(_ call: MethodCall) throws(CallStatus) {}
  func kind(ofMethod method: RawSpan) -> MethodKind? { .command }

  let version: UInt32 = 1

  /// Of what was applied; batches are how it came.
  func freeze() -> any Snapshot {
    EncodedSnapshot(of: applied[...]) { rest, buffer in
      guard let next = rest.popFirst() else { return false }
      buffer.append(text: next.method)
      for number in [next.index, next.session ?? 0, next.time, next.random] { buffer.append(varint: number) }
      return true
    }
  }

  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Recorder {
    var recorder = Recorder()
    while try !snapshot.isAtEnd() {
      let (method, index, session) = (try snapshot.text(), try snapshot.varint(), try snapshot.varint())
      recorder.applied.append(
        Applied(
          method: method, index: index, session: session == 0 ? nil : session, time: try snapshot.varint(),
          random: try snapshot.varint()))
    }
    return recorder
  }

  var digest: UInt64 { UInt64(applied.count) }
  var schemas: [Schema] { [] }
}

/// An executor over a `Recorder`, and a log that is written in short words.
struct Bench {
  enum Word {
    case command(String, session: UInt64 = 0, sequence: UInt64 = 0)
    case open
    case sessions(SessionCall)
    case nothing
  }

  typealias Answer = (index: UInt64, reply: Replies.Reply?)

  private(set) var executor: Executor

  init(executor: Executor) { self.executor = executor }

  init(limits: SessionLimits = .usual) {
    self.init(executor: Executor(group: .first, machine: Recorder(), limits: limits))
  }

  var recorder: Recorder? { executor.machine as? Recorder }

  /// Applies these words as the next entries, in one go.
  @discardableResult
  mutating func apply(_ words: Word..., timestamp: UInt64 = 7, repliesAreWanted: Bool = true) -> [Answer] {
    apply(words, timestamp: timestamp, repliesAreWanted: repliesAreWanted)
  }

  @discardableResult
  mutating func apply(_ words: [Word], timestamp: UInt64 = 7, repliesAreWanted: Bool = true) -> [Answer] {
    let names = words.map { word -> [UInt8] in
      if case .command(let name, _, _) = word { Array(name.utf8) } else { [] }
    }
    var answers: [Answer] = []
    withExtendedLifetime(names) {
      let entries = words.indices.map { place in
        entry(words[place], executor.applied.advanced(by: place + 1), timestamp, names[place].withUnsafeBytes { $0 })
      }
      executor.apply(entries[...], repliesAreWanted: repliesAreWanted) { answers.append(($0.index.rawValue, $1)) }
    }
    return answers
  }

  private func entry(
    _ word: Word, _ index: LogIndex, _ timestamp: UInt64, _ method: UnsafeRawBufferPointer
  ) -> Executor.Entry {
    let call = MethodCall(method: method, request: UnsafeRawBufferPointer(start: nil, count: 0))
    let id = EntryID(term: Term(1), index: index)
    switch word {
    case .command(_, let session, let sequence):
      return Executor.Entry(
        id: id, kind: .command, timestamp: timestamp, session: session, sequence: sequence, call: call)
    case .open: return entry(.sessions(.open(patienceMilliseconds: 0)), index, timestamp, method)
    case .sessions(let sessionCall):
      return Executor.Entry(
        id: id, kind: .session, timestamp: timestamp, session: 0, sequence: 0, call: call, sessionCall: sessionCall)
    case .nothing:
      return Executor.Entry(id: id, kind: .noOperation, timestamp: timestamp, session: 0, sequence: 0, call: call)
    }
  }

  func query(_ method: String) throws(CallStatus) -> [UInt8] {
    let name = Array(method.utf8)
    var executor = executor
    let result = name.withUnsafeBytes { name -> Result<[UInt8], CallStatus> in
      do throws(CallStatus) {
        return .success(
          try executor.query(MethodCall(method: name, request: UnsafeRawBufferPointer(start: nil, count: 0))))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

extension Replies.Reply {
  var code: CallStatus.Code {
    switch self {
    case .success: .ok
    case .failure(let status): status.code
    }
  }
}
