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
    /// With the place of what could not be answered when the search had come furthest.
    case none(culprit: Int)
    case givenUp(culprit: Int?)
  }

  struct Memory: Hashable {
    let low: UInt64
    let high: UInt64
  }

  struct Point {
    /// How many events are behind.
    var event = 0
    var state = RegisterStates.nothing
    /// The event before which a value was set last; -1: none was.
    var lastSet = -1
    /// What was carried out last set a value, or swapped though it may as well not have, and nothing came of it yet.
    var isIdle = false
  }

  struct Branch {
    let point: Point
    let trail: Int
    var candidates: [Int]
    var next = 0
  }

  /// Among candidates: that the call that is asked for took effect just before the last value was set.
  static let replacedAtOnce = -1

  var calls: RegisterCalls
  let events: [(call: Int, isCall: Bool)]
  let callPlace: [Int]
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
    var callsPlaces = returns
    var next = [Int](repeating: .max, count: order.count + 1)
    for place in order.indices.reversed() {
      next[place] = next[place + 1]
      if !order[place].isCall {
        returns[order[place].call] = place
        continue
      }
      callsPlaces[order[place].call] = place
      if case .notSwapped = calls.calls[order[place].call].action {
        next[place] = place
      }
    }
    callPlace = callsPlaces
    returnPlace = returns
    nextNotSwapped = next
    board = RegisterBoard(calls)
  }

  func run(maximumSteps: Int) -> Result {
    var branches: [Branch] = []
    var furthest = -1
    var culprit = 0
    var point = Point()
    var isStuck = !isPossible(point)
    if isStuck { culprit = firstImpossible(point) ?? culprit }
    while true {
      if !isStuck {
        guard let asked = advance(&point) else { return .found }
        let isPossible = isPossible(point)
        if point.event > furthest {
          furthest = point.event
          culprit = (isPossible ? nil : firstImpossible(point)) ?? asked
        }
        if !isPossible || !isNew(point) {
          isStuck = true
        } else {
          branches.append(Branch(point: point, trail: board.trail.count, candidates: candidates(asked, point)))
        }
      }
      // The next choice of the newest branch that has one.
      isStuck = true
      while isStuck {
        guard let last = branches.indices.last else {
          return .none(culprit: events.isEmpty ? 0 : calls.calls[culprit].place)
        }
        board.undo(to: branches[last].trail)
        guard branches[last].next < branches[last].candidates.count else {
          branches.removeLast()
          continue
        }
        steps += 1
        guard steps <= maximumSteps, seen.count < Self.configurations else {
          return .givenUp(culprit: furthest < 0 ? nil : calls.calls[culprit].place)
        }
        let branch = branches[last]
        branches[last].next += 1
        point = branch.point
        isStuck = !carryOut(branch.candidates[branch.next], asked: events[point.event].call, &point)
      }
    }
  }

  /// Of the order that was found: places of those that took effect.
  var order: [Int] { board.trail.filter { $0 & 1 == 1 }.map { calls.calls[$0 >> 1].place } }

  /// Whether every answer that is left can still be given.
  private func isPossible(_ point: Point) -> Bool { board.isPossible(reaching: calls.states.reaches(point.state)) }

  /// The first to return of those whose answers cannot be given any more; one that was not called yet, if there is one:
  /// what was called may only have been passed over.
  private func firstImpossible(_ point: Point) -> Int? {
    let texts = board.impossible(reaching: calls.states.reaches(point.state))
    let waiting = calls.calls.indices.filter { calls.calls[$0].needs >= 0 && !board.isDone[$0] }
    func order(_ call: Int) -> (Int, Int) { (callPlace[call] < point.event ? 1 : 0, returnPlace[call]) }
    return waiting.filter { texts.contains(calls.calls[$0].needs) }.min { order($0) < order($1) }
  }

  /// Goes on to the first return whose call is not done, and answers that call; nil at the end.
  private func advance(_ point: inout Point) -> Int? {
    let start = point.event
    defer { if point.event > start { point.isIdle = false } }
    while point.event < events.count {
      let (call, isCall) = events[point.event]
      if isCall {
        board.call(call)
        settle(call, point.state)
      } else if !board.isDone[call] {
        return call
      }
      point.event += 1
    }
    return nil
  }

  private func isNew(_ point: Point) -> Bool {
    var mixed = UInt64(point.event) << 33 | UInt64(point.state) << 1 | (point.isIdle ? 1 : 0)
    // Of the time of the last value nothing matters but which calls it may have replaced at once.
    var latest = -1
    for call in board.changes() where returnPlace[call] != .max && callPlace[call] < point.lastSet && isSet(call) {
      latest = max(latest, callPlace[call])
    }
    mixed = Generator64.next(&mixed) ^ UInt64(latest + 1)
    let first = Generator64.next(&mixed)
    return seen.insert(Memory(low: board.low ^ first, high: board.high ^ Generator64.next(&mixed))).inserted
  }

  func isSet(_ call: Int) -> Bool { if case .set = calls.calls[call].action { true } else { false } }

  /// Carries out a call that changes nothing, if it can be now.
  private func settle(_ call: Int, _ state: Int) {
    switch calls.calls[call].action {
    case .get(let wanted): if wanted == state { board.finish(call) }
    case .notSwapped(let expected): if expected != state { board.finish(call) }
    default: break
    }
  }

  /// All that wait and change nothing.
  func settleAll(_ state: Int) {
    let text = calls.states.exact(state)
    if text >= 0 { for call in board.gets(of: text) { settle(call, state) } }
    for call in board.notSwapped() { settle(call, state) }
  }

  private func carryOut(_ call: Int, asked: Int, _ point: inout Point) -> Bool {
    if call == Self.replacedAtOnce {
      board.finish(asked)
      return true
    }
    let isSet = isSet(call)
    if isSet { replaceUnneeded(before: call, asked: asked, point.event) }
    guard let after = calls.step(point.state, calls.calls[call].action) else { return false }
    board.finish(call)
    point.state = after
    if isSet { point.lastSet = point.event }
    let done = board.trail.count
    settleAll(after)
    point.isIdle = call != asked && board.trail.count == done && (isSet || returnPlace[call] == .max)
    return true
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
