import DequeModule
public import LockstepConsensus
public import LockstepRequests
import LockstepTransport
import LockstepWire
import NIOCore
import Synchronization

/// One event of a stream.
public struct StreamEvent: Sendable, Hashable {
  /// The encoded message.
  public let payload: [UInt8]
  /// Of the entry that it tells of; of a part of the state with which the stream began: of the last entry in that.
  public let index: LogIndex
  /// The term of that entry.
  public let term: Term
  /// The node that has sent it.
  public let node: NodeID
  /// It tells of the state with which the stream began, and of no change.
  public let isState: Bool
  /// Has a read at level `session` see what this tells of, or a later state.
  public let token: ReadToken
  /// A stream that is to go on behind this event is opened with this index; nil: it tells of a part of an entry or of the
  /// state, of which more follows, and whoever stops here begins that anew.
  public let next: LogIndex?
}

/// What happens, each event once and in the order of the log: to be read once, by one task. It goes on at another node when the
/// one is lost that it comes from. It ends with a `CallFailure`: with `cancelled` when the task is, with `outOfRange` when
/// what comes next is kept by no node any more (then `index` is the first that is), with `unavailable` when no node was found
/// for longer than the patience that it was opened with.
///
/// What is not read is not asked for: a reader that is slow has no more than `EventStream.maximumBytes` in memory.
public struct EventStream: AsyncSequence, Sendable {
  /// What of a stream may be in this process, or on the way to it, without being read; one event may go beyond.
  public static let maximumBytes = 256 * 1024

  private let reader: StreamReader

  init(_ reader: StreamReader) { self.reader = reader }

  /// Reads the events of a stream.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let reader: StreamReader

    /// The next event; waits for it. Never nil.
    public mutating func next() async throws(CallFailure) -> StreamEvent? { try await reader.next() }

    /// The next event; waits for it. Never nil.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(CallFailure) -> StreamEvent? {
      try await reader.next()
    }
  }

  /// Begins to read. A stream is read once, by one task.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }
}

/// The end of a stream that is read. When nobody has it any more, the stream is cancelled.
final class StreamReader: Sendable {
  private let stream: ClientStream
  private let cancel: @Sendable () -> Void
  private let grant: @Sendable (Int) -> Void

  init(_ stream: ClientStream, grant: @escaping @Sendable (Int) -> Void, cancel: @escaping @Sendable () -> Void) {
    self.stream = stream
    self.grant = grant
    self.cancel = cancel
  }

  deinit { cancel() }

  func next() async throws(CallFailure) -> StreamEvent {
    while true {
      switch stream.take() {
      case .event(let event, let toGrant):
        if toGrant > 0 { grant(toGrant) }
        return event
      case .over(let failure): throw failure
      case .nothing: break
      }
      await withTaskCancellationHandler {
        await stream.wait()
      } onCancel: {
        cancel()
      }
    }
  }
}

/// A stream as the client has it: what has come, and where it is to go on.
///
/// Unchecked: what stands below "The loop's own" is touched by the client's event loop alone; all else is behind the lock.
final class ClientStream: @unchecked Sendable {
  private struct Shared {
    /// With what each counts against the credit.
    var events: Deque<(event: StreamEvent, credit: Int)> = []
    /// Taken, and not granted anew.
    var taken = 0
    var failure: CallFailure?
    var waiter: CheckedContinuation<Void, Never>?
  }

  enum Taken {
    case event(StreamEvent, grant: Int)
    case over(CallFailure)
    case nothing
  }

  let method: String
  let request: [UInt8]
  let patience: TimeAmount
  private let shared = Mutex(Shared())

  // The loop's own.
  enum Place {
    case waiting
    case open(Connection, id: UInt64)
    case over
  }
  var place = Place.waiting
  /// Where it goes on; nil: it has not begun, or is amid the state.
  var next: LogIndex?
  var isAmidState = false
  /// Nodes in turn that have not what comes next.
  var outOfRange = 0
  var lastHeard = NIODeadline.now()
  /// When it was last told something, or lost a node that had kept it open.
  var gotOn = NIODeadline.now()
  var opened = NIODeadline.now()
  var isAsked = false
  /// Why it waits.
  var reason = "none was reached so far"

  init(method: String, request: [UInt8], from: LogIndex?, patience: TimeAmount) {
    self.method = method
    self.request = request
    self.patience = patience
    next = from
  }

  // MARK: The reader

  func take() -> Taken {
    shared.withLock { shared in
      guard let (event, credit) = shared.events.popFirst() else {
        return shared.failure.map { .over($0) } ?? .nothing
      }
      shared.taken += credit
      let isMuch = shared.taken >= EventStream.maximumBytes / 4
      guard isMuch || shared.events.isEmpty else { return .event(event, grant: 0) }
      defer { shared.taken = 0 }
      return .event(event, grant: shared.taken)
    }
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isReady = shared.withLock { shared in
        guard shared.events.isEmpty, shared.failure == nil else { return true }
        precondition(shared.waiter == nil, "a stream is read by one task")
        shared.waiter = continuation
        return false
      }
      if isReady { continuation.resume() }
    }
  }

  // MARK: The loop

  /// What a node may send that is asked anew: what was granted before counts no more.
  func credit() -> Int {
    shared.withLock { shared in
      shared.taken = 0
      return max(0, EventStream.maximumBytes - shared.events.reduce(0) { $0 + $1.credit })
    }
  }

  func received(_ items: StreamItems, of history: CallReply.History) {
    lastHeard = .now()
    if !items.items.isEmpty { gotOn = lastHeard }
    isAsked = false
    outOfRange = 0
    if let next = items.next { (self.next, isAmidState) = (next, false) } else { isAmidState = true }
    guard !items.items.isEmpty else { return }
    let node = NodeID(items.node)
    change { shared in
      for item in items.items {
        for (place, payload) in item.payloads.enumerated() {
          let isLast = place == item.payloads.count - 1 && (!item.isState || items.next != nil)
          let event = StreamEvent(
            payload: payload, index: item.index, term: item.term, node: node, isState: item.isState,
            token: ReadToken(
              group: history.group, incarnation: history.incarnation, term: item.term, index: item.index),
            next: isLast ? item.index.next : nil)
          // As the node has counted them: 64 bytes for each item.
          shared.events.append((event, payload.count + (place == 0 ? 64 : 0)))
        }
      }
    }
  }

  func end(_ failure: CallFailure) {
    place = .over
    change { if $0.failure == nil { $0.failure = failure } }
  }

  private func change(_ body: (inout Shared) -> Void) {
    let waiter = shared.withLock { shared in
      body(&shared)
      defer { shared.waiter = nil }
      return shared.waiter
    }
    waiter?.resume()
  }
}
