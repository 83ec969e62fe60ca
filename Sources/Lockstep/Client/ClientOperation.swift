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
