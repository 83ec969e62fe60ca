/// Which calls stand together: a call that sets a value, the swaps and appends that follow one upon the other, and the
/// gets of what each of them left. Nothing else takes effect between the first and the last of a cluster.
///
/// Of two clusters one is wholly before the other. That it can be is a matter of two moments of each: the first return
/// in it ("start") and the last call in it ("end"). And if of every two one can be before the other, all have an order:
/// that of `start + end` (Gibbons and Korach, "Testing shared memories", 1997, for values that are written once).
struct Clusters {
  let calls: [ClusterCalls.Call]
  private var sources: [[ClusterCalls.Source]]
  /// Needs above are of swaps that failed: what they find can be any of many texts.
  private let texts: Int

  /// All that changes, in one array, so that it can be taken back.
  private var cells: [Int]
  private var trail: [(cell: Int, before: Int)] = []
  /// The clusters that touch a stretch of time, and some that did.
  private var stretches: [[Int]]
  private static let stretch = 64

  private enum Field: Int, CaseIterable {
    /// The cluster of a call that changes something: the number of its first one; -1 when it takes no effect.
    case cluster
    case start, end
    /// What left what it needs; -1 as long as that is open.
    case source
    /// What changed what it left.
    case change
    /// The first get of what it left, and the next one.
    case get, nextGet
    case needs
    case leaves
  }

  init(_ prepared: ClusterCalls) {
    calls = prepared.calls
    sources = prepared.sources
    texts = sources.count
    cells = [Int](repeating: -1, count: calls.count * Field.allCases.count)
    stretches = [[Int]](repeating: [], count: prepared.moments / Self.stretch + 1)
    for call in calls.indices {
      self[.needs, call] = calls[call].needs
      if !calls[call].isGet, calls[call].returned < .max { takePart(call) }
    }
    trail = []
  }

  private subscript(field: Field, call: Int) -> Int {
    get { cells[field.rawValue * calls.count + call] }
    set {
      let cell = field.rawValue * calls.count + call
      trail.append((cell, cells[cell]))
      cells[cell] = newValue
    }
  }

  /// Something has to be found that left what it needs.
  func isOpen(_ call: Int) -> Bool {
    self[.needs, call] >= 0 && self[.source, call] < 0 && (calls[call].isGet || self[.cluster, call] >= 0)
  }
  var length: Int { trail.count }
  func sources(of call: Int) -> [ClusterCalls.Source] { sources[self[.needs, call]] }

  /// Who is most likely to have left something: who is known to have, who at least took effect, who may have.
  func rank(of source: Int) -> Int { self[.leaves, source] >= 0 ? 0 : self[.cluster, source] >= 0 ? 1 : 2 }

  /// Whoever had to have a source from the beginning, for whose sake this call needs one.
  func asker(_ call: Int) -> Int {
    var call = call
    while !calls[call].isGet, calls[call].needs < 0 || calls[call].returned == .max {
      call = self[.get, call] >= 0 ? self[.get, call] : self[.change, call]
    }
    return call
  }

  mutating func undo(to length: Int) {
    while trail.count > length {
      let (cell, before) = trail.removeLast()
      if cell < 0 { stretches[before].removeLast() } else { cells[cell] = before }
    }
  }

  private mutating func takePart(_ call: Int) {
    self[.cluster, call] = call
    self[.start, call] = calls[call].returned
    self[.end, call] = calls[call].called
    note(call)
  }

  private func places(_ start: Int, _ end: Int) -> ClosedRange<Int> {
    let last = stretches.count - 1
    return min(
      last, max(0, min(start, end)) / Self.stretch)...min(
        last, max(0, start == .max ? end : max(start, end)) / Self.stretch)
  }

  private mutating func note(_ cluster: Int) {
    for place in places(self[.start, cluster], self[.end, cluster]) where !stretches[place].contains(cluster) {
      stretches[place].append(cluster)
      trail.append((-1, place))
    }
  }

  struct Zone {
    let start: Int
    let end: Int

    var stretch: ClosedRange<Int> { min(start, end)...max(start, end) }
  }

  /// The cluster's moments if `call` read or changed what `source` left; nil if it cannot have.
  func zone(_ call: Int, from source: ClusterCalls.Source) -> Zone? {
    let one = source.call
    guard leaves(source, self[.needs, call]) else { return nil }
    let cluster = self[.cluster, one]
    let start = cluster < 0 ? calls[one].returned : self[.start, cluster]
    let end = cluster < 0 ? calls[one].called : self[.end, cluster]
    let (ownStart, ownEnd): (Int, Int)
    let own = calls[call].isGet ? call : self[.cluster, call]
    if calls[call].isGet {
      (ownStart, ownEnd) = (calls[call].returned, calls[call].called)
      guard calls[one].called < ownStart, fits(call, after: one) else { return nil }
    } else {
      (ownStart, ownEnd) = (self[.start, own], self[.end, own])
      guard self[.change, one] < 0, cluster != own, end < ownStart else { return nil }
    }
    let zone = Zone(start: min(start, ownStart), end: max(end, ownEnd))
    let isInside = cluster >= 0 && calls[call].isGet && zone.start == start && zone.end == end
    guard isInside || isFree(zone, apartFrom: cluster, own) else { return nil }
    guard self[.source, one] < 0, source.needs >= 0 else { return zone }
    var without: Set<Int> = []
    return hasSource(source.needs, before: zone, apartFrom: cluster, own, &without) ? zone : nil
  }

