/// The search for the additions of unknown outcome that lead from each answer of a counter to the next.
///
/// The order of the answers is known (see `CounterCalls`); it must agree with their times. What is left is a sum for
/// each gap: of calls that had been made before any later answer was given, each once or never. Of equal ones the
/// earliest goes first. One large addition is better than small ones of the same sum: wherever it would be used later,
/// those could be used instead, for they had been called already. So no two are taken where one of their sum is left.
struct CounterSearch {
  enum Result {
    /// Places of what took effect, in their order.
    case found([Int])
    /// With places of few answers that offend, where they are known.
    case none(culprit: Int, offending: [Int]?)
    case givenUp
  }

  struct Gap {
    /// The answer that comes after it.
    let answer: Int
    let size: Int
    /// The answer that returned first of those that come after it.
    let first: Int
    let end: UInt64
  }

  typealias Memory = RegisterSearch.Memory

  struct Taken {
    let gap: Int
    let kind: Int
    let count: Int
    /// Nothing else is as good.
    let isOnly: Bool
  }

  let prepared: CounterCalls
  private(set) var gaps: [Gap] = []
  var steps = 0
  /// Of each size.
  let kindOfSize: [Int: Int]

  /// Those that are to be filled, and the furthest of them that the search came to.
  var filled: [Gap] = []
  var furthest = 0
  /// The gap that it is at, what of it is not filled, and the first kind that may be taken next.
  var gap = 0
  var rest = 0
  var kind = 0
  /// Of each kind: how many are taken, and how many had been called in time for this gap.
  var used: [Int]
  var called: [Int]
  var taken: [Taken] = []
  /// Of each kind, the sums of it and all smaller ones that may be taken in this gap; empty before they are needed.
  var reachable: [Sums] = []
  /// The answers of gaps that were looked at alone.
  var judged: Set<Int> = []
  var failures = Failures(gaps: 0, kinds: 0)
  /// Of each gap up to this one, the kinds of which more might have helped.
  var reasons: [BitSet] = []
  /// The sums of the words of all that are taken.
  var low: UInt64 = 0
  var high: UInt64 = 0
  let words: [(low: UInt64, high: UInt64)]

  /// Suffice as a rule.
  private static let usualSteps = 5_000

  init?(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    guard let prepared = CounterCalls(operations) else { return nil }
    self.prepared = prepared
    used = [Int](repeating: 0, count: prepared.kinds.count)
    called = used
    kindOfSize = Dictionary(uniqueKeysWithValues: prepared.kinds.enumerated().map { ($1.size, $0) })
    var random: UInt64 = 34
    words = prepared.kinds.map { _ in (Generator64.next(&random), Generator64.next(&random)) }
  }

  mutating func run(maximumSteps: Int) -> Result {
    if let place = prepared.impossible { return .none(culprit: place, offending: [place]) }
    if let pair = apart() {
      let places = pair.sorted { prepared.answers[$0].returned < prepared.answers[$1].returned }
        .map { prepared.answers[$0].place }
      return .none(culprit: places[1], offending: places)
    }
    findGaps()
    if let gap = tooFar() { return .none(culprit: culprit(gap), offending: unreachable(gap)) }
    if let result = fill(gaps, min(maximumSteps, Self.usualSteps + 4 * gaps.count)) { return result }
    if let offending = unreachable(filled[furthest]) {
      return .none(culprit: culprit(filled[furthest]), offending: offending)
    }
    // What is small is filled by what is small: those gaps alone may show sooner that not all can be filled.
    let bySize = gaps.map(\.size).sorted()
    var largest = [filled[furthest].size]
    var count = 1
    while count < bySize.count {
      largest.append(bySize[count])
      count *= 2
    }
    for size in largest where size < bySize.last! && steps < maximumSteps {
      let narrow = gaps.filter { $0.size <= size }
      if case .none(let culprit, let places)? = fill(narrow, min(maximumSteps - steps, Self.usualSteps)) {
        return .none(culprit: culprit, offending: places)
      }
    }
    return fill(gaps, maximumSteps - steps) ?? .givenUp
  }

  /// Two answers that cannot both be given: each begins before the other has ended, or their times say otherwise.
  private func apart() -> [Int]? {
    let answers = prepared.answers
    var latest = 0
    for next in answers.indices.dropFirst() {
      if answers[next].start < answers[next - 1].end { return [next - 1, next] }
      if answers[next].returned < answers[latest].called { return [latest, next] }
      if answers[next].called > answers[latest].called { latest = next }
    }
    return nil
  }

  /// A gap that comes after more than all that had been called in time adds up to.
  private func tooFar() -> Gap? {
    let calls = prepared.kinds.flatMap { kind in kind.calls.map { (called: $0.called, size: kind.size) } }
      .sorted { $0.called < $1.called }
    var (next, left) = (0, 0)
    for gap in gaps {
      while next < calls.count, calls[next].called <= gap.end {
        left += calls[next].size
        next += 1
      }
      left -= gap.size
      if left < 0 { return gap }
    }
    return nil
  }

  private mutating func findGaps() {
    var first = prepared.answers.count - 1
    for next in prepared.answers.indices.reversed() {
      let answer = prepared.answers[next]
      if answer.returned < prepared.answers[first].returned { first = next }
      let size = answer.start - (next > 0 ? prepared.answers[next - 1].end : 0)
      if size > 0 {
        gaps.append(Gap(answer: next, size: size, first: first, end: prepared.answers[first].returned))
      }
    }
    gaps.reverse()
  }

  /// Of what was filled, or would be if nothing is left to be.
  func order() -> [Int] {
    var found: [Int] = []
    var next = [Int](repeating: 0, count: prepared.kinds.count)
    var one = 0
    for (number, answer) in prepared.answers.enumerated() {
      while one < taken.count, filled[taken[one].gap].answer == number {
        let kind = taken[one].kind
        found += prepared.kinds[kind].calls[next[kind]..<(next[kind] + taken[one].count)].map(\.place)
        next[kind] += taken[one].count
        one += 1
      }
      found.append(answer.place)
    }
    return found
  }

  func culprit(_ gap: Gap) -> Int {
    let answers = [gap.first, gap.answer, max(0, gap.answer - 1)].map { prepared.answers[$0] }
    return answers.max { $0.returned < $1.returned }!.place
  }
}
