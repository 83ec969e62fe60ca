/// A branch of the B+ tree that a `TextMap` is, shared between maps that are copies of each other. It holds leaves or
/// branches, and between each two of them a key: all keys to its left are less, all to its right are not. All leaves
/// lie equally deep.
///
/// Unchecked: a branch or a leaf is changed only where `isKnownUniquelyReferenced` has said that no other map holds it,
/// and copied before otherwise.
final class TextMapBranch<Value: StoredValue>: @unchecked Sendable {
  typealias Leaf = TextMapLeaf<Value>
  typealias Slot = TextMapSlot<Value>
  typealias Split = (key: TextKey, right: TextMapBranch)

  private var keys: ContiguousArray<TextKey> = []
  /// One of the two is empty.
  private var leaves: ContiguousArray<Leaf> = []
  private var branches: ContiguousArray<TextMapBranch> = []

  /// Most children of a branch.
  private static var capacity: Int { 64 }
  /// With fewer slots or children than this, a child looks for a neighbour that has room for what it holds.
  private static var sparse: Int { 16 }

  /// The root of an empty map.
  init() { leaves = [Leaf.make()] }

  /// The root of a map that fits in one leaf.
  init(only leaf: Leaf) { leaves = [leaf] }

  /// A new root above the two halves of the old one.
  init(left: TextMapBranch, _ split: Split) {
    keys = [split.key]
    branches = [left, split.right]
  }

  private init(
    keys: ContiguousArray<TextKey>, leaves: ContiguousArray<Leaf>, branches: ContiguousArray<TextMapBranch>
  ) {
    self.keys = keys
    self.leaves = leaves
    self.branches = branches
  }

  private var isLowest: Bool { branches.isEmpty }
  private var size: Int { keys.count + 1 }

  /// The branch that is all this one holds.
  var onlyBranch: TextMapBranch? { branches.count == 1 ? branches[0] : nil }

  // MARK: Looking up

  /// Its children, whichever they are, the first one last.
  func addReversed(to leaves: inout [Leaf], _ branches: inout [TextMapBranch]) {
    leaves.append(contentsOf: self.leaves.reversed())
    branches.append(contentsOf: self.branches.reversed())
  }

  /// The child that a key belongs to: how many keys are at most it.
  private func place(of key: TextKey) -> Int {
    keys.withUnsafeBufferPointer { keys in
      guard let first = keys.baseAddress else { return 0 }
      var low = 0
      var high = keys.count
      while low < high {
        let middle = (low &+ high) / 2
        if TextKey.precedes(first + middle, key, orEqual: true) { low = middle &+ 1 } else { high = middle }
      }
      return low
    }
  }

  func slot(of key: TextKey) -> Slot? {
    var branch = self
    while !branch.isLowest { branch = branch.branches[branch.place(of: key)] }
    let leaf = branch.leaves[branch.place(of: key)]
    return leaf.find(key).map { leaf[$0] }
  }

  /// Where the leaf of this key lies in memory, which is not touched, not even to hold the leaf; nor are the branches on
  /// the way held, which the map does.
  func leafAddress(of key: TextKey) -> UnsafeRawPointer {
    func load(_ nodes: UnsafeRawBufferPointer) -> UnsafeRawPointer {
      nodes.load(fromByteOffset: place(of: key) * MemoryLayout<UnsafeRawPointer>.stride, as: UnsafeRawPointer.self)
    }
    if isLowest { return leaves.withUnsafeBytes(load) }
    let next = branches.withUnsafeBytes(load)
    return Unmanaged<TextMapBranch>.fromOpaque(next)._withUnsafeGuaranteedRef { $0.leafAddress(of: key) }
  }

  /// Returns false when `body` did, which ends the scan.
  func scan(from start: TextKey, _ body: (TextKey, Value) -> Bool) -> Bool {
    for place in self.place(of: start)..<size {
      if isLowest {
        let leaf = leaves[place]
        for place in leaf.place(of: start)..<leaf.count {
          let slot = leaf[place]
          guard body(slot.key, slot.value) else { return false }
        }
      } else if !branches[place].scan(from: start, body) {
        return false
      }
    }
    return true
  }

  // MARK: Changing

