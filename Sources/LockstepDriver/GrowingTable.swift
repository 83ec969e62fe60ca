/// Values by ids that are given out in growing order: an array in their order. Slots that have become free are reused
/// when they are more than half, so that one value that stays keeps no others' room.
struct GrowingTable<Value> {
  private var slots: [(id: UInt64, value: Value?)] = []
  private(set) var nextID: UInt64
  private(set) var count = 0

  /// Ids go out to other nodes: each start of a node begins elsewhere, so that a late answer to an earlier one finds
  /// nothing.
  init(firstID: UInt64 = 1) { nextID = firstID }

  /// Slots, free ones among them.
  var capacity: Int { slots.count }

  mutating func add(_ value: Value) -> UInt64 {
    slots.append((nextID, value))
    count += 1
    nextID += 1
    return nextID - 1
  }

  mutating func remove(_ id: UInt64) -> Value? {
    guard let position = position(of: id), let value = slots[position].value else { return nil }
    slots[position].value = nil
    count -= 1
    if count == 0 { slots.removeAll(keepingCapacity: true) }
    if slots.count > 2 * count + 1024 { slots.removeAll { $0.value == nil } }
    return value
  }

  private func position(of id: UInt64) -> Int? {
    guard let first = slots.first, id >= first.id, id < nextID else { return nil }
    // Where none has been taken out in between, it is as far from the first as its id.
    if let offset = Int(exactly: id - first.id), offset < slots.count, slots[offset].id == id { return offset }
    var (low, high) = (0, slots.count)
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < slots.count && slots[low].id == id ? low : nil
  }

  /// Takes out all that match, in order of their ids.
  mutating func removeAll(where matches: (Value) -> Bool) -> [Value] {
    var removed: [Value] = []
    slots.removeAll { slot in
      guard let value = slot.value else { return true }
      guard matches(value) else { return false }
      removed.append(value)
      return true
    }
    count = slots.count
    return removed
  }

  /// Changes values in place.
  mutating func change(_ body: (inout Value) -> Void) {
    for position in slots.indices where slots[position].value != nil { body(&slots[position].value!) }
  }

  func forEach(_ body: (Value) -> Void) { for case (_, let value?) in slots { body(value) } }
}