  /// Whether something could have left this text before a cluster with this zone, and something what that needs, and so
  /// on; each looked at alone. `without`: texts for which there is nothing; empty to begin with.
  private func hasSource(
    _ text: Int, before zone: Zone, apartFrom cluster: Int, _ own: Int, isNext: Bool = true, _ without: inout Set<Int>
  ) -> Bool {
    for source in sources[text] {
      let other = self[.cluster, source.call]
      guard self[.change, source.call] < 0, other < 0 || (other != own && other != cluster), leaves(source, text)
      else { continue }
      // Of appends only: what one needs is shorter than what it leaves.
      let isSettled = calls[source.call].sets || calls[source.call].needs >= 0 || self[.source, source.call] >= 0
      guard isSettled || !without.contains(source.needs) else { continue }
      let start = other < 0 ? calls[source.call].returned : self[.start, other]
      let end = other < 0 ? calls[source.call].called : self[.end, other]
      let both = Zone(start: min(start, zone.start), end: max(end, zone.end))
      guard end < zone.start, isFree(both, apartFrom: cluster, own, other, onlySet: !isNext) else { continue }
      if isSettled
        || hasSource(source.needs, before: zone, apartFrom: cluster, own, isNext: false, &without)
      {
        return true
      }
    }
    without.insert(text)
    return false
  }

  /// Whether a cluster with this zone can be before or after every other; `onlySet`: that begins with a value that was
  /// set, and so cannot become a part of this one.
  private func isFree(
    _ zone: Zone, apartFrom one: Int, _ two: Int, _ three: Int = -1, onlySet: Bool = false
  ) -> Bool {
    for place in places(zone.start, zone.end) {
      for other in stretches[place]
      where other != one && other != two && other != three && self[.cluster, other] == other {
        if self[.start, other] < zone.end, self[.end, other] > zone.start, !onlySet || calls[other].sets {
          return false
        }
      }
    }
    return true
  }

  /// False if it is known to leave another text, or the same after another one.
  private func leaves(_ source: ClusterCalls.Source, _ text: Int) -> Bool {
    guard self[.leaves, source.call] >= 0, text < texts else { return true }
    return self[.leaves, source.call] == text && self[.needs, source.call] == source.needs
  }

  /// From now on, this swap that failed must have a source as well; nothing was joined yet.
  mutating func open(_ notSwapped: Int, _ sources: [ClusterCalls.Source]) {
    self[.needs, notSwapped] = self.sources.count
    trail = []
    self.sources.append(sources)
  }

  /// Whether a get fits between what left what it read, with all before, and what changed that, with all after.
  private func fits(_ get: Int, after source: Int) -> Bool {
    let (called, returned) = (calls[get].called, calls[get].returned)
    var before = self[.source, source]
    while before >= 0 {
      guard calls[before].called < returned else { return false }
      var other = self[.get, before]
      while other >= 0 {
        guard calls[other].called < returned else { return false }
        other = self[.nextGet, other]
      }
      before = self[.source, before]
    }
    var after = self[.change, source]
    while after >= 0 {
      guard calls[after].returned > called else { return false }
      var other = self[.get, after]
      while other >= 0 {
        guard calls[other].returned > called else { return false }
        other = self[.nextGet, other]
      }
      after = self[.change, after]
    }
    return true
  }

  mutating func join(_ call: Int, to source: ClusterCalls.Source, _ zone: Zone) {
    let one = source.call
    if self[.cluster, one] < 0 { takePart(one) }
    if self[.needs, call] < texts { self[.leaves, one] = self[.needs, call] }
    self[.needs, one] = source.needs
    self[.source, call] = one
    let cluster = self[.cluster, one]
    if calls[call].isGet {
      self[.nextGet, call] = self[.get, one]
      self[.get, one] = call
    } else {
      self[.change, one] = call
      var next = call
      while next >= 0 {
        self[.cluster, next] = cluster
        next = self[.change, next]
      }
    }
    self[.start, cluster] = zone.start
    self[.end, cluster] = zone.end
    note(cluster)
  }

  /// The calls in their order, when nothing is open.
  var order: [Int] {
    var found: [Int] = []
    let clusters = calls.indices.filter { self[.cluster, $0] == $0 }
    func key(_ cluster: Int) -> Int { self[.start, cluster] + self[.end, cluster] }
    for cluster in clusters.sorted(by: { (key($0), $0) < (key($1), $1) }) {
      var next = cluster
      while next >= 0 {
        found.append(next)
        var gets: [Int] = []
        var get = self[.get, next]
        while get >= 0 {
          gets.append(get)
          get = self[.nextGet, get]
        }
        found += gets.sorted { calls[$0].called < calls[$1].called }
        next = self[.change, next]
      }
    }
    return found
  }
}
