/// Is there one order of these operations, each between its call and its return, that the model could have carried out?
///
/// The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of Lowe ("Testing for
/// linearizability", 2017): calls and returns stand in a doubly linked list; an operation whose call comes before every
/// return that is left may be next; it is lifted out, and put back when it led nowhere. A set of operations that was
/// carried out before, with the same state after it, is not tried again.
public struct LinearizabilityChecker<Model: SequentialModel> {
  let operations: [TimedOperation<Model.Operation>]
  let maximumSteps: Int

  /// A check of this history. Nothing is searched before `verdict`.
  ///
  /// - Parameters:
  ///   - operations: the history, in any order.
  ///   - maximumSteps: after so many the search is given up.
  public init(_ operations: [TimedOperation<Model.Operation>], maximumSteps: Int = 20_000_000) {
    self.operations = operations
    self.maximumSteps = maximumSteps
  }

  /// A call or a return; linked by places, -1 is none.
  private struct Event {
    let operation: Int
    let isCall: Bool
    var previous: Int
    var next: Int
    /// Of a call, the place of its return; -1 when there is none.
    var partner = -1
  }

  private struct Memory: Hashable {
    let done: [UInt64]
    let state: Model.State
  }

  /// Searches for an order; `.undecided` when the steps did not suffice.
  public func verdict() -> LinearizabilityVerdict {
    var events = linked()
    guard events.count > 1 else { return .linearizable }
    var state = Model.initial
    var done = [UInt64](repeating: 0, count: (operations.count + 63) / 64)
    var lifted: [(event: Int, state: Model.State)] = []
    var seen: Set<Memory> = []
    var steps = 0
    var returnsLeft = operations.count { $0.returned != nil }
    // How far in time the search has come at best: the return at which it was stuck last.
    var stuck = -1
    var place = events[0].next
    while returnsLeft > 0 {
      steps += 1
      guard steps <= maximumSteps else { return .undecided(steps: steps) }
      let event = events[place]
      if event.isCall {
        let number = event.operation
        if let after = Model.step(state, operations[number].operation) {
          done[number / 64] |= 1 << UInt64(number % 64)
          if seen.insert(Memory(done: done, state: after)).inserted {
            lifted.append((place, state))
            state = after
            Self.lift(place, &events)
            if event.partner >= 0 { returnsLeft -= 1 }
            place = events[0].next
            continue
          }
          done[number / 64] &= ~(1 << UInt64(number % 64))
        }
        place = event.next
        if place >= 0 { continue }
      } else if stuck < 0 || isLater(event.operation, than: stuck) {
        stuck = event.operation
      }
      // A return whose operation has not been carried out yet, or the end: what was done last was wrong.
      repeat {
        guard let (last, before) = lifted.popLast() else { return .notLinearizable(at: max(stuck, 0)) }
        let number = events[last].operation
        done[number / 64] &= ~(1 << UInt64(number % 64))
        if events[last].partner >= 0 { returnsLeft += 1 }
        state = before
        Self.putBack(last, &events)
        place = events[last].next
      } while place < 0
    }
    return .linearizable
  }

  private func isLater(_ one: Int, than other: Int) -> Bool {
    (operations[one].returned ?? .max) > (operations[other].returned ?? .max)
  }

  /// The list, in order of time; at one moment calls come first, so that operations that touch count as concurrent.
  private func linked() -> [Event] {
    var order: [(time: UInt64, isCall: Bool, operation: Int)] = []
    for (number, operation) in operations.enumerated() {
      order.append((operation.called, true, number))
      if let returned = operation.returned { order.append((returned, false, number)) }
    }
    order.sort { left, right in
      if left.time != right.time { return left.time < right.time }
      if left.isCall != right.isCall { return left.isCall }
      return left.operation < right.operation
    }
    var events = [Event(operation: -1, isCall: false, previous: -1, next: order.isEmpty ? -1 : 1)]
    var calls = [Int](repeating: -1, count: operations.count)
    for (offset, item) in order.enumerated() {
      let place = offset + 1
      events.append(
        Event(
          operation: item.operation, isCall: item.isCall, previous: offset, next: place == order.count ? -1 : place + 1)
      )
      if item.isCall { calls[item.operation] = place } else { events[calls[item.operation]].partner = place }
    }
    return events
  }

  private static func unlink(_ place: Int, _ events: inout [Event]) {
    let event = events[place]
    events[event.previous].next = event.next
    if event.next >= 0 { events[event.next].previous = event.previous }
  }

  private static func link(_ place: Int, _ events: inout [Event]) {
    let event = events[place]
    events[event.previous].next = place
    if event.next >= 0 { events[event.next].previous = place }
  }

  /// Takes an operation out of the list: its call and its return.
  private static func lift(_ call: Int, _ events: inout [Event]) {
    unlink(call, &events)
    if events[call].partner >= 0 { unlink(events[call].partner, &events) }
  }

  private static func putBack(_ call: Int, _ events: inout [Event]) {
    if events[call].partner >= 0 { link(events[call].partner, &events) }
    link(call, &events)
  }
}
