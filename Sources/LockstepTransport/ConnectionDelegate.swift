/// Hears of everything that happens to the connections of a listener or a link, on their event loop.
///
/// No call comes from within a call of the owner's to a `Connection`, `Listener` or `Link`, so that an owner never finds
/// its own state half changed.
package protocol ConnectionDelegate: AnyObject {
  /// TCP is established and nothing was read yet.
  func connectionOpened(_ connection: Connection)

  /// One frame. The payload is borrowed: it is valid during the call only, and has no alignment.
  func connection(_ connection: Connection, received kind: UInt8, _ payload: UnsafeRawBufferPointer)

  /// The end of a burst of reads that brought at least one frame: the moment to schedule one turn for all of them.
  func connectionReadCompleted(_ connection: Connection)

  /// After `send` has answered `.full`: there is room again.
  func connectionWritabilityChanged(_ connection: Connection)

  /// The peer sends nothing more, and may still read: what it sent has all been handed out. The owner answers what it
  /// owes and then calls `close`; without an owner's word the connection is closed at once.
  func connectionInputEnded(_ connection: Connection)

  /// Exactly once for every connection that was reported open, and the last that is heard of it.
  func connectionClosed(_ connection: Connection, reason: CloseReason)

  /// A connection was closed before it was reported open.
  func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason)

  /// The system gave no connection, as a rule for want of file descriptors. The listener goes on after a moment.
  func listener(_ listener: Listener, acceptFailed reason: String)

  /// A dial came to nothing; the next one follows by itself.
  func link(_ link: Link, dialFailed reason: String)
}

extension ConnectionDelegate {
  package func connectionInputEnded(_ connection: Connection) { connection.close(reason: .peerClosed) }
  package func listener(_ listener: Listener, refused remoteAddress: String, reason: CloseReason) {}
  package func listener(_ listener: Listener, acceptFailed reason: String) {}
  package func link(_ link: Link, dialFailed reason: String) {}
}

/// The listener or link that a connection belongs to.
protocol ConnectionOwner: AnyObject {
  /// False if the connection is not wanted any more; it is then closed without a word to the delegate.
  func connectionOpened(_ connection: Connection) -> Bool
  func connectionEstablished(_ connection: Connection)
  /// Once for every connection, whether it ever opened or not, and before the delegate hears of it.
  func connectionEnded(_ connection: Connection)
}
