/// A node of a B+ tree, shared between maps that are copies of each other. A leaf holds keys and their values; a branch
/// holds children, and between each two of them a key: all keys to its left are less, all to its right are not. All
/// leaves lie equally deep.
///
/// Unchecked: a node is changed only where `isKnownUniquelyReferenced` has said that no other map holds it, and copied
/// before otherwise.
final class TextMapNode<Value: StoredValue>: @unchecked Sendable {
  typealias Split = (key: TextKey, right: TextMapNode)

  /// A value, and the hash of its key and itself: what the map's digest loses when it is replaced.
  struct Item: Sendable {
    let value: Value
    let hash: UInt64
  }

  private var keys: ContiguousArray<TextKey> = []
  private var items: ContiguousArray<Item> = []
  private var children: ContiguousArray<TextMapNode> = []

  /// Most keys of a leaf, and most children of a branch.
  private static var capacity: Int { 64 }
  /// Below this a node looks for a neighbour that has room for what it holds.
  private static var sparse: Int { 16 }

  /// An empty leaf.
  init() {}

  /// A new root above the two halves of the old one.
  init(left: TextMapNode, _ split: Split) {
    keys = [split.key]
    children = [left, split.right]
  }

  private init(copying other: TextMapNode) {
    keys = other.keys
    items = other.items
    children = other.children
  }

  private var isLeaf: Bool { children.isEmpty }
  private var size: Int { isLeaf ? keys.count : children.count }

  /// The child of a branch that has no other.
  var onlyChild: TextMapNode? { children.count == 1 ? children[0] : nil }

  // MARK: Looking up

  /// How many keys are less than this one; with `orEqual`, at most it.
  private func place(of key: TextKey, orEqual: Bool) -> Int {
    keys.withUnsafeBufferPointer { keys in
      guard let first = keys.baseAddress else { return 0 }
      var low = 0
      var high = keys.count
      while low < high {
        let middle = (low &+ high) / 2
        if TextKey.precedes(first + middle, key, orEqual: orEqual) { low = middle &+ 1 } else { high = middle }
      }
      return low
    }
  }

  func item(of key: TextKey) -> Item? {
    var node = self
    while !node.isLeaf { node = node.children[node.place(of: key, orEqual: true)] }
    let place = node.place(of: key, orEqual: false)
    return place < node.keys.count && node.keys[place] == key ? node.items[place] : nil
  }

  /// Returns false when `body` did, which ends the scan.
  func scan(from start: TextKey, _ body: (TextKey, Value) -> Bool) -> Bool {
    if isLeaf {
      for place in self.place(of: start, orEqual: false)..<keys.count where !body(keys[place], items[place].value) {
        return false
      }
    } else {
      for place in self.place(of: start, orEqual: true)..<children.count
      where !children[place].scan(from: start, body) {
        return false
      }
    }
    return true
  }

  // MARK: Changing

  private static func own(_ node: inout TextMapNode) {
    if !isKnownUniquelyReferenced(&node) { node = TextMapNode(copying: node) }
  }

  /// Sets the key's value. Returns the one that it had, and the right half where the node had to be split.
  static func insert(_ key: TextKey, _ item: Item, into node: inout TextMapNode) -> (old: Item?, split: Split?) {
    own(&node)
    return node.insert(key, item)
  }

  private func insert(_ key: TextKey, _ item: Item) -> (old: Item?, split: Split?) {
    guard isLeaf else {
      let place = self.place(of: key, orEqual: true)
      let (old, split) = Self.insert(key, item, into: &children[place])
      guard let split else { return (old, nil) }
      keys.insert(split.key, at: place)
      children.insert(split.right, at: place + 1)
      return (old, children.count > Self.capacity ? self.split(atEnd: place + 2 == children.count) : nil)
    }
    let place = self.place(of: key, orEqual: false)
    if place < keys.count, keys[place] == key {
      var old = item
      swap(&old, &items[place])
      return (old, nil)
    }
    keys.insert(key, at: place)
    items.insert(item, at: place)
    return (nil, keys.count > Self.capacity ? split(atEnd: place + 1 == keys.count) : nil)
  }

  /// Moves the right half to a new node; only the last element where that is what was added, since keys that come in
  /// order then leave full nodes behind.
  private func split(atEnd: Bool) -> Split {
    let place = atEnd ? size - 1 : size / 2
    let right = TextMapNode()
    if isLeaf {
      right.keys = ContiguousArray(keys[place...])
      right.items = ContiguousArray(items[place...])
      keys.removeSubrange(place...)
      items.removeSubrange(place...)
      return (right.keys[0], right)
    }
    let middle = keys[place - 1]
    right.keys = ContiguousArray(keys[place...])
    right.children = ContiguousArray(children[place...])
    keys.removeSubrange((place - 1)...)
    children.removeSubrange(place...)
    return (middle, right)
  }

  /// Removes a key that is there.
  static func remove(_ key: TextKey, from node: inout TextMapNode) {
    own(&node)
    node.remove(key)
  }

  private func remove(_ key: TextKey) {
    if isLeaf {
      let place = self.place(of: key, orEqual: false)
      keys.remove(at: place)
      items.remove(at: place)
    } else {
      let place = self.place(of: key, orEqual: true)
      Self.remove(key, from: &children[place])
      guard children[place].size < Self.sparse else { return }
      if place + 1 < children.count, merge(at: place) { return }
      if place > 0 { _ = merge(at: place - 1) }
    }
  }

  /// Joins a child and the one after it, where one node has room for both. Where it has not, they stay as they are: a
  /// sparse node then has a neighbour that is not.
  private func merge(at place: Int) -> Bool {
    let right = children[place + 1]
    guard children[place].size + right.size <= Self.capacity else { return false }
    Self.own(&children[place])
    let left = children[place]
    if !left.isLeaf { left.keys.append(keys[place]) }
    left.keys.append(contentsOf: right.keys)
    left.items.append(contentsOf: right.items)
    left.children.append(contentsOf: right.children)
    keys.remove(at: place)
    children.remove(at: place + 1)
    return true
  }
}
