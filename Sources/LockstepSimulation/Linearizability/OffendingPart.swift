/// A part of a history that still cannot be put in order.
public struct OffendingPart: Sendable {
  /// An operation that belongs to the part.
  public struct Item: Sendable {
    /// In the history.
    public let place: Int
    /// Its answer is not needed: it may take effect any time after its call, or never.
    public let isUnknown: Bool
  }

  /// In the order of the history.
  public let items: [Item]
  /// With any one answer fewer there is an order. Otherwise the search for something smaller was ended early.
  public let isSmallest: Bool
}

extension RegisterChecker {
  /// The smallest part of the history that was found to have no order, once `verdict` has said that the whole has none.
  ///
  /// - Parameters:
  ///   - place: where `verdict` said that it is not linearizable.
  ///   - maximumSteps: of all searches for something smaller together.
  public func offendingPart(at place: Int, maximumSteps: Int = 1_500_000) -> OffendingPart {
    var search = OffendingPart.Search(operations, maximumSteps: maximumSteps)
    return search.part(from: place)
  }
}

extension OffendingPart {
  /// The smallest part of a history that still cannot be put in order, as far as leaving things out soundly can make it.
  ///
  /// What is left out must not create an offence of its own. So answers are left out: an operation that changes nothing is
  /// gone without its answer, and one that may change something is said to be unknown, which allows every order that was
  /// allowed before, and more. What was called after the last answer that is left cannot matter to it.
  ///
  /// Fewer answers never offend where more do not. So the search begins with one, and as long as there is an order, answers
  /// are added that do not fit into it (see `Misfits`): of few answers an order is found soon. Of those that offend in the
  /// end each that is needed is found by halving (Junker, "QuickXplain", 2004).
  struct Search {
    /// Of all searches together.
    static let usualSteps = 300_000
    /// Of one search while answers are found: one that takes longer is not worth it.
    private static let stepsToFind = 50_000
    /// Of one search that shows that an answer cannot be left out.
    private static let stepsToShow = 200_000

    let operations: [TimedOperation<RegisterModel.Operation>]
    private var stepsLeft: Int
    /// Places of those that returned, in order of their returns.
    private var returned: [Int] = []
    private var isSmallest = true

    private var stepsOfOne = Self.stepsToFind

    init(_ operations: [TimedOperation<RegisterModel.Operation>], maximumSteps: Int = Self.usualSteps) {
      self.operations = operations
      stepsLeft = maximumSteps
      returned = operations.indices.filter { operations[$0].returned != nil }
      returned.sort { (operations[$0].returned!, $0) < (operations[$1].returned!, $1) }
    }

    mutating func part(from first: Int) -> OffendingPart {
      let offence = AppendOffence(operations)
      if let offence, offence.isSmallest { return part(of: Set(offence.places)) }
      if let places = CounterSearch.offending(operations) {
        var core = Set(places)
        if offends(core) {
          leaveOutOneByOne(&core)
          return part(of: core)
        }
      }
      let known =
        offence.map { returned.filter($0.places.contains) } ?? offending(from: first, leaving: stepsLeft / 2)
        ?? before(first) ?? returned
      var core: Set<Int> = []
      var start = 0
      // The core and everything from `start` on offend; what is in the core stands before `start`.
      while start < known.count, core.isEmpty || !offends(core) {
        guard stepsLeft > 0 else {
          isSmallest = false
          core.formUnion(known[start...])
          break
        }
        // Distances from the last: the fewest answers that offend.
        let fewest = fewest(known.count - 1 - start) { search, distance in
          search.offends(core.union(known[(known.count - 1 - distance)...]))
        }
        start = known.count - fewest
        core.insert(known[start - 1])
      }
      if !isSmallest { leaveOutOneByOne(&core) }
      return part(of: core)
    }

    private func part(of core: Set<Int>) -> OffendingPart {
      let (places, history) = items(core)
      // What could not have been noticed by anyone is no part of it.
      let leftOut = RegisterCalls(history).leftOut
      return OffendingPart(
        items: places.enumerated().filter { core.contains($0.element) || !leftOut.contains($0.offset) }
          .map { OffendingPart.Item(place: $0.element, isUnknown: !core.contains($0.element)) }, isSmallest: isSmallest)
    }

    /// Whether few answers were found that offend.
    func isFound(from first: Int) -> Bool {
      var copy = self
      return copy.offending(from: first, leaving: 0) != nil
    }

    /// All that was called until this one had returned, if it offends.
    private mutating func before(_ first: Int) -> [Int]? {
      guard let end = operations[first].returned else { return nil }
      let known = returned.filter { operations[$0].called <= end }
      return offends(Set(known)) ? known : nil
    }

    /// Places of answers that offend, in order of their returns; nil as well when no more steps than those are left.
    private mutating func offending(from first: Int, leaving reserve: Int) -> [Int]? {
      var known: Set<Int> = [first]
      var count = 1
      while known.count < returned.count, stepsLeft > reserve {
        let (places, history) = items(known)
        let found = judged(history)
        if case .notLinearizable = found.verdict { return returned.filter(known.contains) }
        let misfits = Misfits(operations: operations, known: known, order: found.order.map { places[$0] })
        let added = misfits.chosen(count)
        known.formUnion(added.isEmpty ? returned.reversed().filter { !known.contains($0) }.prefix(count) : added[...])
        count = min(2 * count, max(1, known.count / 4))
      }
      return nil
    }

    /// Where some search was given up, more may have been kept than is needed.
    private mutating func leaveOutOneByOne(_ core: inout Set<Int>) {
      isSmallest = true
      stepsOfOne = Self.stepsToShow
      for place in core.sorted() where core.count > 1 {
        if offends(core.subtracting([place])) { core.remove(place) }
      }
    }

    /// The smallest number for which the condition holds, which holds of all larger ones too, and of `end`: in steps that
    /// double, and then by halving.
    private mutating func fewest(_ end: Int, _ holds: (inout Self, Int) -> Bool) -> Int {
      var (low, high, step) = (0, end, 1)
      while low < high, low + step < high {
        if holds(&self, low + step - 1) { high = low + step - 1 } else { low += step }
        step *= 2
      }
      while low < high {
        let middle = (low + high) / 2
        if holds(&self, middle) { high = middle } else { low = middle + 1 }
      }
      return high
    }

    /// Those operations that matter when only these answers are known.
    private func items(_ known: Set<Int>) -> (places: [Int], history: [TimedOperation<RegisterModel.Operation>]) {
      let end = known.reduce(0) { max($0, operations[$1].returned ?? .max) }
      var places: [Int] = []
      var history: [TimedOperation<RegisterModel.Operation>] = []
      for (place, timed) in operations.enumerated() where timed.called <= end {
        if known.contains(place) {
          history.append(timed)
        } else if timed.operation.changesNothing {
          continue
        } else {
          history.append(TimedOperation(timed.operation.weakened, called: timed.called, returned: nil))
        }
        places.append(place)
      }
      return (places, history)
    }

    private mutating func judged(_ history: [TimedOperation<RegisterModel.Operation>]) -> RegisterChecker.Found {
      let found = RegisterChecker(history).counted(maximumSteps: min(stepsLeft, stepsOfOne))
      stepsLeft -= found.steps
      if case .undecided = found.verdict { isSmallest = false }
      return found
    }

    /// False as well if nobody knows.
    private mutating func offends(_ known: Set<Int>) -> Bool {
      guard stepsLeft > 0 else {
        isSmallest = false
        return false
      }
      if case .notLinearizable = judged(items(known).history).verdict { return true }
      return false
    }
  }
}
