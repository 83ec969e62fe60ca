/// What of a map is still to be read, in order, while the map that it was goes on changing. What has been read is let go,
/// so that what the map has replaced meanwhile does not stay in memory until all is read, and what it has not replaced is
/// its own again, to be changed in place.
struct TextMapRest<Value: StoredValue>: Sendable {
  /// Deepest last; of one branch's children, the first is last.
  private var branches: [TextMapBranch<Value>]
  // Unchecked: a leaf may not be Sendable by itself; it is one of a branch's, which answers for it.
  private nonisolated(unsafe) var leaves: [TextMapLeaf<Value>] = []
  /// How many slots of the last one of `leaves` have been read: fewer than it has.
  private var slotsRead = 0

  /// Takes no longer for a larger map, and next to no memory: nothing is looked at yet.
  init(_ root: TextMapBranch<Value>) { branches = [root] }

  /// Whether it is known that there is nothing more; it is once the last slot has been read.
  var isEmpty: Bool { leaves.isEmpty && branches.isEmpty }

  mutating func next() -> TextMapSlot<Value>? {
    if leaves.isEmpty { settle() }
    guard let leaf = leaves.last else { return nil }
    let slot = leaf[slotsRead]
    slotsRead += 1
    if slotsRead == leaf.count {
      leaves.removeLast()
      slotsRead = 0
      settle()
    }
    return slot
  }

  /// Until the last one of `leaves` has a slot, or there is nothing more.
  private mutating func settle() {
    while leaves.last?.count ?? 0 == 0 {
      if leaves.popLast() != nil { continue }
      guard let branch = branches.popLast() else { return }
      branch.addReversed(to: &leaves, &branches)
    }
  }
}
