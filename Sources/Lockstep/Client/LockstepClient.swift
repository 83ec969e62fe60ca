public import LockstepExecution
package import LockstepRequests
public import LockstepConsensus
import LockstepWire
public import NIOCore
public import NIOPosix

/// A connection to a cluster: to one of its nodes at a time, and to another one when that one fails. Calls may be made
/// from any task, any number at once; they share the connection.
///
/// The end of a task's patience is the end of a call: when the task that made it is cancelled, it fails at once with
/// `cancelled`: with `applied: .unknown` if it was sent and is not answered, and else with `.no`, also when a node has
/// refused it and it was not sent again yet.
///
/// A call is carried out at most once. One that a node refuses with UNAVAILABLE and `applied: .no`, as one does that knows
/// no leader or is about to stop, is sent again until its time-out, at the leader that the node names or at the next
/// endpoint, and fails then with what a node has said last; what may have been carried out is never sent again, unless it is
/// in a session (`CallOptions.session`), where that does no harm and is done until the time-out. When no
/// node can be reached, a call that none has refused before fails with `applied: .no` as soon as all endpoints were tried,
/// and does not wait for its time-out; when the connection is lost while it is under way, with `applied: .unknown`.
public final class LockstepClient: Sendable {
  private let core: NIOLoopBoundBox<ClientCore?>
  private let endpoints: [Endpoint]
  private let eventLoop: any EventLoop

  /// A client that connects with its first call, and is to be closed (`close`, or see `withLockstepClient`).
  ///
  /// - Parameters:
  ///   - endpoints: nodes of one cluster, in the order in which they are tried; without any, each call fails.
  ///   - eventLoopGroup: one of its loops carries the connection; by default one that all of the process share.
  public convenience init(
    endpoints: [Endpoint], eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
  ) {
    self.init(endpoints: endpoints, eventLoop: eventLoopGroup.next())
  }

  package init(endpoints: [Endpoint], eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
    self.endpoints = endpoints
    core = .makeEmptyBox(eventLoop: eventLoop)
  }

  /// Makes one call and waits for its answer. `method` is "package.Service/Method", `request` the encoded message.
  public func call(
    _ method: String, _ request: [UInt8], options: CallOptions = CallOptions()
  ) async throws(CallFailure) -> Reply {
    try await options.numbered(1) { options async throws(CallFailure) in
      switch await perform({ .call(method: method, request: request, options: options, $0) }) {
      case .reply(let answer):
        var reply = try answer.outcome.get()
        if answer.read == options.consistency.number { reply.consistency = options.consistency }
        return reply
      case .failure(let failure): throw failure
      case .batch, .schemas, .status, .snapshot: throw Self.mixedUp
      }
    }
  }

  /// Opens a stream: a call of a method that answers with what happens. It is open when this
  /// returns, or as soon as there is a connection; see `EventStream` for how it goes on and ends.
  ///
  /// - Parameters:
  ///   - method: "package.Service/Method".
  ///   - request: the encoded message.
  ///   - from: go on with the entry of this index, whatever the request says: `StreamEvent.next`.
  ///   - patience: for so long a node is looked for that goes on, before the stream fails.
  public func stream(
    _ method: String, _ request: [UInt8], from: LogIndex? = nil, patience: Duration = .seconds(30)
  ) -> EventStream {
    let stream = ClientStream(
      method: method, request: request, from: from, patience: .milliseconds(Int64(clamping: patience.milliseconds)))
    let eventLoop = eventLoop
    eventLoop.execute { self.loopCore.open(stream) }
    return EventStream(
      StreamReader(
        stream, grant: { bytes in eventLoop.execute { self.loopCore.grant(bytes, to: stream) } },
        cancel: { eventLoop.execute { self.loopCore.cancel(stream) } }))
  }

  /// The services that the cluster offers.
  public func schemas(timeout: Duration = .seconds(5)) async throws(CallFailure) -> [Schema] {
    switch await perform({ .schemas(timeout: timeout, $0) }) {
    case .schemas(let services): return services.map { Schema(name: $0.name, descriptorSet: $0.descriptorSet) }
    case .failure(let failure): throw failure
    case .reply, .batch, .status, .snapshot: throw Self.mixedUp
    }
  }

  /// What the node says of itself that this client is connected to.
  package func status(timeout: Duration = .seconds(5)) async throws(CallFailure) -> NodeReport {
    switch await perform({ .status(timeout: timeout, $0) }) {
    case .status(let status): return status
    case .failure(let failure): throw failure
    case .reply, .batch, .schemas, .snapshot: throw Self.mixedUp
    }
  }

  /// Has the node that this client is connected to write down its state. Returns when that is durable; how long it took is
  /// 0 nanoseconds when nothing had happened since the last snapshot.
  package func takeSnapshot(
    timeout: Duration
  ) async throws(CallFailure) -> (node: UInt64, snapshot: SnapshotReport, nanoseconds: UInt64) {
    switch await perform({ .snapshot(timeout: timeout, $0) }) {
    case .snapshot(let reply):
      switch reply.outcome {
      case .success(let done): return (reply.node, done.snapshot, done.nanoseconds)
      case .failure(let status): throw CallFailure(status, applied: .no, node: known(reply.node))
      }
    case .failure(let failure): throw failure
    case .reply, .batch, .schemas, .status: throw Self.mixedUp
    }
  }

  /// Closes the connection. Calls under way fail.
  public func close() async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      eventLoop.execute {
        self.loopCore.close()
        done.resume()
      }
    }
  }

  /// On the loop only; made at its first use there.
  private var loopCore: ClientCore {
    if let made = core.value { return made }
    let made = ClientCore(endpoints: endpoints, on: eventLoop)
    core.value = made
    return made
  }

  static let mixedUp = CallFailure(
    CallStatus(.internal, "the node answered another question than was asked"), applied: .unknown)

  func perform(
    _ make: @escaping @Sendable (CheckedContinuation<ClientCore.Outcome, Never>) -> ClientCore.Operation
  ) async -> ClientCore.Outcome {
    let ticket = CallTicket()
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        eventLoop.execute { self.loopCore.submit(make(continuation), ticket) }
      }
    } onCancel: {
      eventLoop.execute { self.loopCore.cancel(ticket) }
    }
  }
}

/// Gives `body` a client and closes it after that, whatever comes of it.
///
/// ```swift
/// let total = try await withLockstepClient(endpoints: [Endpoint(host: "127.0.0.1", port: 7401)]) { client in
///   try await client.call("bank.v1.Bank/Total", [])
/// }
/// ```
///
/// - Parameters:
///   - endpoints: nodes of one cluster, in the order in which they are tried; without any, each call fails.
///   - eventLoopGroup: one of its loops carries the connection; by default one that all of the process share.
///   - body: what is done with it. Calls that it has left under way fail when it returns.
public func withLockstepClient<Result>(
  endpoints: [Endpoint], eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
  _ body: (LockstepClient) async throws -> Result
) async rethrows -> Result {
  let client = LockstepClient(endpoints: endpoints, eventLoopGroup: eventLoopGroup)
  do {
    let result = try await body(client)
    await client.close()
    return result
  } catch {
    await client.close()
    throw error
  }
}
