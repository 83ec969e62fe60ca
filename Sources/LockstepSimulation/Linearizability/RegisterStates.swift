import Glibc

/// A set of small numbers.
struct BitSet {
  private(set) var words: [UInt64]

  init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

  mutating func insert(_ member: Int) { words[member >> 6] |= 1 << UInt64(member & 63) }
  mutating func remove(_ member: Int) { words[member >> 6] &= ~(1 << UInt64(member & 63)) }
  func contains(_ member: Int) -> Bool { words[member >> 6] >> UInt64(member & 63) & 1 == 1 }

  mutating func formUnion(_ other: BitSet) { for place in words.indices { words[place] |= other.words[place] } }

  func isSubset(of other: BitSet) -> Bool {
    for place in words.indices where words[place] & ~other.words[place] != 0 { return false }
    return true
  }

  /// Whether the two have a common member other than `left`.
  func meets(_ other: BitSet, apartFrom left: Int) -> Bool {
    for place in words.indices {
      var common = words[place] & other.words[place]
      if left >> 6 == place { common &= ~(1 << UInt64(left & 63)) }
      if common != 0 { return true }
    }
    return false
  }

  var members: Members { Members(words: words) }

  struct Members: Sequence, IteratorProtocol {
    private let words: [UInt64]
    private var place = 0
    private var rest: UInt64

    init(words: [UInt64]) {
      self.words = words
      rest = words.first ?? 0
    }

    mutating func next() -> Int? {
      while rest == 0 {
        place += 1
        guard place < words.count else { return nil }
        rest = words[place]
      }
      defer { rest &= rest - 1 }
      return place << 6 + rest.trailingZeroBitCount
    }
  }
}

/// The states of one key, as numbers: two states have one number exactly if no operation of the history tells them apart.
///
/// Only texts that some operation compares with matter ("seen": read by a get, expected by a cas). What is not the
/// beginning of any of them is one state, `lost`, as long as nobody adds: nothing but a new beginning leads out of it.
struct RegisterStates {
  static let nothing = 0
  static let lost = 1

  private struct State {
    /// A text that begins with this state's, and the length of that beginning.
    var text: Int
    var length: Int
    /// The seen text that is exactly this; -1 when there is none.
    var exact: Int
    /// The seen texts that this state can become by appending; only the text itself where nobody appends.
    var reaches: BitSet
  }

  private struct Step: Hashable {
    let state: Int
    let text: Int
  }

  /// Those that are seen come first, and of them "nothing", as an empty text, is the first.
  private var texts: [[UInt8]]
  private let seen: Int
  private let appends: Bool
  private let keepsAll: Bool
  private var states: [State] = []
  private var places: [Step: Int] = [:]
  private var ownTexts: [[UInt8]: Int] = [:]
  private var appended: [Step: Int] = [:]

  /// `seen`: without repetition, in order of their bytes. `keepsAll`: every text is a state of its own, for somebody reads numbers from them.
  init(seen: [[UInt8]], appends: Bool, keepsAll: Bool) {
    texts = [[]] + seen
    self.seen = texts.count
    self.appends = appends
    self.keepsAll = keepsAll
    var all = BitSet(count: texts.count)
    if appends { for text in 1..<max(1, texts.count) { all.insert(text) } }
    all.insert(0)
    states.append(State(text: 0, length: 0, exact: 0, reaches: all))
    states.append(State(text: 0, length: 0, exact: -1, reaches: BitSet(count: texts.count)))
  }

  var seenCount: Int { seen }
  func exact(_ state: Int) -> Int { states[state].exact }
  func reaches(_ state: Int) -> BitSet { states[state].reaches }

  func bytes(_ state: Int) -> ArraySlice<UInt8> { texts[states[state].text][..<states[state].length] }

  /// The state whose text this is.
  mutating func state(_ bytes: some RandomAccessCollection<UInt8>) -> Int {
    var reaches = BitSet(count: seen)
    let text = Array(bytes)
    // The texts that begin with this one stand together, from it on.
    let start = firstPlace { Self.compare(texts[$0][...], text[...]) >= 0 }
    let exact = start < seen && texts[start] == text ? start : -1
    var end = exact < 0 ? start : start + 1
    if appends { end = firstPlace { $0 >= start && !Self.begins(texts[$0], with: text) } }
    for place in start..<max(start, end) { reaches.insert(place) }
    let first = end > start ? start : -1
    return place(first, bytes.count, exact, reaches, bytes)
  }

  /// The state after `text` was appended; `number` stands for the text.
  mutating func append(_ text: [UInt8], number: Int, to state: Int) -> Int {
    if state == Self.lost { return state }
    let step = Step(state: state, text: number)
    if let known = appended[step] { return known }
    let from = states[state]
    let after: Int
    if keepsAll {
      after = self.state(Array(bytes(state)) + text)
    } else {
      let length = from.length + text.count
      var reaches = BitSet(count: seen)
      var first = -1
      var exact = -1
      for other in from.reaches.members where other > 0 && texts[other].count >= length {
        guard texts[other][from.length..<length].elementsEqual(text) else { continue }
        reaches.insert(other)
        if first < 0 { first = other }
        if texts[other].count == length { exact = other }
      }
      after = place(first, length, exact, reaches, EmptyCollection())
    }
    appended[step] = after
    return after
  }

  /// The first seen text of which the condition holds, which holds of all after it too.
  private func firstPlace(_ holds: (Int) -> Bool) -> Int {
    var (low, high) = (1, max(1, seen))
    while low < high {
      let middle = (low + high) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  static func compare(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int {
    let order = left.withUnsafeBytes { left in
      right.withUnsafeBytes { right in
        min(left.count, right.count) == 0
          ? 0 : Int(memcmp(left.baseAddress!, right.baseAddress!, min(left.count, right.count)))
      }
    }
    return order != 0 ? order : left.count - right.count
  }

  static func begins(_ text: [UInt8], with part: [UInt8]) -> Bool {
    text.count >= part.count && compare(text[..<part.count], part[...]) == 0
  }

  /// Where this part ends when it first occurs in the text; nil when it does not.
  static func end(of part: [UInt8], in text: [UInt8]) -> Int? {
    guard let first = part.first else { return 0 }
    return text.withUnsafeBytes { text in
      part.withUnsafeBytes { part in
        var start = 0
        while start + part.count <= text.count,
          let found = memchr(text.baseAddress! + start, Int32(first), text.count - part.count - start + 1)
        {
          let position = UnsafeRawPointer(found) - text.baseAddress!
          if memcmp(found, part.baseAddress!, part.count) == 0 { return position + part.count }
          start = position + 1
        }
        return nil
      }
    }
  }

  private mutating func place(
    _ first: Int, _ length: Int, _ exact: Int, _ reaches: BitSet, _ bytes: some Collection<UInt8>
  ) -> Int {
    var text = first
    if text < 0 {
      guard keepsAll else { return Self.lost }
      let own = Array(bytes)
      text = ownTexts[own] ?? texts.count
      if text == texts.count {
        ownTexts[own] = text
        texts.append(own)
      }
    }
    let key = Step(state: length, text: text)
    if let known = places[key] { return known }
    places[key] = states.count
    states.append(State(text: text, length: length, exact: exact, reaches: reaches))
    return states.count - 1
  }
}