  private static func own(_ branch: inout TextMapBranch) {
    if !isKnownUniquelyReferenced(&branch) {
      branch = TextMapBranch(keys: branch.keys, leaves: branch.leaves, branches: branch.branches)
    }
  }

  private static func own(_ leaf: inout Leaf) {
    if !isKnownUniquelyReferenced(&leaf) { leaf = leaf.copy() }
  }

  /// Sets the key's value. Says whether the key was there, and then leaves the slot that it had in `slot`; and returns the
  /// right half where the branch had to be split.
  static func insert(_ slot: inout Slot, into branch: inout TextMapBranch) -> (wasThere: Bool, split: Split?) {
    own(&branch)
    return branch.insert(&slot)
  }

  private func insert(_ slot: inout Slot) -> (wasThere: Bool, split: Split?) {
    let place = place(of: slot.key)
    if isLowest {
      Self.own(&leaves[place])
      let (wasThere, split) = leaves[place].insert(&slot)
      guard let split else { return (wasThere, nil) }
      keys.insert(split.key, at: place)
      leaves.insert(split.right, at: place + 1)
    } else {
      let (wasThere, split) = Self.insert(&slot, into: &branches[place])
      guard let split else { return (wasThere, nil) }
      keys.insert(split.key, at: place)
      branches.insert(split.right, at: place + 1)
    }
    return (false, size > Self.capacity ? split(atEnd: place + 2 == size) : nil)
  }

  /// Adds a leaf, which is not empty, and whose keys are greater than all that are here.
  static func append(_ leaf: Leaf, to branch: inout TextMapBranch) -> Split? {
    own(&branch)
    return branch.append(leaf)
  }

  private func append(_ leaf: Leaf) -> Split? {
    if isLowest {
      keys.append(leaf[0].key)
      leaves.append(leaf)
    } else {
      guard let split = Self.append(leaf, to: &branches[branches.count - 1]) else { return nil }
      keys.append(split.key)
      branches.append(split.right)
    }
    return size > Self.capacity ? split(atEnd: true) : nil
  }

  /// Moves the right half to a new branch; only the last child where that is what was added.
  private func split(atEnd: Bool) -> Split {
    let place = atEnd ? size - 1 : size / 2
    let middle = keys[place - 1]
    let right = TextMapBranch(
      keys: ContiguousArray(keys[place...]), leaves: ContiguousArray(leaves.dropFirst(place)),
      branches: ContiguousArray(branches.dropFirst(place)))
    keys.removeSubrange((place - 1)...)
    leaves.removeSubrange(min(place, leaves.count)...)
    branches.removeSubrange(min(place, branches.count)...)
    return (middle, right)
  }

  /// Removes a key that is there.
  static func remove(_ key: TextKey, from branch: inout TextMapBranch) {
    own(&branch)
    branch.remove(key)
  }

  private func remove(_ key: TextKey) {
    let place = place(of: key)
    let size: Int
    if isLowest {
      Self.own(&leaves[place])
      if let slot = leaves[place].find(key) { leaves[place].remove(at: slot) }
      size = leaves[place].count
    } else {
      Self.remove(key, from: &branches[place])
      size = branches[place].size
    }
    guard size < Self.sparse else { return }
    if place + 1 < self.size, merge(at: place) { return }
    if place > 0 { _ = merge(at: place - 1) }
  }

  /// Joins a child and the one after it, where one has room for both. Where it has not, they stay as they are: a sparse
  /// one then has a neighbour that is not.
  private func merge(at place: Int) -> Bool {
    if isLowest {
      let right = leaves[place + 1]
      guard leaves[place].count + right.count <= Leaf.capacity else { return false }
      Self.own(&leaves[place])
      leaves[place].append(right)
      leaves.remove(at: place + 1)
    } else {
      let right = branches[place + 1]
      guard branches[place].size + right.size <= Self.capacity else { return false }
      Self.own(&branches[place])
      branches[place].append(keys[place], right)
      branches.remove(at: place + 1)
    }
    keys.remove(at: place)
    return true
  }

  private func append(_ key: TextKey, _ other: TextMapBranch) {
    keys.append(key)
    keys.append(contentsOf: other.keys)
    leaves.append(contentsOf: other.leaves)
    branches.append(contentsOf: other.branches)
  }
}
