public import LockstepConsensus
public import LockstepRequests

/// What a machine makes of one call of a method that answers with a stream: which changes it gives, and what it makes of
/// each.
public struct MachineStream: Sendable {
  /// Where a stream begins.
  public enum Start: Sendable, Hashable {
    /// With the first change that is carried out after it was opened.
    case now
    /// With the first change at this index or behind it.
    case from(LogIndex)
    /// With the state as it is, and then with all changes behind that.
    case state
  }

  /// Where it begins.
  public let start: Start
  /// The messages that it gives of a change, encoded; none: it is of no concern to this stream.
  public let events: @Sendable (Change) -> [[UInt8]]
  /// Of a stream that begins with the state: the next part of that, encoded, behind `last`, which is the last message of the
  /// part before; nil at first. Nothing: that was all. Called on another thread, with a copy of the machine.
  public let state: @Sendable (any StateMachine, QueryContext, _ last: [UInt8]?) throws(CallStatus) -> [[UInt8]]
  /// What follows on the last part of the state; nil: nothing does.
  public let stateEnd: @Sendable (QueryContext) -> [UInt8]?

  /// A stream of changes alone.
  public init(start: Start, events: @escaping @Sendable (Change) -> [[UInt8]]) {
    self.init(start: start, events: events, state: { _, _, _ in [] }, stateEnd: { _ in nil })
  }

  /// A stream that may begin with the state.
  public init(
    start: Start, events: @escaping @Sendable (Change) -> [[UInt8]],
    state: @escaping @Sendable (any StateMachine, QueryContext, _ last: [UInt8]?) throws(CallStatus) -> [[UInt8]],
    stateEnd: @escaping @Sendable (QueryContext) -> [UInt8]?
  ) {
    self.start = start
    self.events = events
    self.state = state
    self.stateEnd = stateEnd
  }
}
