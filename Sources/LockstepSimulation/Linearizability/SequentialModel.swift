/// What an object does when it is alone: the specification that a concurrent history is held against.
public protocol SequentialModel: Sendable {
  /// What is asked of the object, with what it answered.
  associatedtype Operation: Sendable
  /// What the object is between two operations: all that its later answers depend on.
  associatedtype State: Hashable & Sendable

  /// The state before the first operation.
  static var initial: State { get }
  /// The state after the operation, or nil when it could not have answered from this state as it has. An operation
  /// whose outcome is unknown may have had any answer.
  static func step(_ state: State, _ operation: Operation) -> State?
}

/// One operation of a history: from its call to its return, in any unit of time.
public struct TimedOperation<Operation: Sendable>: Sendable {
  /// What was asked, with the answer.
  public let operation: Operation
  /// When it was called, in the unit of `returned`.
  public let called: UInt64
  /// nil: it never returned, or nobody knows whether it took effect. It may do so at any time after the call, or never.
  public let returned: UInt64?

  /// An operation of a history; `returned` is nil when its outcome is not known.
  public init(_ operation: Operation, called: UInt64, returned: UInt64?) {
    self.operation = operation
    self.called = called
    self.returned = returned
  }
}

/// What the search for an order came to.
public enum LinearizabilityVerdict: Sendable, Equatable {
  /// There is such an order.
  case linearizable
  /// The longest part of the history, up to a return, that still fits into one order leaves out this operation (its
  /// place in the history).
  case notLinearizable(at: Int)
  /// The search was given up after so many steps.
  case undecided(steps: Int)
}
