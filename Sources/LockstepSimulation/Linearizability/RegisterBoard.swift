/// What of the calls has been made and done at one point of the search, and how to take it back.
struct RegisterBoard {
  private let calls: [RegisterCalls.Call]
  private let texts: Int
  private(set) var isDone: [Bool]
  /// Called and not done, in rings: one of all that change something, one of those that need a text not to be there,
  /// and one for each text of the gets of it. A ring's head comes after all calls.
  private var next: [Int]
  private var previous: [Int]
  private(set) var trail: [Int] = []
  /// Of each text: calls not done yet that need it, whether they were made or not.
  private var needed: [Int]
  /// The same, and those that may swap with it.
  private(set) var wanted: [Int]
  /// Of each text: gets of it that were called and are not done.
  private(set) var waitingGets: [Int]
  /// Of each text: calls to come that need it not to be there.
  private(set) var laterNotSwapped: [Int]
  /// Of each text: calls not done yet after which it can begin anew.
  private var openings: [Int]
  /// The texts with `wanted` above 0, and those with `needed` above 0 and without `openings`.
  private var wantedTexts: BitSet
  private var critical: BitSet
  /// The sums of the words of all calls that are done.
  private(set) var low: UInt64 = 0
  private(set) var high: UInt64 = 0
  private let words: [(low: UInt64, high: UInt64)]

  init(_ prepared: RegisterCalls) {
    calls = prepared.calls
    texts = prepared.states.seenCount
    isDone = [Bool](repeating: false, count: calls.count)
    next = Array(0..<(calls.count + 2 + texts))
    previous = next
    needed = [Int](repeating: 0, count: texts)
    wanted = needed
    waitingGets = needed
    openings = needed
    laterNotSwapped = needed
    wantedTexts = BitSet(count: texts)
    critical = wantedTexts
    var random: UInt64 = 12
    words = calls.map { _ in (Generator64.next(&random), Generator64.next(&random)) }
    for call in calls {
      if call.needs >= 0 { needed[call.needs] += 1 }
      if call.wants >= 0 { wanted[call.wants] += 1 }
      if call.avoids >= 0 { laterNotSwapped[call.avoids] += 1 }
      for text in call.opens.members { openings[text] += 1 }
    }
    for text in 0..<texts { judge(text) }
  }

  private mutating func judge(_ text: Int) {
    if wanted[text] > 0 { wantedTexts.insert(text) } else { wantedTexts.remove(text) }
    if needed[text] > 0, openings[text] == 0 { critical.insert(text) } else { critical.remove(text) }
  }

  /// Whether every answer that is left can still be given: the state can become its text, or a call is left that can.
  func isPossible(reaching: BitSet) -> Bool { critical.isSubset(of: reaching) }

  /// The texts that are needed and cannot come any more.
  func impossible(reaching: BitSet) -> Set<Int> { Set(critical.members.filter { !reaching.contains($0) }) }

  func areWanted(_ texts: BitSet, apartFrom text: Int) -> Bool { texts.meets(wantedTexts, apartFrom: text) }

  private func head(_ call: Int) -> Int {
    switch calls[call].action {
    case .get: calls.count + 2 + calls[call].needs
    case .notSwapped: calls.count + 1
    default: calls.count
    }
  }

  private func members(_ head: Int) -> [Int] {
    var found: [Int] = []
    var place = next[head]
    while place != head {
      found.append(place)
      place = next[place]
    }
    return found
  }

  func changes() -> [Int] { members(calls.count) }
  func notSwapped() -> [Int] { members(calls.count + 1) }
  func gets(of text: Int) -> [Int] { members(calls.count + 2 + text) }

  mutating func call(_ call: Int) {
    let head = head(call)
    let last = previous[head]
    next[last] = call
    previous[call] = last
    next[call] = head
    previous[head] = call
    if case .get = calls[call].action { waitingGets[calls[call].needs] += 1 }
    if calls[call].avoids >= 0 { laterNotSwapped[calls[call].avoids] -= 1 }
    trail.append(call << 1)
  }

  mutating func finish(_ call: Int) {
    next[previous[call]] = next[call]
    previous[next[call]] = previous[call]
    count(call, -1)
    isDone[call] = true
    trail.append(call << 1 | 1)
  }

  mutating func undo(to length: Int) {
    while trail.count > length {
      let step = trail.removeLast()
      let call = step >> 1
      if step & 1 == 1 {
        isDone[call] = false
        count(call, 1)
        next[previous[call]] = call
        previous[next[call]] = call
      } else {
        next[previous[call]] = next[call]
        previous[next[call]] = previous[call]
        if case .get = calls[call].action { waitingGets[calls[call].needs] -= 1 }
        if calls[call].avoids >= 0 { laterNotSwapped[calls[call].avoids] += 1 }
      }
    }
  }

  private mutating func count(_ call: Int, _ change: Int) {
    low ^= words[call].low
    high ^= words[call].high
    let (needs, wants) = (calls[call].needs, calls[call].wants)
    if needs >= 0 {
      needed[needs] += change
      if case .get = calls[call].action { waitingGets[needs] += change }
    }
    if wants >= 0 {
      wanted[wants] += change
      judge(wants)
    }
    for text in calls[call].opens.members {
      openings[text] += change
      judge(text)
    }
  }
}
