extension ClusterSearch {
  enum Ordered {
    case found([Int])
    /// With the number of a swap that failed, and would not have in this order.
    case withoutPlace(Int)
    case wrong
  }

  /// The order with the swaps that failed, each as soon as it can be. It is held against the model and the times, so that
  /// what is found is true whatever came before.
  func ordered(_ order: [Int]) -> Ordered {
    let calls = order.filter { prepared.calls[$0].place >= 0 }
    let placed = Set(calls)
    var waiting = prepared.notSwapped.map(\.call).filter { !placed.contains($0) }
    waiting.sort { prepared.calls[$0].called < prepared.calls[$1].called }
    // The first return from each on.
    var returns = [Int](repeating: .max, count: calls.count + 1)
    for place in calls.indices.reversed() {
      returns[place] = min(returns[place + 1], prepared.calls[calls[place]].returned)
    }
    var state = RegisterModel.initial
    var latestCall = -1
    var found: [Int] = []
    func carryOut(_ call: Int) -> Bool {
      let place = prepared.calls[call].place
      guard prepared.calls[call].returned > latestCall,
        let after = RegisterModel.step(state, operations[place].operation)
      else { return false }
      state = after
      latestCall = max(latestCall, prepared.calls[call].called)
      found.append(place)
      return true
    }
    for next in 0...calls.count {
      // It must be after all that returned before its call; where it may be, sooner is better.
      var left: [Int] = []
      for (position, one) in waiting.enumerated() {
        let called = prepared.calls[one].called
        guard returns[next] > called else {
          left += waiting[position...]
          break
        }
        let isAfterOther = left.contains { prepared.calls[$0].returned < called }
        if isAfterOther || !carryOut(one) { left.append(one) }
      }
      waiting = left
      guard next < calls.count else { break }
      let called = prepared.calls[calls[next]].called
      if let late = waiting.first(where: { prepared.calls[$0].returned < called }) { return .withoutPlace(late) }
      guard carryOut(calls[next]) else { return .wrong }
    }
    return waiting.first.map { .withoutPlace($0) } ?? .found(found)
  }
}
