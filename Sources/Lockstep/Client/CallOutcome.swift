public import LockstepExecution
public import LockstepRequests
import LockstepWire

/// The answer to a call that succeeded, and what it rests on.
public struct Reply: Sendable {
  /// The encoded reply message.
  public var payload: [UInt8]
  /// Of the command's entry, or of the state that the query saw.
  public var index: UInt64
  /// The term of that entry, or of the last entry in that state.
  public var term: UInt64
  /// The node that served it.
  public var node: UInt64
  /// A command's level; nil for a query.
  public var acknowledgement: Acknowledgement?
  /// The voters on whose disks the leader knew the command when it answered. A node that led no longer by then knows of
  /// itself alone: it is named if its disk has all that is committed. Empty for a query.
  public var holders: [UInt64]
}

/// Why a call did not succeed, and whether it had an effect.
public struct CallFailure: Error, Sendable, CustomStringConvertible {
  /// Whether the command of a failed call was carried out.
  public typealias Applied = LockstepRequests.Applied
  /// Why it did not succeed: a code for programs, and words for people.
  public var status: CallStatus
  /// Whether the command was carried out, as far as it is known.
  public var applied: Applied
  /// The log index of the command's entry, or of the state that refused the query; 0: none, or none is known.
  public var index: UInt64
  /// The term of that entry, or of the last entry in that state; 0: none, or none is known.
  public var term: UInt64
  /// The node that answered; 0: none did.
  public var node: UInt64

  /// By default a failure that no entry and no node is known of.
  public init(
    _ status: CallStatus, applied: Applied, index: UInt64 = 0, term: UInt64 = 0, node: UInt64 = 0
  ) {
    self.status = status
    self.applied = applied
    self.index = index
    self.term = term
    self.node = node
  }

  public var description: String { status.description }
}

extension CallReply {
  var outcome: Result<Reply, CallFailure> {
    if code == 0 {
      return .success(
        Reply(
          payload: payload, index: index, term: term, node: node, acknowledgement: Acknowledgement(number: ack),
          holders: evidence?.holders ?? []))
    }
    let status = CallStatus(CallStatus.Code(rawValue: UInt8(clamping: code)) ?? .unknown, message)
    return .failure(CallFailure(status, applied: applied, index: index, term: term, node: node))
  }
}
