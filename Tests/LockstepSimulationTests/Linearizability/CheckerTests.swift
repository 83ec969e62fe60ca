import LockstepSimulation
import Testing

private typealias Timed = TimedOperation<RegisterModel.Operation>
private typealias Checker = RegisterChecker

@Suite("Linearizability")
struct CheckerTests {
  @Test("linearizability: the verdict on every labelled history", arguments: LabelledHistories.names)
  func labelled(name: String) throws {
    let expected: Bool = try #require(LabelledHistories.verdicts[name] as Bool?)
    let verdicts = try LabelledHistories.operations(name).sorted { $0.key < $1.key }.map { Checker($0.value).verdict() }
    #expect(verdicts.allSatisfy { $0 == .linearizable } == expected)
    #expect(verdicts.allSatisfy { if case .undecided = $0 { false } else { true } })
  }

  @Test("linearizability: there are labelled histories of both kinds")
  func bothKinds() {
    #expect(LabelledHistories.names.count > 50)
    #expect(Set(LabelledHistories.verdicts.values) == [true, false])
  }

  @Test("linearizability: texts are equal when their bytes are, and not when they only look the same")
  func canonicalEquivalence() {
    let (composed, decomposed) = ("\u{E9}", "e\u{301}")
    for (read, isRight) in [(composed, true), (decomposed, false)] {
      let histories: [[RegisterModel.Operation]] = [
        [.put(composed), .get(.value(read))],
        [.append(composed), .get(.value(read))],
        [.put(composed), .append("x"), .get(.value(read + "x"))],
        [.put(composed), .compareAndSet(expected: read, "y", .yes), .get(.value("y"))],
      ]
      for history in histories {
        let timed = history.enumerated().map { place, operation in
          Timed(operation, called: UInt64(2 * place), returned: UInt64(2 * place + 1))
        }
        #expect((Checker(timed).verdict() == .linearizable) == isRight, "\(history)")
      }
    }
  }

  /// Every order that respects time, one after the other.
  private func bruteForce(_ operations: [Timed]) -> Bool {
    func extend(_ left: [Timed], _ state: [UInt8]?) -> Bool {
      if left.allSatisfy({ $0.returned == nil }) { return true }
      let end = left.compactMap(\.returned).min() ?? .max
      for (place, next) in left.enumerated() where next.called <= end {
        guard let after = RegisterModel.step(state, next.operation) else { continue }
        var rest = left
        rest.remove(at: place)
        if extend(rest, after) { return true }
      }
      return false
    }
    return extend(operations, nil)
  }

  private func randomHistory(_ random: inout SimulationRandom, onlyAppends: Bool = false) -> [Timed] {
    let adds = !onlyAppends && random.oneIn(2)
    return (0..<random.within(1...7)).map { _ in
      let called = UInt64(random.below(12))
      let value = String(random.below(3))
      let isKnown = !random.oneIn(4)
      let read: RegisterModel.Answer = isKnown ? .value(random.oneIn(4) ? nil : value) : .unknown
      let operation: RegisterModel.Operation =
        switch random.below(8) {
        case _ where onlyAppends:
          if random.oneIn(2) {
            .append(value)
          } else {
            .get(isKnown ? .value(random.oneIn(3) ? value : value + String(random.below(3))) : .unknown)
          }
        case 0: .put(value)
        case 1, 2: .get(read)
        case 3:
          .compareAndSet(
            expected: random.oneIn(3) ? nil : String(random.below(3)), value,
            isKnown ? (random.oneIn(2) ? .yes : .no) : .unknown)
        case 4: .delete
        case 5 where !adds, 6: .append(value)
        case 7 where !adds: .get(isKnown ? .value(value + String(random.below(3))) : .unknown)
        default: .add(1, sum: isKnown ? .value(String(random.below(4))) : .unknown)
        }
      return Timed(operation, called: called, returned: isKnown ? called + UInt64(random.below(6)) : nil)
    }
  }

  @Test("linearizability: the same verdict as trying every order, on small histories")
  func oracle() {
    var random = SimulationRandom(seed: 7)
    var offending = 0
    let count = extent(quick: 4_000, full: 20_000)
    for _ in 0..<count {
      let history = randomHistory(&random)
      let expected = bruteForce(history)
      if !expected { offending += 1 }
      let verdict = Checker(history).verdict()
      #expect((verdict == .linearizable) == expected, "\(history)")
      #expect((LinearizabilityChecker<RegisterModel>(history).verdict() == .linearizable) == expected, "\(history)")
    }
    #expect(offending > count / 10 && offending < count * 9 / 10)
  }

