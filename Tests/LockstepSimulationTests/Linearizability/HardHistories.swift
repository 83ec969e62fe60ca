import LockstepSimulation

/// Histories on one key of many clients who all call all the time: each operation overlaps with one of every other client.
struct HardHistory: CustomStringConvertible, Sendable {
  enum Kind: String, CaseIterable { case puts, appends, swaps, mixed, adds }
  enum Defect: String, CaseIterable { case none, wrongRead, lostWrite, staleRead }

  var kind = Kind.puts
  var defect = Defect.none
  /// In percent of the history, where the defect is.
  var place = 50
  /// In percent, the operations whose outcomes nobody knows.
  var unknown = 0
  /// How many different values are written; 0: each is written once. Of adds, the largest.
  var values = 0
  var operations = 4_000
  var clients = 50
  var seed: UInt64 = 1

  var description: String {
    "\(kind) \(defect) at \(place) %, \(unknown) % unknown, \(values == 0 ? "all" : "\(values)") values, seed \(seed)"
  }

  typealias Operation = RegisterModel.Operation

  private enum Step {
    case call(client: Int)
    case effect(operation: Int)
  }

  private struct Planned {
    var operation: Operation
    let called: UInt64
    var returned: UInt64?
    var isLost = false
  }

  func generated() -> [TimedOperation<Operation>] {
    var random = SimulationRandom(seed: seed)
    var steps: [UInt64: Step] = [:]
    var heap: [UInt64] = []
    func plan(_ step: Step, _ time: UInt64) {
      var time = time
      while steps[time] != nil { time += 1 }
      steps[time] = step
      heap.insert(time, at: heap.firstIndex { $0 < time } ?? heap.count)
    }
    for client in 0..<clients { plan(.call(client: client), UInt64(random.below(1_000)) + 1) }
    var planned: [Planned] = []
    var texts: [String?] = [nil]
    var isBroken = defect == .none
    while let now = heap.popLast(), let step = steps.removeValue(forKey: now) {
      switch step {
      case .call(let client):
        guard planned.count < operations else { continue }
        let number = planned.count
        let duration = UInt64(random.within(1_000...20_000))
        var effect = now + 1 + UInt64(random.below(Int(duration)))
        var one = Planned(operation: drawn(number, texts.last!, &random), called: now, returned: now + duration + 2)
        if random.below(100) < unknown {
          one.returned = nil
          if random.oneIn(2) { one.isLost = true } else { effect += UInt64(random.below(200_000)) }
        }
        planned.append(one)
        plan(.effect(operation: number), effect)
        plan(.call(client: client), now + duration + 3 + UInt64(random.below(100)))
      case .effect(let number):
        guard !planned[number].isLost else { continue }
        var text = texts.last!
        let isDue = !isBroken && planned[number].returned != nil && number >= operations * place / 100
        apply(&planned[number], &text, texts, isDue: isDue, &isBroken)
        if text != texts.last! { texts.append(text) }
      }
    }
    return planned.map { TimedOperation($0.operation, called: $0.called, returned: $0.returned) }
  }

  private func drawn(_ number: Int, _ text: String?, _ random: inout SimulationRandom) -> Operation {
    let value = values > 0 ? "v\(random.below(values))" : "v\(number)"
    switch (kind, random.below(10)) {
    case (_, 0..<5): return .get(.unknown)
    case (.puts, _), (.swaps, 5): return .put(value)
    case (.adds, _): return .add(Int64(1 + random.below(max(1, values))), sum: .unknown)
    case (.appends, _): return .append(values > 0 ? "\(random.below(values))," : "\(number),")
    case (.swaps, _):
      let expected = random.oneIn(4) && values > 0 ? "v\(random.below(values))" : text
      return .compareAndSet(expected: expected, value, .unknown)
    case (.mixed, 5): return .put(value + ",")
    case (.mixed, _): return .append(values > 0 ? "\(random.below(values))," : "\(number),")
    }
  }

  private func apply(
    _ one: inout Planned, _ text: inout String?, _ texts: [String?], isDue: Bool, _ isBroken: inout Bool
  ) {
    let isKnown = one.returned != nil
    switch one.operation {
    case .get:
      guard isKnown else { return }
      var read = text
      if isDue, defect == .wrongRead {
        read = values > 0 ? texts.first { $0 != text } ?? "?" : (text ?? "") + "?"
        isBroken = true
      } else if isDue, defect == .staleRead, texts.count > 200 {
        read = texts[texts.count - 200]
        isBroken = true
      }
      one.operation = .get(.value(read))
    case .put(let value):
      if isDue, defect == .lostWrite { isBroken = true } else { text = value }
    case .append(let more):
      if isDue, defect == .lostWrite { isBroken = true } else { text = (text ?? "") + more }
    case .compareAndSet(let expected, let value, _):
      let swaps = expected == text
      if isKnown { one.operation = .compareAndSet(expected: expected, value, swaps ? .yes : .no) }
      guard swaps else { return }
      if isDue, defect == .lostWrite { isBroken = true } else { text = value }
    case .add(let delta, _):
      let sum = String((text.flatMap { Int64($0) } ?? 0) + delta)
      if isKnown { one.operation = .add(delta, sum: .value(sum)) }
      if isDue, defect == .lostWrite { isBroken = true } else { text = sum }
    case .delete: break
    }
  }
}
