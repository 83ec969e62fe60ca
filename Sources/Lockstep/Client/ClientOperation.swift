import LockstepExecution
import LockstepRequests
import LockstepWire

// What a client is asked to do, and what comes of it.

extension ClientCore {
  enum Outcome: Sendable {
    case reply(CallReply)
    case batch(BatchReply)
    case schemas([(name: String, descriptorSet: [UInt8])])
    case status(NodeReport)
    case snapshot(SnapshotReply)
    case failure(CallFailure)

    /// Set when the call was certainly not carried out, and another node, or this one a moment later, may do it: the
    /// leader that the node named, 0 if none.
    var leaderIfRefused: UInt64? {
      let unavailable = UInt32(CallStatus.Code.unavailable.rawValue)
      return switch self {
      case .reply(let reply) where reply.code == unavailable && reply.applied == .no: reply.leader
      case .batch(let reply) where reply.code == unavailable && reply.applied == .no: reply.leader
      case .reply, .batch, .schemas, .status, .snapshot, .failure: nil
      }
    }

    /// The node that led, as the one that answered knew; 0: none.
    var leader: UInt64 {
      switch self {
      case .reply(let reply): reply.leader
      case .batch(let reply): reply.leader
      case .schemas, .status, .snapshot, .failure: 0
      }
    }

    /// It failed, and may have been carried out or may be later; sent again in its session it may come to an answer.
    var isInDoubt: Bool {
      func isInDoubt(_ code: UInt32, _ applied: Applied) -> Bool {
        let codes = [CallStatus.Code.unavailable, .deadlineExceeded]
        return applied == .unknown && codes.contains { UInt32($0.rawValue) == code }
      }
      return switch self {
      case .reply(let reply): isInDoubt(reply.code, reply.applied)
      case .batch(let reply):
        isInDoubt(reply.code, reply.applied) || reply.results.contains { isInDoubt($0.code, $0.applied) }
      case .failure(let failure): isInDoubt(UInt32(failure.status.code.rawValue), failure.applied)
      case .schemas, .status, .snapshot: false
      }
    }

    /// The same of a call that may have been sent before. Only what is said by an entry of the log is said of all sendings.
    var inDoubt: Outcome {
      switch self {
      case .reply(var reply):
        if reply.code != 0, reply.applied == .no, reply.index == 0 { reply.applied = .unknown }
        return .reply(reply)
      case .batch(var reply):
        if reply.code != 0, reply.applied == .no { reply.applied = .unknown }
        for place in reply.results.indices where reply.results[place].code != 0 && reply.results[place].index == 0 {
          if reply.results[place].applied == .no { reply.results[place].applied = .unknown }
        }
        return .batch(reply)
      case .failure(var failure):
        if failure.applied == .no { failure.applied = .unknown }
        return .failure(failure)
      case .schemas, .status, .snapshot: return self
      }
    }
  }

  enum Operation {
    case call(method: String, request: [UInt8], options: CallOptions, CheckedContinuation<Outcome, Never>)
    case batch(method: String, requests: [[UInt8]], options: CallOptions, CheckedContinuation<Outcome, Never>)
    case schemas(timeout: Duration, CheckedContinuation<Outcome, Never>)
    case status(timeout: Duration, CheckedContinuation<Outcome, Never>)
    case snapshot(timeout: Duration, CheckedContinuation<Outcome, Never>)

    var continuation: CheckedContinuation<Outcome, Never> {
      switch self {
      case .call(_, _, _, let continuation), .batch(_, _, _, let continuation), .schemas(_, let continuation),
        .status(_, let continuation), .snapshot(_, let continuation):
        continuation
      }
    }

    /// Nobody has sent it under this number before.
    var isFresh: Bool {
      switch self {
      case .call(_, _, let options, _), .batch(_, _, let options, _): options.sequence?.isFresh ?? true
      case .schemas, .status, .snapshot: true
      }
    }

    /// It may be sent again, whatever became of it.
    var isInSession: Bool {
      switch self {
      case .call(_, _, let options, _), .batch(_, _, let options, _): options.sequence != nil
      case .schemas, .status, .snapshot: false
      }
    }

    var timeout: Duration {
      switch self {
      case .call(_, _, let options, _), .batch(_, _, let options, _): options.timeout
      case .schemas(let timeout, _), .status(let timeout, _), .snapshot(let timeout, _): timeout
      }
    }
  }
}

/// Who waits for a call: by this it is found when the task that made it is cancelled.
///
/// Unchecked: it is touched on the client's event loop alone.
final class CallTicket: @unchecked Sendable {
  /// Said before the call itself has come to the loop, perhaps.
  var isCancelled = false
}
