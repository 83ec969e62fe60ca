/// Answers that do not fit into an order that was found without them: the ones that, added, are likely to leave none.
///
/// Which ones are looked at decides how soon few are found that offend, and nothing else; so this need not be exact.
struct Misfits {
  /// Took effect, but too late.
  private var late: [Int] = []
  /// Took no effect, where something else was there before and after.
  private var missing: [Int] = []
  /// Read what was not there.
  private var wrong: [Int] = []

  /// From one value that was set to the next.
  private struct Reign {
    let start: UInt64
    /// When somebody last needed what it had become.
    var end: UInt64
    var texts: [(text: [UInt8]?, from: UInt64)]
  }

  /// - Parameter order: places of those that took effect.
  init(operations: [TimedOperation<RegisterModel.Operation>], known: Set<Int>, order: [Int]) {
    var reigns = [Reign(start: 0, end: 0, texts: [(nil, 0)])]
    var state = RegisterModel.initial
    var times: [Int: UInt64] = [:]
    var now: UInt64 = 0
    for place in order {
      now = max(now, operations[place].called)
      times[place] = now
      let isKnown = known.contains(place)
      if let after = RegisterModel.step(state, operations[place].operation) { state = after }
      switch operations[place].operation {
      case .put, .delete: reigns.append(Reign(start: now, end: 0, texts: [(state, now)]))
      case .get, .compareAndSet(_, _, .no): if isKnown { reigns[reigns.count - 1].end = now }
      case .append, .compareAndSet, .add:
        reigns[reigns.count - 1].end = now
        reigns[reigns.count - 1].texts.append((state, now))
      }
    }
    for (place, timed) in operations.enumerated() where !known.contains(place) {
      guard let returned = timed.returned, timed.called <= now else { continue }
      if let time = times[place] {
        if time > returned { late.append(place) }
        continue
      }
      // The reign in which it was called: the last that began before.
      let number = Self.last(reigns) { $0.start <= timed.called }
      let reign = reigns[number]
      switch timed.operation {
      case .put, .delete, .append, .add, .compareAndSet(_, _, .yes):
        if returned < reign.end { missing.append(place) }
      case .get(.value(let read)):
        let end = number + 1 < reigns.count ? reigns[number + 1].start : .max
        let bytes = read.map { Array($0.utf8) }
        if returned < end, !reign.texts.contains(where: { $0.text == bytes && $0.from <= returned }) {
          wrong.append(place)
        }
      case .get(.unknown), .compareAndSet: break
      }
    }
    func isSooner(_ one: Int, _ other: Int) -> Bool { operations[one].returned! > operations[other].returned! }
    missing.sort(by: isSooner)
    wrong.sort(by: isSooner)
  }

  private static func last(_ reigns: [Reign], _ holds: (Reign) -> Bool) -> Int {
    var (low, high) = (0, reigns.count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if holds(reigns[middle]) { low = middle } else { high = middle - 1 }
    }
    return low
  }

  /// The first of them that are to be added; empty when all fit, as far as can be told.
  func chosen(_ count: Int) -> [Int] {
    if !late.isEmpty { return late }
    return Array((missing.isEmpty ? wrong : missing).prefix(count))
  }
}
