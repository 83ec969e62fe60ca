import Glibc

/// The operations on one key, prepared for the search: what answers nothing and changes nothing is gone, texts are
/// states, and equal operations have one class.
struct RegisterCalls {
  enum Action {
    /// Possible in this state only; changes nothing.
    case get(Int)
    /// Possible in every state but this; changes nothing.
    case notSwapped(Int)
    /// Leads to this state from every other.
    case set(Int)
    case swap(expected: Int, to: Int)
    /// Not known whether it swapped.
    case maySwap(expected: Int, to: Int)
    case append(Int)
    case add(Int64, sum: [UInt8]?)
  }

  struct Call {
    let action: Action
    /// Its place in the history.
    let place: Int
    let called: UInt64
    let returned: UInt64?
    /// Equal for operations that are the same but for their times.
    let kind: Int
    /// The seen text that it needs; -1 for none.
    let needs: Int
    /// The same, or the text with which it may swap: whoever sets that is of use to it.
    let wants: Int
    /// The text that it needs not to be there; -1 for none.
    let avoids: Int
    /// The seen texts for which it can be the new beginning.
    let opens: BitSet
  }

  private(set) var calls: [Call] = []
  var states: RegisterStates
  private(set) var appendTexts: [[UInt8]] = []
  private(set) var hasNotSwapped = false
  private(set) var hasAdds = false
  private(set) var hasAppends = false
  /// Places in the history of what has no answer that counts, and no effect that anybody could have seen.
  private(set) var leftOut: Set<Int> = []

  init(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    var seen: [[UInt8]] = []
    var known: Set<[UInt8]> = []
    var appends = false
    func see(_ text: String?) {
      guard let text else { return }
      let bytes = Array(text.utf8)
      if known.insert(bytes).inserted { seen.append(bytes) }
    }
    for timed in operations {
      switch timed.operation {
      case .get(.value(let text)): if timed.returned != nil { see(text) }
      case .compareAndSet(let expected, _, let swapped):
        if timed.returned != nil { see(expected) }
        if swapped == .no, timed.returned != nil { hasNotSwapped = true }
      case .append: appends = true
      case .add: hasAdds = true
      case .get(.unknown), .put, .delete: break
      }
    }
    for expected in Self.expectedByUnknown(
      operations, known, isAnyOfUse: appends || hasAdds)
    { see(expected) }
    seen.sort { RegisterStates.compare($0[...], $1[...]) < 0 }
    hasAppends = appends
    states = RegisterStates(seen: seen, appends: appends, keepsAll: hasAdds)
    take(operations, seen, appends)
  }

  private struct Kind: Hashable {
    let tag: Int
    let first: Int
    let second: Int
    let sum: [UInt8]?
  }

  private mutating func take(
    _ operations: [TimedOperation<RegisterModel.Operation>], _ seen: [[UInt8]], _ appends: Bool
  ) {
    var kinds: [Kind: Int] = [:]
    var appendNumbers: [[UInt8]: Int] = [:]
    var valueStates: [[UInt8]: Int] = [:]
    func state(_ text: String?) -> Int {
      guard let text else { return RegisterStates.nothing }
      let bytes = Array(text.utf8)
      if let known = valueStates[bytes] { return known }
      let found = states.state(bytes)
      valueStates[bytes] = found
      return found
    }
    // What is the beginning of another holds nothing that the other does not.
    let longest = seen.indices.filter { $0 + 1 == seen.count || !RegisterStates.begins(seen[$0 + 1], with: seen[$0]) }
      .map { seen[$0] }
    let none = BitSet(count: states.seenCount)
    for (place, timed) in operations.enumerated() {
      var needs = -1
      var wants = -1
      var avoids = -1
      var opens = none
      let action: Action
      let kind: Kind
      switch timed.operation {
      case .get(let answer):
        guard case .value(let text) = answer, timed.returned != nil else {
          leftOut.insert(place)
          continue
        }
        let wanted = state(text)
        (action, needs) = (.get(wanted), states.exact(wanted))
        kind = Kind(tag: 0, first: wanted, second: 0, sum: nil)
      case .put(let text):
        let after = state(text)
        (action, opens) = (.set(after), states.reaches(after))
        kind = Kind(tag: 1, first: after, second: 0, sum: nil)
      case .delete:
        (action, opens) = (.set(RegisterStates.nothing), states.reaches(RegisterStates.nothing))
        kind = Kind(tag: 1, first: RegisterStates.nothing, second: 0, sum: nil)
      case .compareAndSet(let expectedText, let text, let swapped):
        if swapped == .no, timed.returned == nil {
          leftOut.insert(place)
          continue
        }
        let (expected, after) = (state(expectedText), state(text))
        switch swapped {
        case .no: action = .notSwapped(expected)
        case .yes:
          (action, needs, opens) = (
            .swap(expected: expected, to: after), timed.returned == nil ? -1 : states.exact(expected),
            states.reaches(after)
          )
        case .unknown: (action, opens) = (.maySwap(expected: expected, to: after), states.reaches(after))
        }
        if swapped == .no { avoids = states.exact(expected) } else { wants = states.exact(expected) }
        kind = Kind(tag: swapped == .no ? 2 : swapped == .yes ? 3 : 4, first: expected, second: after, sum: nil)
      case .append(let text):
        let bytes = Array(text.utf8)
        let number = appendNumbers[bytes] ?? appendTexts.count
        if number == appendTexts.count {
          appendNumbers[bytes] = number
          appendTexts.append(bytes)
        }
        action = .append(number)
        kind = Kind(tag: 5, first: number, second: 0, sum: nil)
      case .add(let delta, let answer):
        var sum: [UInt8]?
        if case .value(let text) = answer { sum = text.map { Array($0.utf8) } ?? [0x6e, 0x69, 0x6c] }
        action = .add(delta, sum: sum)
        if let sum {
          let after = states.state(sum)
          opens = states.reaches(after)
        } else {
          for (offset, text) in seen.enumerated()
          where appends || Int64(String(decoding: text, as: UTF8.self)) != nil { opens.insert(offset + 1) }
        }
        kind = Kind(tag: 6, first: Int(delta), second: 0, sum: sum)
      }
      if timed.returned == nil, isUnseen(action, longest) {
        leftOut.insert(place)
        continue
      }
      let number = kinds[kind] ?? kinds.count
      kinds[kind] = number
      calls.append(
        Call(
          action: action, place: place, called: timed.called, returned: timed.returned, kind: number, needs: needs,
          wants: max(needs, wants), avoids: avoids, opens: opens))
    }
  }

  /// The state after the call, or nil if it could not have answered so.
  mutating func step(_ state: Int, _ action: Action) -> Int? {
    switch action {
    case .get(let wanted): return state == wanted ? state : nil
    case .notSwapped(let expected): return state == expected ? nil : state
    case .set(let after): return after
    case .swap(let expected, let after): return state == expected ? after : nil
    case .maySwap(let expected, let after): return state == expected ? after : state
    case .append(let number): return states.append(appendTexts[number], number: number, to: state)
    case .add(let delta, let sum):
      var number: Int64 = 0
      if state != RegisterStates.nothing {
        guard let said = Int64(String(decoding: states.bytes(state), as: UTF8.self)) else { return state }
        number = said
      }
      let (after, hasOverflown) = number.addingReportingOverflow(delta)
      guard !hasOverflown else { return state }
      let text = Array(String(after).utf8)
      if let sum, sum != text { return nil }
      return states.state(text)
    }
  }
}
