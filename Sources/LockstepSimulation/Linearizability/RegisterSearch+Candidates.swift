extension RegisterSearch {
  /// What may be carried out next so that the call that is asked for is done: first it, then what leads to it.
  ///
  /// Values are replaced at once where that does no harm: what sets one and is not carried out by its return may have
  /// taken effect just before another was set, if one was since its call. So a value that nothing came of is not replaced
  /// by what is carried out next: it would have been left for later.
  func candidates(_ asked: Int, _ point: Point) -> [Int] {
    let state = point.state
    var direct: [Int] = []
    var near: [Int] = []
    var others: [Int] = []
    let wanted: Int =
      switch calls.calls[asked].action {
      case .get(let wanted), .swap(let wanted, _): wanted
      default: -1
      }
    let text = wanted >= 0 ? calls.states.exact(wanted) : -1
    let waiting = board.changes()
    steps += waiting.count / 16
    let first = firstOfKinds(waiting)
    let mayReplace = waiting.contains { isSet($0) && returnPlace[$0] != .max && callPlace[$0] >= point.lastSet }
    for call in waiting {
      guard first[calls.calls[call].kind] == call, let after = calls.step(state, calls.calls[call].action) else {
        continue
      }
      if point.isIdle, isSet(call) { continue }
      if call == asked {
        direct.insert(call, at: 0)
      } else if after == wanted {
        direct.append(call)
      } else if calls.calls[call].returned == nil, after == state, !(mayReplace && isSet(call)) {
        continue
      } else if text >= 0, calls.states.reaches(after).contains(text) {
        near.append(call)
      } else {
        others.append(call)
      }
    }
    if case .set(let value) = calls.calls[asked].action, callPlace[asked] < point.lastSet {
      let text = calls.states.exact(value)
      if text >= 0, board.waitingGets[text] > 0 {
        direct.append(Self.replacedAtOnce)
      } else {
        direct.insert(Self.replacedAtOnce, at: 0)
      }
    }
    return direct + near + others
  }

  /// Of equal calls, the one that returns first.
  private func firstOfKinds(_ waiting: [Int]) -> [Int: Int] {
    var first: [Int: Int] = [:]
    for call in waiting {
      let kind = calls.calls[call].kind
      if let other = first[kind], (returnPlace[other], other) < (returnPlace[call], call) { continue }
      first[kind] = call
    }
    return first
  }
}
