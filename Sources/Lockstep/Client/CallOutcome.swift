public import LockstepConsensus
import LockstepExecution
public import LockstepRequests
import LockstepWire

/// The answer to a call that succeeded, and what it rests on.
public struct Reply: Sendable {
  /// The encoded reply message.
  public var payload: [UInt8]
  /// Of the command's entry, or of the state that the query saw.
  public var index: LogIndex
  /// The term of that entry, or of the last entry in that state.
  public var term: Term
  /// The node that served it.
  public var node: NodeID
  /// A command's level; nil for a query.
  public var acknowledgement: Acknowledgement?
  /// The voters on whose disks the leader knew the command when it answered. A node that led no longer by then knows of
  /// itself alone: it is named if its disk has all that is committed. Empty for a query.
  public var holders: [NodeID]
  /// The voters that had applied the command when it was answered, where its level asks for that (`.applied`).
  public var appliedBy: [NodeID] = []
  /// Has a read at level `session` see this reply's state or a later one, whichever node answers. Nil for a command that
  /// only its leader has stored.
  public var token: ReadToken?
  /// A query's level; nil for a command.
  public var consistency: Consistency?
  /// How old the state was, at most, that a query saw: what was committed longer ago than that is in it. Nil: not known,
  /// or no query.
  public var age: Duration?
}

/// Why a call did not succeed, and whether it had an effect.
public struct CallFailure: Error, Sendable, CustomStringConvertible {
  /// Whether the command of a failed call was carried out.
  public typealias Applied = LockstepRequests.Applied
  /// Why it did not succeed: a code for programs, and words for people.
  public var status: CallStatus
  /// Whether the command was carried out, as far as it is known.
  public var applied: Applied
  /// The log index of the command's entry, or of the state that refused the query; nil: none, or none is known.
  public var index: LogIndex?
  /// The term of that entry, or of the last entry in that state; nil: none, or none is known.
  public var term: Term?
  /// The node that answered; nil: none did.
  public var node: NodeID?
  /// Of a command that was carried out, and failed for its level of acknowledgement: the voters that it still needed.
  public var missing: [NodeID] = []
  /// As `Reply.token`, of a command that was carried out, or of a query that failed on a state: nil where no state was seen.
  public var token: ReadToken?
  /// Of a call in a session: to make it again, or to ask what became of it (`LockstepClient.resolve`).
  public var sequence: CallSequence?

  /// By default a failure that no entry and no node is known of.
  public init(
    _ status: CallStatus, applied: Applied, index: LogIndex? = nil, term: Term? = nil, node: NodeID? = nil
  ) {
    self.status = status
    self.applied = applied
    self.index = index
    self.term = term
    self.node = node
  }

  public var description: String { status.description }
}

extension CallFailure {
  func of(_ sequence: CallSequence?) -> CallFailure {
    var failure = self
    failure.sequence = sequence
    return failure
  }
}

/// On the wire 0 stands for what there is not.
func known<ID: LockstepIdentifier>(_ number: UInt64) -> ID? { number == 0 ? nil : ID(number) }

/// The level that a reply says was reached.
func acknowledgement(_ number: UInt32, _ evidence: CallReply.Evidence?) -> Acknowledgement? {
  Acknowledgement(number: number, voters: UInt32(clamping: evidence?.holders.count ?? 0))
}

func nodes(_ numbers: [UInt64]?) -> [NodeID] { numbers?.map { NodeID($0) } ?? [] }

extension CallReply.History {
  /// What has seen this entry, which is committed.
  func token(term: UInt64, index: UInt64) -> ReadToken? {
    guard incarnation != 0, term > 0, index > 0 else { return nil }
    return ReadToken(group: group, incarnation: incarnation, term: Term(term), index: LogIndex(index))
  }
}

extension BatchReply {
  /// As of a call's reply.
  func token(of result: BatchResult) -> ReadToken? {
    let isCommitted = result.code == 0 ? ack != Acknowledgement.leader.number : result.applied == .yes
    return isCommitted ? history.token(term: result.term, index: result.index) : nil
  }
}

extension CallReply {
  /// What the answer has shown: the state of a query, or a command that was carried out, also where it failed.
  var token: ReadToken? {
    let isCommitted = code == 0 ? ack != Acknowledgement.leader.number : applied != .unknown
    return isCommitted ? history.token(term: term, index: index) : nil
  }

  var outcome: Result<Reply, CallFailure> {
    if code == 0 {
      return .success(
        Reply(
          payload: payload, index: LogIndex(index), term: Term(term), node: NodeID(node),
          acknowledgement: acknowledgement(ack, evidence), holders: nodes(evidence?.holders),
          appliedBy: nodes(evidence?.appliedBy), token: token,
          age: ageMicroseconds == 0 ? nil : .microseconds(Int64(clamping: ageMicroseconds))))
    }
    let status = CallStatus(CallStatus.Code(rawValue: UInt8(clamping: code)) ?? .unknown, message)
    var failure = CallFailure(
      status, applied: applied, index: known(index), term: known(term), node: known(node))
    failure.missing = nodes(evidence?.missing)
    failure.token = token
    return .failure(failure)
  }
}
