extension RegisterSearch {
  /// What sets a value that only waiting gets will ever need takes effect now, and they with it; so nothing later
  /// depends on it. Where a cas that finds another value might come, that value could still be this one.
  func replaceUnneeded(before call: Int, asked: Int, _ event: Int) {
    guard isBold || !calls.hasAdds else { return }
    for other in board.changes() {
      guard other != call, other != asked, case .set(let value) = calls.calls[other].action else { continue }
      guard isBold || !mayMakeDifferent(other, before: call, event) else { continue }
      let text = calls.states.exact(value)
      // One that may never have taken effect is of use only to gets that wait for it.
      if calls.calls[other].returned == nil, text < 0 || board.waitingGets[text] == 0 { continue }
      if text >= 0, board.wanted[text] != board.waitingGets[text] { continue }
      if board.areWanted(calls.states.reaches(value), apartFrom: text) { continue }
      board.finish(other)
      settleAll(value)
    }
  }

  /// Whether a cas to come that finds another value than it expects might find the one that this call sets: where the
  /// expected one is set by something that can take effect while this call is still under way.
  private func mayMakeDifferent(_ other: Int, before call: Int, _ event: Int) -> Bool {
    guard nextNotSwapped[event] != .max else { return false }
    guard !calls.hasAppends, returnPlace[other] != .max else { return true }
    func matters(_ setter: Int) -> Bool {
      guard setter != other else { return false }
      switch calls.calls[setter].action {
      case .set(let after), .swap(_, let after), .maySwap(_, let after):
        let text = calls.states.exact(after)
        return text >= 0 && board.laterNotSwapped[text] > 0
      default: return false
      }
    }
    if matters(call) || board.changes().contains(where: matters) { return true }
    return event < returnPlace[other]
      && events[event..<returnPlace[other]].contains { $0.isCall && matters($0.call) }
  }
}
