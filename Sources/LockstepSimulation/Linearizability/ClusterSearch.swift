/// The search for who left what each get and each swap found, so that the clusters that come of it have an order (see
/// `Clusters`).
///
/// Where values are written once, all follows; where they are written again, mostly one call is near enough. So what has
/// one source only is settled first, and again whenever something was chosen. Whoever was found to have none is chosen
/// for first when a choice was taken back, so that choices that have nothing to do with it are not gone through (Lecoutre
/// and others, "Last conflict based reasoning", 2006); then whoever was so most often, and from time to time all begins
/// anew with what is known of that (Boussemart and others, "Boosting systematic search by weighting constraints", 2004).
///
/// A cas that failed is left out, unless an order was found in which it has no place.
struct ClusterSearch {
  enum Result {
    /// Places of what took effect, in their order.
    case found([Int])
    case none(culprit: Int)
    case givenUp
  }

  private typealias Candidate = (source: ClusterCalls.Source, zone: Clusters.Zone)

  private struct Choice {
    let call: Int
    let candidates: [Candidate]
    let trail: Int
    var next = 0
  }

  let prepared: ClusterCalls
  let operations: [TimedOperation<RegisterModel.Operation>]
  private var clusters: Clusters
  /// In order of their calls, and these moments.
  private let byCall: [Int]
  private let calledAt: [Int]
  private(set) var steps = 0
  /// Of each call, how often it was found to have no source; and the last one.
  var failures: [Int]
  private var failed: Int?
  var failuresSinceStart = 0
  /// Not all sources of a failed swap are known where there are appends.
  private var isComplete = true

  init?(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    guard let prepared = ClusterCalls(operations) else { return nil }
    self.prepared = prepared
    self.operations = operations
    clusters = Clusters(prepared)
    failures = [Int](repeating: 0, count: prepared.calls.count)
    byCall = prepared.calls.indices.sorted { prepared.calls[$0].called < prepared.calls[$1].called }
    calledAt = byCall.map { prepared.calls[$0].called }
  }

  mutating func run(maximumSteps: Int) -> Result {
    var choices: [Choice] = []
    var mostFailures = 100
    var isStuck = !begin()
    while steps <= maximumSteps {
      if !isStuck {
        if let call = nextOpen() {
          let candidates = candidates(call)
          choices.append(Choice(call: call, candidates: candidates, trail: clusters.length))
          if candidates.isEmpty { fail(call) }
        } else {
          switch ordered(clusters.order) {
          case .found(let order): return .found(order)
          case .withoutPlace(let notSwapped):
            clusters.undo(to: 0)
            choices = []
            isComplete = !prepared.hasAppends
            let expected = prepared.notSwapped.first { $0.call == notSwapped }!.expected
            clusters.open(notSwapped, prepared.sources(otherThan: expected))
            isStuck = !begin()
            continue
          case .wrong: return .givenUp
          }
        }
      }
      guard let last = choices.last else {
        return isComplete ? .none(culprit: prepared.calls[failed ?? 0].place) : .givenUp
      }
      clusters.undo(to: last.trail)
      if failuresSinceStart > mostFailures {
        failuresSinceStart = 0
        mostFailures += mostFailures / 2
        clusters.undo(to: choices[0].trail)
        choices = []
        isStuck = false
        continue
      }
      guard last.next < last.candidates.count else {
        choices.removeLast()
        isStuck = true
        continue
      }
      choices[choices.count - 1].next += 1
      let (source, zone) = last.candidates[last.next]
      clusters.join(last.call, to: source, zone)
      isStuck = !settle(zone.stretch)
    }
    return .givenUp
  }

  /// What is near comes first: then what has to have come from far is found to have come from nowhere, and not others that
  /// are in its way.
  private mutating func begin() -> Bool {
    [0, 16, 64, 256, .max].allSatisfy { settle(0...prepared.moments, furthest: $0) }
  }

  private mutating func fail(_ call: Int) {
    let asker = clusters.asker(call)
    failed = asker
    failures[asker] += 1
    failuresSinceStart += 1
  }

  /// What somebody asked for comes before others who ask.
  private func nextOpen() -> Int? {
    var best: Int?
    var most = (-1, -1)
    for call in byCall where clusters.isOpen(call) {
      let asker = clusters.asker(call)
      let key = (asker == failed ? .max : failures[asker], asker == call ? 0 : 1)
      if key > most { (best, most) = (call, key) }
    }
    return best
  }

  /// The likely ones first, and of them those by which the cluster forbids least.
  private mutating func candidates(_ call: Int) -> [Candidate] {
    var found: [Candidate] = []
    for source in clusters.sources(of: call) {
      steps += 1
      if let zone = clusters.zone(call, from: source) { found.append((source, zone)) }
    }
    func key(_ one: Candidate) -> (Int, Int) {
      (clusters.rank(of: one.source.call), one.zone.end - one.zone.start)
    }
    return found.sorted { key($0) < key($1) }
  }

  /// What has one source only is joined to it, where what happened in this stretch of time may matter; false if
  /// something has none.
  private mutating func settle(_ stretch: ClosedRange<Int>, furthest: Int = .max) -> Bool {
    var stretches = [stretch]
    while let stretch = stretches.popLast() {
      for call in called(stretch) where clusters.isOpen(call) {
        var only: Candidate?
        var hasMore = false
        for source in clusters.sources(of: call) {
          steps += 1
          guard let zone = clusters.zone(call, from: source) else { continue }
          hasMore = only != nil
          if hasMore { break }
          only = (source, zone)
        }
        guard let only else {
          fail(call)
          return false
        }
        guard !hasMore, only.zone.end - only.zone.start <= furthest else { continue }
        clusters.join(call, to: only.source, only.zone)
        stretches.append(only.zone.stretch)
      }
    }
    return true
  }

  /// What was called then, or about then: most of what was under way.
  private func called(_ stretch: ClosedRange<Int>) -> ArraySlice<Int> {
    func first(_ moment: Int) -> Int {
      var (low, high) = (0, calledAt.count)
      while low < high {
        let middle = (low + high) / 2
        if calledAt[middle] >= moment { high = middle } else { low = middle + 1 }
      }
      return low
    }
    return byCall[first(stretch.lowerBound - 300)..<first(stretch.upperBound + 100)]
  }
}
