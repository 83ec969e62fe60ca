/// What may never have taken effect: whether anybody could have noticed.
extension RegisterCalls {
  /// What the swaps compare with that may never have taken effect; with no return a cas that did not swap may as well
  /// have had no effect at all. Where only texts can tell, one is of use only if what it sets is: to somebody who
  /// answered, or to another one that is of use.
  static func expectedByUnknown(
    _ operations: [TimedOperation<RegisterModel.Operation>], _ known: Set<[UInt8]>, isAnyOfUse: Bool
  ) -> [String] {
    var found: [String] = []
    var waiting: [[UInt8]: [String]] = [:]
    var ofUse = known
    for timed in operations where timed.returned == nil {
      guard case .compareAndSet(let expected?, let text, let swapped) = timed.operation, swapped != .no else {
        continue
      }
      if isAnyOfUse { found.append(expected) } else { waiting[Array(text.utf8), default: []].append(expected) }
    }
    var next = Array(known)
    while let text = next.popLast() {
      for expected in waiting.removeValue(forKey: text) ?? [] {
        found.append(expected)
        let bytes = Array(expected.utf8)
        if ofUse.insert(bytes).inserted { next.append(bytes) }
      }
    }
    return found
  }

  /// Of an operation that may never have taken effect: whether nobody could have noticed.
  func isUnseen(_ action: Action, _ longest: [[UInt8]]) -> Bool {
    guard !hasAdds else { return false }
    switch action {
    // From a text that nobody can tell from others to another one.
    case .swap(RegisterStates.lost, RegisterStates.lost), .maySwap(RegisterStates.lost, RegisterStates.lost):
      return !hasAppends
    default: break
    }
    guard !hasNotSwapped else { return false }
    switch action {
    case .set(let after), .swap(_, let after), .maySwap(_, let after): return after == RegisterStates.lost
    case .append(let number):
      let text = appendTexts[number]
      return !longest.contains { RegisterStates.end(of: text, in: $0) != nil }
    case .get, .notSwapped, .add: return false
    }
  }
}
