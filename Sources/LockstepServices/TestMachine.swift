import LockstepConsensus
public import LockstepExecution
import SwiftProtobuf

/// A service by itself, for tests: without a log, a cluster, a disk or a wait. Requests are checked, commands carried out,
/// and replies encoded and decoded as on a node.
///
/// ```swift
/// var bank = try TestMachine(Bank.self)
/// #expect(try bank.call(Bank.deposit, .with { $0.account = "ann"; $0.amount = 100 }).balance == 100)
/// ```
public struct TestMachine<State: ReplicatedService> {
  private let first: ServiceMachine
  private var executor: Executor
  /// What the next commands know as their time, in nanoseconds since 1970; a command's is never less than the one's before.
  public var time: UInt64 = 0
  /// The session that the next commands are in, by the number that `openSession` gave it; nil: none.
  public var session: UInt64?
  /// The last that was used in any session: each command in one is a new call.
  private var sequence: UInt64 = 0

  /// The service before its first command. Throws when its methods are not those of its schema.
  public init(_: State.Type = State.self) throws(ServiceTableError) {
    first = try ServiceMachine(services: [State.self])
    executor = Executor(group: .first, machine: first)
  }

  /// The service as a node with this program finds it that had an earlier one: restored from what that has written down,
  /// with the same digest. Throws a `CallStatus` when it cannot be read or is another state then. The service before may be
  /// a copy of it, a type of its own that is kept among the tests, with the same schema name.
  public init<Earlier: ReplicatedService>(
    _: State.Type = State.self, upgrading earlier: TestMachine<Earlier>
  ) throws {
    try self.init(State.self)
    executor = try Self.restored(first, from: earlier.executor.freeze())
    (time, session, sequence) = (earlier.time, earlier.session, earlier.sequence)
  }

  /// The state as it is.
  public var state: State {
    guard let machine = executor.machine as? ServiceMachine, let state = machine.state(of: State.self) else {
      preconditionFailure("a machine of one service has lost it")
    }
    return state
  }

  /// Equal when, and for practical purposes only when, the state is.
  public var digest: UInt64 { executor.digest }

  /// Carries out a command, at the next index. Throws what it was answered with, when that is no reply.
  @discardableResult
  public mutating func call<Request, Reply>(
    _ command: Command<State, Request, Reply>, _ request: Request
  ) throws(CallStatus) -> Reply {
    var outcome: Replies.Reply?
    let (id, timestamp) = (EntryID(term: Term(1), index: executor.applied.next), time)
    if session != nil { sequence += 1 }
    let (session, sequence) = (session ?? 0, session == nil ? 0 : sequence)
    try withCall(command.fullName, request) { call throws(CallStatus) in
      // What no node would take in is not carried out.
      try executor.machine.validate(call)
      let entry = Executor.Entry(
        id: id, kind: .command, timestamp: timestamp, session: session, sequence: sequence, call: call)
      executor.apply([entry], repliesAreWanted: true) { _, reply in outcome = reply }
    }
    switch outcome {
    case .success(let bytes): return try decodedReply(bytes)
    case .failure(let status): throw status
    case nil: preconditionFailure("a command was not answered")
    }
  }

  /// Opens a session as a client does, with an entry of its own, and has the next commands in it. Its number is the index
  /// of that entry.
  @discardableResult
  public mutating func openSession() -> UInt64 {
    let id = EntryID(term: Term(1), index: executor.applied.next)
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let entry = Executor.Entry(
      id: id, kind: .session, timestamp: time, session: 0, sequence: 0,
      call: MethodCall(method: nothing, request: nothing), sessionCall: .open(patienceMilliseconds: 0))
    executor.apply([entry]) { _, _ in }
    session = id.index.rawValue
    return id.index.rawValue
  }

  /// Answers a query. Throws what it was answered with, when that is no reply.
  public func call<Request, Reply>(
    _ query: Query<State, Request, Reply>, _ request: Request
  ) throws(CallStatus) -> Reply {
    var bytes: [UInt8] = []
    var executor = executor
    try withCall(query.fullName, request) { call throws(CallStatus) in bytes = try executor.query(call) }
    return try decodedReply(bytes)
  }

  /// The same service after its state was written down and read again, as when a node starts from a snapshot. Throws when
  /// what comes back is another state, or cannot be read.
  public func restored() throws(CallStatus) -> TestMachine {
    var copy = self
    copy.executor = try Self.restored(first, from: executor.freeze())
    return copy
  }

  private static func restored(_ first: ServiceMachine, from frozen: FrozenState) throws(CallStatus) -> Executor {
    var content = frozen.content
    var reader = SnapshotReader("the snapshot", version: frozen.machineVersion) { () throws(CallStatus) -> [UInt8]? in
      // In pieces, so that one that ends anywhere is read, too.
      try content.next(maximumBytes: 1000)
    }
    return try Executor(
      group: frozen.group, first: first, last: frozen.last, time: frozen.time, digest: frozen.digest, from: &reader)
  }

  private func withCall(
    _ method: String, _ request: some SwiftProtobuf.Message, _ body: (MethodCall) throws(CallStatus) -> Void
  ) throws(CallStatus) {
    let bytes: [UInt8]
    do { bytes = try request.serializedBytes() } catch {
      throw CallStatus(.invalidArgument, "the request cannot be encoded: \(error)")
    }
    let method = Array(method.utf8)
    let outcome = method.withUnsafeBytes { method in
      bytes.withUnsafeBytes { bytes in
        Result { () throws(CallStatus) in try body(MethodCall(method: method, request: bytes)) }
      }
    }
    try outcome.get()
  }

  private func decodedReply<Reply: SwiftProtobuf.Message>(_ bytes: [UInt8]) throws(CallStatus) -> Reply {
    do { return try Reply(serializedBytes: bytes) } catch {
      throw CallStatus(.internal, "the reply is no \(Reply.protoMessageName)")
    }
  }
}
