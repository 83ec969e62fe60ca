package import LockstepConsensus

/// What became of one request.
package struct Outcome: Sendable, Hashable {
  package enum Answer: Sendable, Hashable {
    case reply([UInt8])
    case failure(CallStatus)
  }

  package var answer: Answer
  package var applied: Applied
  /// Of the command's entry, or of the state that the query saw; 0 when there is none, or none is known.
  package var index: LogIndex
  package var term: Term

  package init(_ answer: Answer, applied: Applied, index: LogIndex = .zero, term: Term = .zero) {
    self.answer = answer
    self.applied = applied
    self.index = index
    self.term = term
  }

  /// It has had no effect, and never will.
  package static func refusal(_ status: CallStatus) -> Outcome { Outcome(.failure(status), applied: .no) }

  /// Bytes of the reply or of the failure's message.
  package var bytes: Int {
    switch answer {
    case .reply(let payload): payload.count
    case .failure(let status): status.message.utf8.count
    }
  }
}

/// What an answer rests on.
package struct Evidence: Sendable, Hashable {
  /// The node that says it.
  package var node: NodeID
  /// The node that leads, as far as that one knows.
  package var leader: NodeID?
  /// The level at which a command was acknowledged; nil when it was not.
  package var acknowledgement: Acknowledgement?
  /// The voters that hold an acknowledged command on their disks, as the leader knew it when it answered. A node that
  /// led no longer by then knows of itself alone: it is named if its disk has all that is committed. Empty for a query.
  package var holders: [NodeID] = []
  /// The voters that had applied the command by then, where the level asks for that.
  package var appliedBy: [NodeID] = []
  /// Of a command that was carried out, and failed for its level: the voters that the level still needed.
  package var missing: [NodeID] = []
  /// Such a command: `acknowledgement` is what was reached, and less than was asked for.
  package var isShort = false
  /// The level at which a query was answered; nil when it was not.
  package var consistency: Consistency?
  /// Of the state that a query saw: nothing was committed so long before that is not in it. In nanoseconds; nil: not known.
  package var age: UInt64?

  package init(node: NodeID, leader: NodeID?) {
    self.node = node
    self.leader = leader
  }
}
