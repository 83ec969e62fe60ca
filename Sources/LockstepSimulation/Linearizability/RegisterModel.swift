/// One key: a text, or nothing. Keys are independent of each other, so a history of many is checked key by key
/// (linearizability is local: Herlihy and Wing, 1990).
public enum RegisterModel: SequentialModel {
  /// What a client asks of the key, with what is known of the answer.
  public enum Operation: Sendable, Equatable {
    /// Sets the text.
    case put(String)
    /// What was read; `.unknown` when the answer never came.
    case get(Answer)
    /// With no `expected`, only if there is nothing.
    case compareAndSet(expected: String?, String, Swapped)
    /// Removes the text, if there is one.
    case delete
    /// A whole number is added to the one that the text says; nothing counts as 0. Of what is no number it fails, and
    /// changes nothing. `sum`: what was answered.
    case add(Int64, sum: Answer)
    /// Adds this to the end of the text; nothing counts as an empty text.
    case append(String)
  }

  /// What an operation was answered.
  public enum Answer: Sendable, Equatable {
    /// No answer came: it may have been any.
    case unknown
    /// This text; nil: there was nothing.
    case value(String?)
  }

  /// What a `compareAndSet` was answered.
  public enum Swapped: Sendable, Equatable {
    /// No answer came: it may have set the text or not.
    case unknown
    /// The text was as expected, and was set.
    case yes
    /// The text was not as expected, and was left as it was.
    case no
  }

  /// The text's bytes: two texts are the same if these are, however they look.
  public static let initial: [UInt8]? = nil

  /// See `SequentialModel.step`. An `add` that fails leaves the state as it is, whatever `sum` says.
  public static func step(_ state: [UInt8]?, _ operation: Operation) -> [UInt8]?? {
    switch operation {
    case .put(let value): return .some(Array(value.utf8))
    case .get(.unknown): return .some(state)
    case .get(.value(let read)): return read.map { Array($0.utf8) } == state ? .some(state) : nil
    case .compareAndSet(let expected, let value, let swapped):
      let isEqual = state == expected.map { Array($0.utf8) }
      let after = Array(value.utf8)
      switch swapped {
      case .unknown: return .some(isEqual ? after : state)
      case .yes: return isEqual ? .some(after) : nil
      case .no: return isEqual ? nil : .some(state)
      }
    case .delete: return .some(nil)
    case .add(let delta, let sum):
      guard let number = state.map({ Int64(String(decoding: $0, as: UTF8.self)) }) ?? 0 else { return .some(state) }
      let (after, hasOverflown) = number.addingReportingOverflow(delta)
      guard !hasOverflown else { return .some(state) }
      let text = String(after)
      if case .value(let answered) = sum, answered.map({ Array($0.utf8) }) != Array(text.utf8) { return nil }
      return .some(Array(text.utf8))
    case .append(let more): return .some((state ?? []) + Array(more.utf8))
    }
  }
}

extension RegisterModel.Operation {
  /// The same, its outcome unknown.
  public var weakened: Self {
    switch self {
    case .get: .get(.unknown)
    case .compareAndSet(let expected, let value, _): .compareAndSet(expected: expected, value, .unknown)
    case .add(let delta, _): .add(delta, sum: .unknown)
    case .put, .delete, .append: self
    }
  }

  /// It leaves every state as it is.
  var changesNothing: Bool {
    switch self {
    case .get, .compareAndSet(_, _, .no): true
    case .put, .compareAndSet, .delete, .add, .append: false
    }
  }
}
