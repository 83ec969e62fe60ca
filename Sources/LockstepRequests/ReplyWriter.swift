/// Where the answers to calls go: to one client's connection, to the node that has passed calls on, or to what a test
/// looks at. Each request of a call is answered once. All of it happens on the node's loop.
package protocol ReplyWriter: AnyObject {
  /// Set by the node when something was handed over in this turn, cleared by `flush`.
  var isFlushDue: Bool { get set }

  /// False while so much waits to be read that a query had better wait here, and that a long reply to a command, which
  /// cannot wait, is left out.
  var hasRoom: Bool { get }

  /// Bytes of the longest reply that can be told at all.
  var maximumReplyBytes: Int { get }

  /// What became of the request at `position` of this call, counted from 0.
  func write(_ outcome: Outcome, position: Int, of call: UInt64, _ evidence: Evidence)

  /// The call as a whole has come to nothing: none of its requests has an answer of its own.
  func refuse(_ call: UInt64, _ outcome: Outcome, _ evidence: Evidence)

  /// The leader's answer to the whole call, in the form in which `Request.encoded` is a call.
  func pass(_ answer: UnsafeRawBufferPointer, to call: UInt64)

  /// Sends what was handed over in this turn.
  func flush()
}

/// Who waits for the answer to one request.
package struct ReplyTarget {
  package let writer: any ReplyWriter
  package let call: UInt64
  /// Of the request in its call.
  package var position: Int

  package init(_ writer: any ReplyWriter, call: UInt64, position: Int = 0) {
    self.writer = writer
    self.call = call
    self.position = position
  }
}
