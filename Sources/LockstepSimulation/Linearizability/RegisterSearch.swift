/// The search for one order of the calls on one key.
///
/// Just in time (Lowe, "Testing for linearizability", 2017): calls and returns are gone through in order of time, and
/// something is carried out only when a return asks for it. What changes nothing is carried out as soon as it can be.
/// A branch ends as soon as some answer can never be given any more: nothing that is left leads back to the text that
/// it needs. Of equal calls the one that returns first is first. Before a value is replaced, whatever nobody will need
/// later takes effect and is replaced at once. A configuration that was seen before is not searched again: it is kept
/// as 128 bits (a sum of random words, one for each call that is done), so that a hundred million of them would have to
/// be looked at before two were likely to be taken for one.
final class RegisterSearch {
  enum Result {
    case found
    case none(furthest: Int)
    case givenUp(steps: Int)
  }

  struct Memory: Hashable {
    let low: UInt64
    let high: UInt64
  }

  struct Branch {
    let event: Int
    let trail: Int
    let state: Int
    var candidates: [Int]
    var next = 0
  }

  var calls: RegisterCalls
  let events: [(call: Int, isCall: Bool)]
  let returnPlace: [Int]
  /// For every event, the place of the first call from there on that needs a text not to be there.
  let nextNotSwapped: [Int]
  var board: RegisterBoard
  var seen: Set<Memory> = []
  var steps = 0
  /// Everything that nobody needs is replaced, though it might have let a `cas` fail: what is found is true, and that
  /// nothing is found is not.
  let isBold: Bool

  /// Bounds the memory: 16 bytes each, in a table at most three quarters full.
  private static let configurations = 6_000_000

  init(_ calls: RegisterCalls, isBold: Bool) {
    self.calls = calls
    self.isBold = isBold
    var order: [(time: UInt64, isCall: Bool, call: Int)] = []
    for (number, call) in calls.calls.enumerated() {
      order.append((call.called, true, number))
      if let returned = call.returned { order.append((returned, false, number)) }
    }
    // At one moment calls come first, so that operations that touch count as concurrent.
    order.sort { left, right in
      if left.time != right.time { return left.time < right.time }
      if left.isCall != right.isCall { return left.isCall }
      return left.call < right.call
    }
    events = order.map { ($0.call, $0.isCall) }
    var returns = [Int](repeating: .max, count: calls.calls.count)
    var next = [Int](repeating: .max, count: order.count + 1)
    for place in order.indices.reversed() {
      next[place] = next[place + 1]
      if !order[place].isCall {
        returns[order[place].call] = place
      } else if case .notSwapped = calls.calls[order[place].call].action {
        next[place] = place
      }
    }
    returnPlace = returns
    nextNotSwapped = next
    board = RegisterBoard(calls)
  }

  func run(maximumSteps: Int) -> Result {
    var branches: [Branch] = []
    var furthest = 0
    var event = 0
    var state = RegisterStates.nothing
    var isStuck = !board.isPossible(reaching: calls.states.reaches(state))
    while true {
      if !isStuck {
        guard let asked = advance(&event, &state) else { return .found }
        furthest = max(furthest, event)
        if !board.isPossible(reaching: calls.states.reaches(state)) || !isNew(event, state) {
          isStuck = true
        } else {
          branches.append(
            Branch(event: event, trail: board.trail.count, state: state, candidates: candidates(asked, state)))
        }
      }
      // The next choice of the newest branch that has one.
      isStuck = true
      while isStuck {
        guard let last = branches.indices.last else {
          return .none(furthest: events.isEmpty ? 0 : calls.calls[events[furthest].call].place)
        }
        board.undo(to: branches[last].trail)
        guard branches[last].next < branches[last].candidates.count else {
          branches.removeLast()
          continue
        }
        steps += 1
        guard steps <= maximumSteps, seen.count < Self.configurations else { return .givenUp(steps: steps) }
        let branch = branches[last]
        branches[last].next += 1
        event = branch.event
        state = branch.state
        isStuck = !carryOut(branch.candidates[branch.next], asked: events[event].call, event, &state)
      }
    }
  }

  /// Goes on to the first return whose call is not done, and answers that call; nil at the end.
  private func advance(_ event: inout Int, _ state: inout Int) -> Int? {
    while event < events.count {
      let (call, isCall) = events[event]
      if isCall {
        board.call(call)
        settle(call, state)
      } else if !board.isDone[call] {
        return call
      }
      event += 1
    }
    return nil
  }

  private func isNew(_ event: Int, _ state: Int) -> Bool {
    var mixed = UInt64(event) << 32 | UInt64(state)
    let first = Generator64.next(&mixed)
    return seen.insert(Memory(low: board.low ^ first, high: board.high ^ Generator64.next(&mixed))).inserted
  }

  /// Carries out a call that changes nothing, if it can be now.
  private func settle(_ call: Int, _ state: Int) {
    switch calls.calls[call].action {
    case .get(let wanted): if wanted == state { board.finish(call) }
    case .notSwapped(let expected): if expected != state { board.finish(call) }
    default: break
    }
  }

  /// All that wait and change nothing.
  private func settleAll(_ state: Int) {
    let text = calls.states.exact(state)
    if text >= 0 { for call in board.gets(of: text) { settle(call, state) } }
    for call in board.notSwapped() { settle(call, state) }
  }

  private func carryOut(_ call: Int, asked: Int, _ event: Int, _ state: inout Int) -> Bool {
    if case .set = calls.calls[call].action { replaceUnneeded(before: call, asked: asked, event) }
    guard let after = calls.step(state, calls.calls[call].action) else { return false }
    board.finish(call)
    state = after
    settleAll(state)
    return true
  }

  /// What sets a value that only waiting gets will ever need takes effect now, and they with it; so nothing later
  /// depends on it. Where a cas that finds another value might come, that value could still be this one.
  private func replaceUnneeded(before call: Int, asked: Int, _ event: Int) {
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

  /// What may be carried out next so that the call that is asked for is done: first it, then what leads to it.
  private func candidates(_ asked: Int, _ state: Int) -> [Int] {
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
    for call in waiting {
      guard first[calls.calls[call].kind] == call, let after = calls.step(state, calls.calls[call].action) else {
        continue
      }
      if call == asked {
        direct.insert(call, at: 0)
      } else if after == wanted {
        direct.append(call)
      } else if calls.calls[call].returned == nil, after == state {
        continue
      } else if text >= 0, calls.states.reaches(after).contains(text) {
        near.append(call)
      } else {
        others.append(call)
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

/// SplitMix64.
enum Generator64 {
  static func next(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
