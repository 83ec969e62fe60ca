/// The operations on a key that is only added to and read, all additions of one sign, prepared for `CounterSearch`.
///
/// Then the number only ever moves one way, and every answer says where it stood: an addition that answered was carried
/// out from its sum without its own part to its sum. So the answers have but one order, and only between them is
/// something left to find.
struct CounterCalls {
  /// What answered: an addition, or a get, which ends where it starts.
  struct Answer {
    /// In the history.
    let place: Int
    let start: Int
    let end: Int
    let called: UInt64
    let returned: UInt64
  }

  /// Additions of one size of which nobody knows whether they took effect.
  struct Kind {
    let size: Int
    /// In order of their calls.
    var calls: [(called: UInt64, place: Int)] = []

    /// How many had been called by then.
    func count(until time: UInt64) -> Int {
      var (low, high) = (0, calls.count)
      while low < high {
        let middle = (low + high) / 2
        if calls[middle].called <= time { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  /// In the only order that the numbers allow.
  private(set) var answers: [Answer] = []
  /// From the largest to the smallest.
  private(set) var kinds: [Kind] = []
  /// An answer that no such key gives.
  private(set) var impossible: Int?

  /// Nil: for these the search is not made.
  init?(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    guard let sign = Self.sign(operations) else { return nil }
    var unknown: [Int: Kind] = [:]
    // A zero where there was nothing before.
    var readsZero = false
    var addsZero = false
    for (place, timed) in operations.enumerated() {
      let size: Int
      let said: RegisterModel.Answer
      switch timed.operation {
      case .add(let delta, let sum): (size, said) = (sign * Int(delta), sum)
      case .get(let read): (size, said) = (0, read)
      default: return nil
      }
      let isGet = if case .get = timed.operation { true } else { false }
      if !isGet, size == 0 { addsZero = true }
      guard case .value(let text) = said else {
        guard timed.returned == nil || isGet else { return nil }
        if size > 0 { unknown[size, default: Kind(size: size)].calls.append((timed.called, place)) }
        continue
      }
      guard let returned = timed.returned else {
        guard isGet else { return nil }
        continue
      }
      let number = isGet && text == nil ? 0 : Self.number(text)
      if number == 0 { readsZero = true }
      guard let number, number.magnitude < Self.limit, sign * number >= size, !(isGet && text == "0") || addsZero else {
        impossible = impossible ?? place
        continue
      }
      answers.append(
        Answer(
          place: place, start: sign * number - size, end: sign * number, called: timed.called, returned: returned))
    }
    guard !(addsZero && readsZero) else { return nil }
    answers.sort { ($0.start, $0.end, $0.called) < ($1.start, $1.end, $1.called) }
    kinds = unknown.values.sorted { $0.size > $1.size }
    for kind in kinds.indices { kinds[kind].calls.sort { ($0.called, $0.place) < ($1.called, $1.place) } }
  }

  /// As an addition would have left it.
  private static func number(_ text: String?) -> Int? {
    guard let text, let number = Int(text), String(number) == text else { return nil }
    return number
  }

  /// Far from where an addition would fail.
  private static let limit = UInt(1) << 60

  /// Of all additions; nil when they have not the same, or add too much.
  private static func sign(_ operations: [TimedOperation<RegisterModel.Operation>]) -> Int? {
    var (up, down) = (UInt(0), UInt(0))
    for timed in operations {
      guard case .add(let delta, _) = timed.operation else { continue }
      guard delta.magnitude < limit / UInt(operations.count) else { return nil }
      if delta > 0 { up += UInt(delta.magnitude) } else { down += UInt(delta.magnitude) }
    }
    guard up == 0 || down == 0, up + down > 0 else { return nil }
    return up > 0 ? 1 : -1
  }
}
