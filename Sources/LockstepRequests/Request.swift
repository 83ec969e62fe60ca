package import LockstepConsensus

/// A call as a listener hands it to the node: one or more requests of one method. A batch is a call of several, and
/// each of them becomes an entry of its own.
///
/// Borrowed: its bytes are valid during the call that it is passed to.
package struct Request {
  /// 0: the node's first group.
  package var group: GroupID
  /// "package.Service/Method" in UTF-8.
  package var method: UnsafeRawBufferPointer
  package var payloads: Payloads
  package var options: RequestOptions
  /// The call as it came off the wire, for links that pass it on as it is; nil when it came in no such form.
  package var encoded: UnsafeRawBufferPointer?
  /// Of a query at level `session`.
  package var token: ReadToken?

  package init(
    group: GroupID, method: UnsafeRawBufferPointer, payloads: Payloads, options: RequestOptions,
    encoded: UnsafeRawBufferPointer? = nil, token: ReadToken? = nil
  ) {
    self.token = token
    self.group = group
    self.method = method
    self.payloads = payloads
    self.options = options
    self.encoded = encoded
  }
}

/// What a call asks for beside its request.
package struct RequestOptions: Sendable, Hashable {
  package var acknowledgement = Acknowledgement.quorum
  package var consistency = Consistency.linearizable
  /// 0: the node's own limit.
  package var timeoutMilliseconds: UInt64 = 0
  /// 0: none.
  package var session: UInt64 = 0
  /// Of a batch, that of its first request: the others follow.
  package var sequence: UInt64 = 0
  /// A command of the sessions' own service, not of a machine's.
  package var isForSessions = false
  /// Another node has passed it on: it is carried out here or refused, and never passed on again.
  package var isForwarded = false

  package init() {}
}

/// The payloads of a call in their order, borrowed.
package enum Payloads {
  case one(UnsafeRawBufferPointer)
  /// A batch, however many it has: ranges of these bytes.
  case batch(in: UnsafeRawBufferPointer, [Range<Int>])

  package var isBatch: Bool { if case .batch = self { true } else { false } }

  package var count: Int {
    switch self {
    case .one: 1
    case .batch(_, let ranges): ranges.count
    }
  }

  /// Bytes of all together.
  package var bytes: Int {
    switch self {
    case .one(let payload): payload.count
    case .batch(_, let ranges): ranges.reduce(0) { $0 + $1.count }
    }
  }

  package subscript(position: Int) -> UnsafeRawBufferPointer {
    switch self {
    case .one(let payload): payload
    case .batch(let bytes, let ranges): UnsafeRawBufferPointer(rebasing: bytes[ranges[position]])
    }
  }
}
