/// When the calls of an open loop are due, in nanoseconds since its beginning, whatever becomes of those before.
///
/// Up to 10,000 calls a second each has a moment of its own. Beyond that a timer for each would cost more than the call:
/// they are due in batches, 100 µs apart or a little more, and a call's wait is counted from its batch's moment.
struct OpenLoopSchedule: Equatable {
  static let rates = 1...10_000_000
  private static let momentsPerSecond: UInt64 = 10_000
  private static let second: UInt64 = 1_000_000_000

  let rate: UInt64
  let batch: UInt64

  init(rate: Int) {
    self.rate = UInt64(rate)
    batch = max(1, (self.rate + Self.momentsPerSecond - 1) / Self.momentsPerSecond)
  }

  /// When call `number` is due, the first being call 0. Rounded up, so that a call is counted at its own moment.
  func due(_ number: UInt64) -> UInt64 {
    let product = (number / batch * batch).multipliedFullWidth(by: Self.second)
    let (quotient, remainder) = rate.dividingFullWidth(product)
    return remainder == 0 ? quotient : quotient + 1
  }

  /// How many calls are due by then.
  func count(dueBy time: UInt64) -> UInt64 {
    let (full, _) = Self.second.dividingFullWidth(time.multipliedFullWidth(by: rate))
    return (full / batch + 1) * batch
  }

  /// How many calls are due before then.
  func count(before time: UInt64) -> UInt64 { time == 0 ? 0 : count(dueBy: time - 1) }
}
