/// How long a load got no answer with success. A closed loop sends nothing while nobody answers, so its times alone would
/// hide an outage: a few calls waited for it, and those that would have been made meanwhile are missing.
struct ServiceGaps {
  struct Gap: Equatable, Sendable {
    /// In nanoseconds since the measured time began.
    var from: UInt64
    var to: UInt64
    /// Calls that failed in it.
    var failures: Int
    var length: UInt64 { to - from }
  }

  /// Shorter ones are nothing that anybody would call an outage, and are not kept.
  static let shortest: UInt64 = 100_000_000

  private var beginning: UInt64?
  private var last: UInt64 = 0
  private var failuresBefore = 0
  private(set) var longest: UInt64 = 0
  private(set) var kept: [Gap] = []

  mutating func begin(at now: UInt64, failures: Int) {
    (beginning, last, failuresBefore) = (now, now, failures)
  }

  /// A call was answered with success, or the measured time has ended. `failures`: that there were until now.
  mutating func end(at now: UInt64, failures: Int) {
    guard let beginning, now > last else { return }
    let length = now - last
    if length > longest { longest = length }
    if length >= Self.shortest {
      kept.append(Gap(from: last - beginning, to: now - beginning, failures: failures - failuresBefore))
    }
    (last, failuresBefore) = (now, failures)
  }
}

/// The times without service of a whole run.
struct Outages: Sendable, Equatable {
  /// In nanoseconds: the longest time without a success, outage or not.
  var longestGap: UInt64 = 0
  /// So long without any success that it cannot be the pace of the load.
  var gaps: [ServiceGaps.Gap] = []
  /// Of a closed loop: calls that would have been made in them.
  var missed = 0

  private var perNanosecond = 0.0
  private var slots = 0

  init() {}

  /// `usual`: the time of a call to which nothing has happened; with few clients and slow calls a long gap is nothing
  /// unusual. `slots`: calls that may be under way in a closed loop; nil: in an open one calls are due whatever happens, and
  /// none is missed.
  init(_ gaps: ServiceGaps, calls: Int, seconds: Double, usual: UInt64, slots: Int?) {
    longestGap = gaps.longest
    self.gaps = gaps.kept.filter { $0.length / 20 > usual }
    let served = seconds * 1e9 - self.gaps.reduce(0) { $0 + Double($1.length) }
    guard calls > 0, served > 0, let slots else { return }
    perNanosecond = Double(calls) / served
    self.slots = slots
    missed = self.gaps.reduce(0) { $0 + missed(in: $1) }
  }

  /// The calls under way when it began, and those that failed in it, were made, and count by themselves.
  private func missed(in gap: ServiceGaps.Gap) -> Int {
    max(0, Int(Double(gap.length) * perNanosecond) - slots - gap.failures)
  }

  /// The calls that were not made, each with the time that it would have waited for the end of its outage.
  func forEachMissed(_ body: (_ waited: UInt64, _ count: UInt64) -> Void) {
    for gap in gaps {
      let missed = missed(in: gap)
      // They would have come evenly; a thousand steps are finer than the figures.
      let steps = min(missed, 1000)
      for step in 0..<steps {
        let waited = Double(gap.length) * (Double(2 * step + 1) / Double(2 * steps))
        body(UInt64(waited), UInt64(missed / steps + (step < missed % steps ? 1 : 0)))
      }
    }
  }
}
