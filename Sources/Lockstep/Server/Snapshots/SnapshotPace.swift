/// How much a snapshot leaves to everything else. It begins as the last of all, and rests as long as it has worked; on a
/// machine that has nothing left for such a one it would never end, and the log behind it grow all the while. So one that
/// stays below the least rate for a while gets ahead a step, and another, up to where it is like all others. A value;
/// whoever owns it says what time it is, in nanoseconds.
struct SnapshotPace {
  /// Bytes in a second.
  static let leastRate: UInt64 = 8 << 20
  /// For so long it is watched before it gets ahead.
  static let window: UInt64 = 10_000_000_000

  /// A step that took longer was held up rather than at work, and a node that stops waits for the end of a rest.
  static let longestRest: UInt64 = 250_000_000

  /// The rest: in hundredths of the time for which it has worked.
  private static let steps: [(niceness: Int32, rest: UInt64)] = [(19, 100), (14, 50), (9, 25), (4, 10), (0, 0)]

  private var step = 0
  private var since: UInt64
  private var bytes: UInt64 = 0

  init(now: UInt64) { since = now }

  var niceness: Int32 { Self.steps[step].niceness }
  var isLikeAllOthers: Bool { step == Self.steps.count - 1 }

  /// So many bytes were done in this time. Returns how long to rest, and the rate, in bytes a second, when it was too low
  /// for so long that another step is taken.
  mutating func worked(_ count: Int, from start: UInt64, to end: UInt64) -> (rest: UInt64, tooSlow: UInt64?) {
    bytes += UInt64(max(0, count))
    var tooSlow: UInt64?
    let watched = end &- since
    if end > since, watched >= Self.window {
      // In milliseconds: no count of bytes is so large that this would not fit.
      let rate = bytes / (watched / 1_000_000) * 1000
      if rate < Self.leastRate, !isLikeAllOthers {
        step += 1
        tooSlow = rate
      }
      (since, bytes) = (end, 0)
    }
    let time = end > start ? min(end - start, Self.window) : 0
    return (min(time / 100 * Self.steps[step].rest, Self.longestRest), tooSlow)
  }
}
