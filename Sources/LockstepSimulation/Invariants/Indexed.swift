import LockstepConsensus

/// What is known of each entry behind a base, by its index. Of what the base covers nothing is kept entry by entry: a
/// snapshot stands for it. With a base of zero that is nothing.
struct Indexed<Element> {
  private(set) var base: LogIndex
  private(set) var elements: [Element]

  init(base: LogIndex = .zero, _ elements: [Element] = []) {
    self.base = base
    self.elements = elements
  }

  /// The last one's index; the base where there is none.
  var last: LogIndex { base.advanced(by: elements.count) }
  var lastElement: Element? { elements.last }

  /// Nil when the base covers it, or when there is no such entry yet.
  subscript(index: LogIndex) -> Element? {
    guard index > base, index <= last else { return nil }
    return elements[index.distance(after: base) - 1]
  }

  mutating func append(_ element: Element) { elements.append(element) }
  mutating func append(contentsOf others: [Element]) { elements.append(contentsOf: others) }

  /// The base stays.
  mutating func removeAll(after index: LogIndex) {
    guard index < last else { return }
    elements.removeSubrange(index.distance(after: base)...)
  }

  func prefix(through index: LogIndex) -> Indexed {
    var copy = self
    copy.removeAll(after: index)
    return copy
  }
}
