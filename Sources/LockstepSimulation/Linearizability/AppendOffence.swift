/// Answers that offend by themselves, in a history of which all that changes anything appends: found without a search.
///
/// The text only ever grows. So what was read once begins all that is read later, and holds what had been appended before.
struct AppendOffence {
  private struct Read {
    let place: Int
    let text: [UInt8]
    let called: UInt64
    let returned: UInt64
    /// It had read an empty text, and not that there is none.
    let isEmptyText: Bool
  }
  private struct Append {
    let place: Int
    let text: [UInt8]
    let called: UInt64
    let returned: UInt64?
    /// How long a text is that begins the longest one and holds this.
    var end = Int.max
  }

  /// Places of one answer or two.
  private(set) var places: [Int] = []
  /// Of comparing bytes, more than which a search would be no slower.
  private static let work = 1_000_000_000
  /// With one answer fewer there is an order.
  private(set) var isSmallest = true
  private var appends: [Append] = []

  /// Nil: other things change something, or nothing as plain as this offends.
  init?(_ operations: [TimedOperation<RegisterModel.Operation>]) {
    var reads: [Read] = []
    for (place, timed) in operations.enumerated() {
      switch timed.operation {
      case .append(let text):
        appends.append(
          Append(place: place, text: Array(text.utf8), called: timed.called, returned: timed.returned))
      case .get(.value(let text)):
        guard let returned = timed.returned else { continue }
        reads.append(
          Read(
            place: place, text: Array((text ?? "").utf8), called: timed.called, returned: returned,
            isEmptyText: text?.isEmpty ?? false))
      case .get(.unknown): continue
      case .put, .compareAndSet, .delete, .add: return nil
      }
    }
    reads.sort { ($0.text.count, $0.place) < ($1.text.count, $1.place) }
    guard let longest = reads.last, longest.text.count * appends.count < Self.work else { return nil }
    if let (one, other) = Self.parted(reads) {
      settle([one, other])
      return
    }
    // All that was read begins the longest text: to hold something is to be as long as where that ends in it.
    for position in appends.indices {
      appends[position].end = RegisterStates.end(of: appends[position].text, in: longest.text) ?? .max
    }
    if let (append, read) = missing(reads) {
      settle([read], and: append)
    } else if let (one, other) = Self.shrunk(reads) {
      settle([one, other])
    } else {
      return nil
    }
  }

  /// One of these reads offends alone, or all of them do together, and with this append if it is named.
  private mutating func settle(_ reads: [Read], and append: Int? = nil) {
    for read in reads {
      switch isShown(read) {
      case .composed: continue
      case .impossible:
        (places, isSmallest) = ([read.place], true)
        return
      case .open: isSmallest = false
      }
    }
    places = (reads.map(\.place) + [append].compactMap(\.self)).sorted()
  }

  // MARK: Two answers

  /// Two reads of which neither begins the other.
  private static func parted(_ byLength: [Read]) -> (Read, Read)? {
    for (shorter, longer) in zip(byLength, byLength.dropFirst())
    where !RegisterStates.begins(longer.text, with: shorter.text) {
      return (shorter, longer)
    }
    return nil
  }

  /// What had been appended before a read was called, and is not in it: the shortest such read.
  private func missing(_ reads: [Read]) -> (append: Int, read: Read)? {
    let returned = appends.filter { $0.returned != nil }.sorted { $0.returned! < $1.returned! }
    var found: (append: Int, read: Read)?
    var (next, latest) = (0, nil as Append?)
    for read in reads.sorted(by: { $0.called < $1.called }) {
      while next < returned.count, returned[next].returned! < read.called {
        if returned[next].end > latest?.end ?? 0 { latest = returned[next] }
        next += 1
      }
      guard let latest, latest.end > read.text.count, read.text.count < found?.read.text.count ?? .max else { continue }
      found = (latest.place, read)
    }
    return found
  }

  /// A read that had less than one that had returned before it was called.
  private static func shrunk(_ reads: [Read]) -> (Read, Read)? {
    let byReturn = reads.sorted { $0.returned < $1.returned }
    var (next, longest) = (0, nil as Read?)
    for read in reads.sorted(by: { $0.called < $1.called }) {
      while next < byReturn.count, byReturn[next].returned < read.called {
        if byReturn[next].text.count >= longest?.text.count ?? 0 { longest = byReturn[next] }
        next += 1
      }
      if let longest, longest.text.count > read.text.count { return (longest, read) }
    }
    return nil
  }

  // MARK: One answer

  private enum Composition {
    /// Of what had been called by its return, each once: alone it offends against nothing.
    case composed
    /// Of that it cannot be made at all.
    case impossible
    case open
  }

  private func isShown(_ read: Read) -> Composition {
    var known: [[UInt8]: Int] = [:]
    var lengths: Set<Int> = []
    for append in appends where append.called <= read.returned && !append.text.isEmpty {
      known[append.text, default: 0] += 1
      lengths.insert(append.text.count)
    }
    guard !read.isEmptyText, read.text.count * lengths.count < Self.work / 50 else { return .open }
    // From the end: with which length a text goes on that can be made; nil where none can.
    let text = read.text
    var goesOn = [Int?](repeating: nil, count: text.count + 1)
    goesOn[text.count] = 0
    for start in text.indices.reversed() {
      goesOn[start] = lengths.first { length in
        guard start + length <= text.count, goesOn[start + length] != nil else { return false }
        return known[Array(text[start..<(start + length)])] != nil
      }
    }
    guard goesOn[0] != nil else { return .impossible }
    var start = 0
    while start < text.count, let length = goesOn[start] {
      let part = Array(text[start..<(start + length)])
      guard let left = known[part], left > 0 else { return .open }
      known[part] = left - 1
      start += length
    }
    return .composed
  }
}
