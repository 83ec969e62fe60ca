/// The operations on one key, prepared for `ClusterSearch`: moments are places in the order of all calls and returns, and
/// of each text that somebody needs it is known which calls may have left it.
struct ClusterCalls {
  struct Call {
    /// In the history; -1 for the beginning, when there was nothing.
    let place: Int
    let called: Int
    /// `.max`: it may never have taken effect.
    let returned: Int
    /// Changes nothing: a swap that failed is one as well.
    let isGet: Bool
    /// Leaves a text whatever was there.
    let sets: Bool
    /// The text that it needs; -1 for none, and for an append as long as nobody asked for what it leaves.
    let needs: Int
  }

  /// A call that leaves a text, and what it needs for that; -1 for nothing.
  struct Source {
    let call: Int
    let needs: Int
  }

  static let beginning = 0

  private(set) var calls = [Call(place: -1, called: -1, returned: -1, isGet: false, sets: true, needs: -1)]
  /// Of each needed text.
  private(set) var sources: [[Source]] = []
  /// The swaps that failed, and what they had compared with.
  private(set) var notSwapped: [(call: Int, expected: [UInt8]?)] = []
  var hasAppends: Bool { !appends.isEmpty }
  private(set) var moments = 0

  private var texts: [[UInt8]?] = []
  private var numbers: [[UInt8]?: Int] = [:]
  /// The calls that leave a text whatever was there, or what they compared with.
  private var setters: [[UInt8]?: [Source]] = [:]
  private var appends: [[UInt8]: [Int]] = [:]
  private var appendLengths: Set<Int> = []

  /// Nil: for these the search is not made.
  init?(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    var hasSetter = false
    for timed in operations {
      switch timed.operation {
      case .add: return nil
      // It would change nothing, sometimes.
      case .append(let text): if text.isEmpty { return nil }
      // It must have been somewhere, and might have swapped there.
      case .compareAndSet(_, _, .unknown): if timed.returned != nil { return nil } else { hasSetter = true }
      case .put, .delete, .compareAndSet: hasSetter = true
      case .get: continue
      }
    }
    // Otherwise all is one cluster.
    guard hasSetter else { return nil }
    setters[nil] = [Source(call: Self.beginning, needs: -1)]
    take(operations, Self.order(operations))
    var next = 0
    while next < texts.count {
      findSources(next)
      next += 1
    }
    leaveOutWhatCannotBe()
  }

  /// At one moment calls come first, so that operations that touch count as concurrent.
  private static func order(
    _ operations: [TimedOperation<RegisterModel.Operation>]
  ) -> [(time: UInt64, isCall: Bool, place: Int)] {
    var order: [(time: UInt64, isCall: Bool, place: Int)] = []
    for (place, timed) in operations.enumerated() {
      order.append((timed.called, true, place))
      if let returned = timed.returned { order.append((returned, false, place)) }
    }
    order.sort { left, right in
      if left.time != right.time { return left.time < right.time }
      if left.isCall != right.isCall { return left.isCall }
      return left.place < right.place
    }
    return order
  }

  private mutating func take(
    _ operations: [TimedOperation<RegisterModel.Operation>], _ order: [(time: UInt64, isCall: Bool, place: Int)]
  ) {
    moments = order.count
    var called = [Int](repeating: 0, count: operations.count)
    var returned = [Int](repeating: .max, count: operations.count)
    for (moment, event) in order.enumerated() {
      if event.isCall { called[event.place] = moment } else { returned[event.place] = moment }
    }
    for (place, timed) in operations.enumerated() {
      let number = calls.count
      var needs = -1
      var isGet = false
      var sets = false
      switch timed.operation {
      case .get(let answer):
        guard case .value(let text) = answer, timed.returned != nil else { continue }
        (needs, isGet) = (self.number(text.map { Array($0.utf8) }), true)
      case .put(let text):
        setters[Array(text.utf8), default: []].append(Source(call: number, needs: -1))
        sets = true
      case .delete:
        setters[nil, default: []].append(Source(call: number, needs: -1))
        sets = true
      case .compareAndSet(let expected, let text, let swapped):
        if swapped == .no {
          guard timed.returned != nil else { continue }
          notSwapped.append((number, expected.map { Array($0.utf8) }))
          isGet = true
          break
        }
        needs = self.number(expected.map { Array($0.utf8) })
        setters[Array(text.utf8), default: []].append(Source(call: number, needs: needs))
      case .append(let text):
        appends[Array(text.utf8), default: []].append(number)
        appendLengths.insert(text.utf8.count)
      case .add: continue
      }
      calls.append(
        Call(
          place: place, called: called[place], returned: returned[place], isGet: isGet, sets: sets, needs: needs))
    }
  }

  /// What could have let a swap with this one fail; appends apart.
  func sources(otherThan expected: [UInt8]?) -> [Source] {
    setters.filter { $0.key != expected }.flatMap(\.value).sorted { $0.call < $1.call }
  }

  private mutating func number(_ text: [UInt8]?) -> Int {
    if let known = numbers[text] { return known }
    numbers[text] = texts.count
    texts.append(text)
    sources.append([])
    return texts.count - 1
  }

  private mutating func findSources(_ number: Int) {
    let text = texts[number]
    var found = setters[text] ?? []
    if let text {
      for length in appendLengths where length <= text.count {
        guard let calls = appends[Array(text.suffix(length))] else { continue }
        let rest = Array(text.dropLast(length))
        for before in rest.isEmpty ? [nil, rest] : [rest] {
          let needs = self.number(before)
          found += calls.map { Source(call: $0, needs: needs) }
        }
      }
    }
    sources[number] = found
  }

  /// An append to a text that nobody could have left leaves nothing that anybody needs.
  private mutating func leaveOutWhatCannotBe() {
    var canBe = [Bool](repeating: false, count: texts.count)
    // From short to long: what an append needs is shorter than what it leaves, or nothing.
    let byLength = texts.indices.sorted { (texts[$0]?.count ?? -1) < (texts[$1]?.count ?? -1) }
    for text in byLength {
      sources[text].removeAll { source in
        let isAppend = calls[source.call].needs < 0 && source.needs >= 0
        return isAppend && !canBe[source.needs]
      }
      canBe[text] = !sources[text].isEmpty
    }
  }
}
