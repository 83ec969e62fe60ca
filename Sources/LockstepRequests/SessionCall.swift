/// A call of the sessions' own service, `lockstep.session.v1.Sessions`, which every node offers beside those that it hosts.
package enum SessionCall: Sendable, Hashable {
  /// How long it is to be kept without use; 0: as long as is usual.
  case open(patienceMilliseconds: UInt64)
  case keepAlive(session: UInt64)
  case resolve(session: UInt64, sequence: UInt64)
  case close(session: UInt64)
  /// Bytes that are no message of the method.
  case invalid
}
