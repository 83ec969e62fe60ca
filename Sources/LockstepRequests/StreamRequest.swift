package import LockstepConsensus

/// A call that is answered with a stream, as a listener hands it to the node.
///
/// Borrowed: its bytes are valid during the call that it is passed to.
package struct StreamRequest {
  /// 0: the node's first group.
  package var group: GroupID
  /// "package.Service/Method" in UTF-8.
  package var method: UnsafeRawBufferPointer
  package var payload: UnsafeRawBufferPointer
  /// Where one that was lost goes on; nil: it begins as its payload says.
  package var from: LogIndex?
  /// Bytes that may be sent before more is granted.
  package var credit: Int

  package init(
    group: GroupID, method: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, from: LogIndex?, credit: Int
  ) {
    self.group = group
    self.method = method
    self.payload = payload
    self.from = from
    self.credit = credit
  }
}

/// What became of one entry, or a part of the state that a stream begins with.
package struct StreamItem: Sendable, Hashable {
  package let index: LogIndex
  package let term: Term
  package let isState: Bool
  package let payloads: [[UInt8]]

  package init(index: LogIndex, term: Term, isState: Bool = false, payloads: [[UInt8]]) {
    self.index = index
    self.term = term
    self.isState = isState
    self.payloads = payloads
  }

  /// What it counts against the credit.
  package var credit: Int { payloads.reduce(64) { $0 + $1.count } }
  /// What it takes of a frame, at most.
  package var frameBytes: Int { payloads.reduce(64) { $0 + $1.count + 12 } }
}

/// Where what streams give goes.
package protocol StreamWriter: ReplyWriter {
  /// It is over, or was refused.
  func end(_ stream: UInt64, _ outcome: Outcome, _ evidence: Evidence)

  /// `next`: where the stream would go on if it was lost now; nil: it would begin anew.
  func write(_ items: [StreamItem], of stream: UInt64, next: LogIndex?, from node: NodeID)
}