  @Test(
    "linearizability: what is said to offend does, and without any one answer of it nothing does",
    arguments: [false, true])
  func smallest(onlyAppends: Bool) {
    var random = SimulationRandom(seed: 8)
    var found = 0
    let count = extent(quick: 400, full: 2_000)
    for _ in 0..<count {
      let history = randomHistory(&random, onlyAppends: onlyAppends)
      guard case .notLinearizable(let place) = Checker(history).verdict() else { continue }
      let part = Checker(history).offendingPart(at: place)
      found += 1
      #expect(part.isSmallest)
      func judged(without left: Int?) -> LinearizabilityVerdict {
        Checker(
          part.items.map { item in
            let timed = history[item.place]
            let isUnknown = item.isUnknown || item.place == left
            return Timed(
              isUnknown ? timed.operation.weakened : timed.operation, called: timed.called,
              returned: isUnknown ? nil : timed.returned)
          }
        ).verdict()
      }
      #expect(judged(without: nil) != .linearizable)
      for item in part.items where !item.isUnknown { #expect(judged(without: item.place) == .linearizable) }
    }
    #expect(found > count / 10)
  }

  @Test("linearizability: ten thousand operations of a few clients on one key are decided, right and wrong")
  func long() {
    var random = SimulationRandom(seed: 9)
    var history: [Timed] = []
    var value: String?
    for number in 0..<10_000 {
      // Operations overlap with their neighbours, and take effect in the order of their numbers.
      let called = UInt64(10 * number) - UInt64(number == 0 ? 0 : random.below(9))
      let returned = UInt64(10 * number + 1 + random.below(25))
      if random.oneIn(2) {
        value = String(number)
        history.append(Timed(.put(String(number)), called: called, returned: returned))
      } else {
        history.append(Timed(.get(.value(value)), called: called, returned: returned))
      }
    }
    #expect(Checker(history).verdict() == .linearizable)
    history.append(Timed(.get(.value("0")), called: 200_000, returned: 200_001))
    #expect(Checker(history).verdict() != .linearizable)
  }

  @Test(
    "linearizability: of four thousand operations of fifty clients, the few that offend",
    arguments: [HardHistory.Kind.puts, .swaps], [10, 50, 90])
  func few(kind: HardHistory.Kind, place: Int) {
    let history = HardHistory(kind: kind, defect: .staleRead, place: place).generated()
    guard case .notLinearizable(let found) = Checker(history).verdict() else {
      Issue.record("a stale read is taken for a right one")
      return
    }
    let part = Checker(history).offendingPart(at: found)
    #expect(part.isSmallest)
    #expect(part.items.count < 10)
  }

  @Test(
    "linearizability: where all is appended, one answer or two offend",
    arguments: [HardHistory.Defect.staleRead, .lostWrite, .wrongRead], [1, 2, 3])
  func appends(defect: HardHistory.Defect, seed: UInt64) {
    let history = HardHistory(
      kind: .appends, defect: defect, unknown: 5, operations: extent(quick: 1_000, full: 4_000), seed: seed
    ).generated()
    guard case .notLinearizable(let found) = Checker(history).verdict() else {
      Issue.record("\(defect) is taken for right")
      return
    }
    let part = Checker(history).offendingPart(at: found)
    #expect(part.isSmallest)
    #expect(part.items.count { !$0.isUnknown } <= 2)
  }

  /// With how many different values, and how many calls of unknown outcome in percent.
  static let manyAlike: [(HardHistory.Kind, values: Int, unknown: Int)] = [
    (.mixed, 0, 0), (.mixed, 0, 5), (.mixed, 100, 0), (.mixed, 100, 5), (.puts, 100, 0), (.puts, 100, 5),
    (.swaps, 100, 5),
  ]

  @Test(
    "linearizability: puts and appends on one key, and values that are written again, are decided",
    arguments: manyAlike.indices, [1, 2])
  func alike(number: Int, seed: UInt64) throws {
    let (kind, values, unknown) = Self.manyAlike[number]
    var history = HardHistory(
      kind: kind, unknown: unknown, values: values, operations: extent(quick: 1_000, full: 4_000), seed: seed)
    #expect(Checker(history.generated()).verdict() == .linearizable)
    history.defect = .wrongRead
    let wrong = history.generated()
    // Where values are written again, what was read wrongly might have been there all the same.
    guard case .notLinearizable(let place) = Checker(wrong).verdict() else {
      #expect(values > 0 && Checker(wrong).verdict() == .linearizable)
      return
    }
    let part = Checker(wrong).offendingPart(at: place)
    #expect(part.isSmallest)
    #expect(part.items.count { !$0.isUnknown } < 30)
  }

  @Test(
    "linearizability: a counter with additions of unknown outcome is decided, and two answers offend",
    arguments: [1, 5, 1_000], [1, 5])
  func counter(largest: Int, unknown: Int) {
    var history = HardHistory(kind: .adds, unknown: unknown, values: largest)
    #expect(Checker(history.generated(), maximumSteps: 200_000).verdict() == .linearizable)
    for defect in [HardHistory.Defect.lostWrite, .staleRead] {
      history.defect = defect
      let wrong = history.generated()
      guard case .notLinearizable(let place) = Checker(wrong, maximumSteps: 200_000).verdict() else {
        Issue.record("\(history) is not found to be wrong")
        continue
      }
      let part = Checker(wrong).offendingPart(at: place)
      #expect(part.isSmallest)
      #expect(part.items.count { !$0.isUnknown } <= 2)
    }
  }

  /// An addition that says more than there was to add to: nothing fills the gap before it.
  @Test("linearizability: an addition that counted twice offends, with the answers that leave nothing to fill its gap")
  func countedTwice() {
    var history = HardHistory(kind: .adds, values: 5, operations: 400, clients: 10).generated()
    let twice = history.indices.first { place in
      if case .add = history[place].operation { place > 200 } else { false }
    }!
    var sum: Int64 = .max
    var added: Int64 = 0
    if case .add(let delta, .value(let text?)) = history[twice].operation { (sum, added) = (Int64(text)!, delta) }
    func later(_ number: String) -> String { Int64(number)! < sum ? number : String(Int64(number)! + added) }
    history = history.map { timed in
      let operation: RegisterModel.Operation =
        switch timed.operation {
        case .add(let delta, .value(let text?)): .add(delta, sum: .value(later(text)))
        case .get(.value(let text?)): .get(.value(later(text)))
        default: timed.operation
        }
      return Timed(operation, called: timed.called, returned: timed.returned)
    }
    guard case .notLinearizable(let place) = Checker(history, maximumSteps: 200_000).verdict() else {
      Issue.record("an addition that counted twice is taken for right")
      return
    }
    let part = Checker(history).offendingPart(at: place)
    #expect(part.isSmallest)
    #expect(part.items.count { !$0.isUnknown } < 100)
  }

  @Test("linearizability: the same verdict as the search for any model, on small counters")
  func smallCounters() {
    var random = SimulationRandom(seed: 11)
    var offending = 0
    let count = extent(quick: 1_000, full: 20_000)
    for _ in 0..<count {
      let history = randomCounter(&random)
      let isRight = LinearizabilityChecker<RegisterModel>(history).verdict() == .linearizable
      if !isRight { offending += 1 }
      #expect((Checker(history).verdict() == .linearizable) == isRight, "\(history)")
    }
    #expect(offending > count / 10 && offending < count * 9 / 10)
  }

  /// Additions in their order, one of which may say a little too much or too little; some of unknown outcome.
  private func randomCounter(_ random: inout SimulationRandom) -> [Timed] {
    let sizes = [[1], [1, 2], [1, 2, 3, 5], [3, 5, 8, 13], [-1, -2], [0, 1], [-2, -1, 1, 2]][random.below(7)]
    let wrong = random.below(16)
    var sum = 0
    return (0..<random.within(2...10)).map { number in
      let called = UInt64(4 * number + random.below(12))
      let returned = max(called, UInt64(4 * number + 12)) + UInt64(random.below(12))
      let delta = sizes[random.below(sizes.count)]
      let isKnown = !random.oneIn(3)
      if isKnown || random.oneIn(2) { sum += delta }
      let said = number == wrong ? sum + random.within(-2...2) : sum
      if isKnown, random.oneIn(5) { return Timed(.get(.value(String(said))), called: called, returned: returned) }
      return Timed(
        .add(Int64(delta), sum: isKnown ? .value(String(said)) : .unknown), called: called,
        returned: isKnown ? returned : nil)
    }
  }

  @Test(
    "linearizability: the same verdict as the search for any model, on histories of middle size",
    arguments: [HardHistory.Kind.puts, .mixed, .swaps])
  func middle(kind: HardHistory.Kind) {
    var random = SimulationRandom(seed: 10)
    var (offending, decided) = (0, 0)
    let count = extent(quick: 300, full: 3_000)
    for number in 0..<count {
      var history = HardHistory(kind: kind, place: random.below(90), seed: UInt64(number))
      history.defect = random.oneIn(2) ? .none : .lostWrite
      history.unknown = [0, 5, 20, 40][random.below(4)]
      history.values = [0, 1, 2, 3, 5][random.below(5)]
      history.operations = random.within(10...40)
      history.clients = random.within(2...7)
      var operations = history.generated()
      // Somebody reads what somebody else has read.
      let gets = operations.indices.filter { place in
        if case .get = operations[place].operation { operations[place].returned != nil } else { false }
      }
      if gets.count > 1, random.oneIn(2) {
        let (one, other) = (gets[random.below(gets.count)], gets[random.below(gets.count)])
        operations[one] = Timed(
          operations[other].operation, called: operations[one].called, returned: operations[one].returned)
      }
      let expected = LinearizabilityChecker<RegisterModel>(operations, maximumSteps: 20_000).verdict()
      if case .undecided = expected { continue }
      decided += 1
      if expected != .linearizable { offending += 1 }
      #expect((Checker(operations).verdict() == .linearizable) == (expected == .linearizable), "\(history)")
    }
    #expect(decided > count / 2 && offending > count / 10)
  }
}
