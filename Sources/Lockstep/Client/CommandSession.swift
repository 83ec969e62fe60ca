import DequeModule
public import LockstepConsensus
import LockstepExecution
public import LockstepRequests
import LockstepWire
import Synchronization

/// What a command is in its client's session: the cluster carries it out once, however often it is sent.
public struct CallSequence: Sendable, Hashable {
  /// As the cluster has numbered it.
  public let session: UInt64
  /// As the client numbers its calls, from 1; a call that is sent again has the same number.
  public let number: UInt64
  /// It was drawn for this call: nobody has sent it before.
  let isFresh: Bool

  /// The call with this number, in this session, which may have been sent before.
  public init(session: UInt64, number: UInt64) { self.init(session: session, number: number, isFresh: false) }

  /// Of a request of a batch, whose first one has this number.
  func advanced(by position: Int) -> CallSequence {
    CallSequence(session: session, number: number &+ UInt64(position), isFresh: isFresh)
  }

  init(session: UInt64, number: UInt64, isFresh: Bool) {
    self.session = session
    self.number = number
    self.isFresh = isFresh
  }
}

/// A client's session: it numbers calls, so that each is carried out once, however often it is sent.
///
/// ```swift
/// let session = try await client.openSession()
/// let reply = try await client.call(
///   "lockstep.counter.v1.Counter/Add", request, options: CallOptions(session: session))
/// ```
///
/// Up to 1,024 of its calls may be under way at once, counted from the oldest that is: one more fails with
/// `resourceExhausted` before it is sent, since the cluster could forget what became of the oldest. A session that is not used for its patience ends, and so does the one
/// that was used least recently when more than 2,048 are open; a call in a session that has ended fails with
/// `failedPrecondition` and `applied: .unknown`.
public final class CommandSession: Sendable {
  /// As the cluster has numbered it.
  public let id: UInt64
  private let window: Int
  private let numbers: Mutex<Numbers>

  private struct Numbers {
    var last: UInt64
    /// Whether each call up to the last one has ended, from the oldest on that has not.
    var haveEnded: Deque<Bool> = []
  }

  /// One that was opened before. `last`: the number of the last call that was made in it.
  public convenience init(id: UInt64, last: UInt64 = 0) { self.init(id: id, last: last, window: 1024) }

  init(id: UInt64, last: UInt64, window: Int) {
    self.id = id
    self.window = window
    numbers = Mutex(Numbers(last: last))
  }

  /// The numbers of the next so many calls, as the first of them; each is to be ended.
  func draw(_ count: Int) throws(CallFailure) -> CallSequence {
    let first = numbers.withLock { numbers -> UInt64? in
      guard numbers.haveEnded.count + count <= window, numbers.last <= UInt64(Int64.max) - UInt64(count) else {
        return nil
      }
      numbers.haveEnded.append(contentsOf: repeatElement(false, count: count))
      numbers.last += UInt64(count)
      return numbers.last - UInt64(count) + 1
    }
    guard let first else {
      let message =
        "session \(id): the oldest of its calls that is under way and the ones after it would be more than \(window)"
      throw CallFailure(CallStatus(.resourceExhausted, message), applied: .no)
    }
    return CallSequence(session: id, number: first, isFresh: true)
  }

  /// They are answered, or nobody waits for them any more.
  func end(_ first: CallSequence, _ count: Int) {
    numbers.withLock { numbers in
      let place = numbers.haveEnded.count - Int(numbers.last - first.number) - 1
      for offset in 0..<count { numbers.haveEnded[place + offset] = true }
      while numbers.haveEnded.first == true { numbers.haveEnded.removeFirst() }
    }
  }
}

/// What became of a call.
public enum CallResolution: Sendable {
  /// It was carried out by this entry, and was answered so; nil: the answer is not kept any more.
  case committed(index: LogIndex, answer: Result<[UInt8], CallStatus>?)
  /// It has had no effect, and never will.
  case never
  /// Nobody knows any more; the reason says why.
  case unknown(reason: String)
}

extension LockstepClient {
  /// Opens a session. It ends when it is not used for as long as `patience`, by the time stamps in the log: an hour unless
  /// it is said, 30 days at most.
  public func openSession(
    patience: Duration = .zero, timeout: Duration = .seconds(5)
  ) async throws(CallFailure) -> CommandSession {
    let reply = try await sessions("Open", [patience.milliseconds, 0], timeout)
    guard let id = reply.numbers[1], id > 0 else { throw Self.noAnswer }
    return CommandSession(id: id, last: 0, window: Int(clamping: reply.numbers[3] ?? 0))
  }

  /// A use of the session, so that it goes on.
  public func keepAlive(_ session: CommandSession, timeout: Duration = .seconds(5)) async throws(CallFailure) {
    _ = try await sessions("KeepAlive", [session.id, 0], timeout)
  }

  /// Ends the session: what became of its calls is not known any more after this.
  public func close(_ session: CommandSession, timeout: Duration = .seconds(5)) async throws(CallFailure) {
    _ = try await sessions("Close", [session.id, 0], timeout)
  }

  /// What became of a call that was not answered. One that is in no log yet is carried out no more after this.
  public func resolve(
    _ call: CallSequence, timeout: Duration = .seconds(5)
  ) async throws(CallFailure) -> CallResolution {
    let reply = try await sessions("Resolve", [call.session, call.number], timeout)
    let message = String(decoding: reply.bytes[6] ?? [], as: UTF8.self)
    switch reply.numbers[1] ?? 0 {
    case 1:
      let code = CallStatus.Code(rawValue: UInt8(clamping: reply.numbers[3] ?? 0)) ?? .unknown
      let index = LogIndex(reply.numbers[2] ?? 0)
      if reply.numbers[5] == 1 { return .committed(index: index, answer: nil) }
      return .committed(
        index: index,
        answer: code == .ok ? .success(reply.bytes[4] ?? []) : .failure(CallStatus(code, message)))
    case 2: return .never
    default: return .unknown(reason: message)
    }
  }

  private static let noAnswer = CallFailure(
    CallStatus(.internal, "the answer is no message of lockstep.session.v1.Sessions"), applied: .unknown)

  /// The fields of a reply of that service, by their numbers.
  private func sessions(
    _ method: String, _ fields: [UInt64], _ timeout: Duration
  ) async throws(CallFailure) -> (numbers: [UInt64: UInt64], bytes: [UInt64: [UInt8]]) {
    let request = SessionCall.message(fields)
    let reply = try await call("\(SessionCall.service)/\(method)", request, options: CallOptions(timeout: timeout))
    guard let fields = try? SessionCall.fields(of: reply.payload) else { throw Self.noAnswer }
    return fields
  }
}
