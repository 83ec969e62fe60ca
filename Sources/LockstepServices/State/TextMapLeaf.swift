/// A key of a map with what belongs to it, side by side: to find one is to have the other in the cache.
struct TextMapSlot<Value: StoredValue>: Sendable {
  fileprivate(set) var key: TextKey
  let value: Value
  /// Of the key and the value: what the map's digest loses when the value is replaced.
  let hash: UInt64

  init(key: TextKey, value: Value, hash: UInt64) {
    self.key = key
    self.value = value
    self.hash = hash
  }
}

/// How many slots of a leaf are in use, and a byte of each one's key: to look a key up by its byte touches two lines of
/// memory and then its own, where a search by halves touches one at every step.
struct TextMapLeafHeader: Sendable {
  fileprivate(set) var count = 0
  fileprivate var bytes: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
}

/// A leaf of a `TextMap`: slots in the order of their keys, in one piece of memory. Not Sendable by itself, which no
/// ManagedBuffer may be: branches hold it, and answer for it.
final class TextMapLeaf<Value: StoredValue>: ManagedBuffer<TextMapLeafHeader, TextMapSlot<Value>> {
  typealias Slot = TextMapSlot<Value>
  typealias Split = (key: TextKey, right: TextMapLeaf)

  /// As many as there are bytes in the header.
  static var capacity: Int { 64 }

  static func make() -> TextMapLeaf {
    // One more, for the moment between an insertion and the split that follows it.
    let leaf = create(minimumCapacity: capacity + 1) { _ in TextMapLeafHeader() }
    return unsafeDowncast(leaf, to: TextMapLeaf.self)
  }

  deinit {
    _ = withUnsafeMutablePointers { header, slots in slots.deinitialize(count: header.pointee.count) }
  }

  func copy() -> TextMapLeaf {
    let copy = Self.make()
    copy.append(self, from: 0)
    return copy
  }

  var count: Int { header.count }

  // MARK: Looking up

  subscript(_ place: Int) -> Slot { withUnsafeMutablePointerToElements { $0[place] } }

  /// Where the key is, if it is here.
  func find(_ key: TextKey) -> Int? { find(key) { TextKey.areEqual(&$0.pointee.key, key) } }

  /// Where the slot lies in memory that the key is in, or one whose key has the same byte. The slot is not touched.
  func likelySlot(of key: TextKey) -> UnsafePointer<Slot>? {
    find(key) { _ in true }.map { place in withUnsafeMutablePointerToElements { UnsafePointer($0 + place) } }
  }

  /// The first of the slots with the key's byte that `isFound` says yes to.
  @inline(__always)
  private func find(_ key: TextKey, _ isFound: (UnsafeMutablePointer<Slot>) -> Bool) -> Int? {
    withUnsafeMutablePointers { header, slots in
      let count = header.pointee.count
      let pattern = 0x0101_0101_0101_0101 &* UInt64(key.byte)
      return withUnsafeBytes(of: &header.pointee.bytes) { bytes in
        var start = 0
        while start < count {
          let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)) ^ pattern
          // Bytes that are zero now are the key's; beside one of those this may take another for it, which the
          // comparison of the keys finds out.
          var zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
          while zeros != 0 {
            let place = start &+ zeros.trailingZeroBitCount / 8
            if place < count, isFound(slots + place) { return place }
            zeros &= zeros &- 1
          }
          start &+= 8
        }
        return nil
      }
    }
  }

  /// How many keys are less than this one.
  func place(of key: TextKey) -> Int {
    withUnsafeMutablePointers { header, slots in
      var low = 0
      var high = header.pointee.count
      while low < high {
        let middle = (low &+ high) / 2
        if TextKey.precedes(&slots[middle].key, key, orEqual: false) { low = middle &+ 1 } else { high = middle }
      }
      return low
    }
  }

  // MARK: Changing

  /// Sets the key's value. Says whether the key was there, and then leaves the slot that it had in `slot`; and returns the
  /// right half where the leaf had to be split.
  func insert(_ slot: inout Slot) -> (wasThere: Bool, split: Split?) {
    if let place = find(slot.key) {
      withUnsafeMutablePointerToElements { swap(&$0[place], &slot) }
      return (true, nil)
    }
    let place = place(of: slot.key)
    let isFull = withUnsafeMutablePointers { header, slots in
      let count = header.pointee.count
      (slots + place + 1).moveInitialize(from: slots + place, count: count - place)
      (slots + place).initialize(to: slot)
      header.pointee.count = count + 1
      return count == Self.capacity
    }
    if isFull { return (false, split(atEnd: place == Self.capacity)) }
    noteBytes(from: place)
    return (false, nil)
  }

  /// Moves the right half to a new leaf; only the last slot where that is what was added, since keys that come in order
  /// then leave full leaves behind.
  private func split(atEnd: Bool) -> Split {
    let right = Self.make()
    let place = atEnd ? count - 1 : count / 2
    withUnsafeMutablePointers { header, slots in
      let moved = header.pointee.count - place
      right.withUnsafeMutablePointers { rightHeader, rightSlots in
        rightSlots.moveInitialize(from: slots + place, count: moved)
        rightHeader.pointee.count = moved
      }
      header.pointee.count = place
    }
    noteBytes(from: 0)
    right.noteBytes(from: 0)
    return (right[0].key, right)
  }

  func remove(at place: Int) {
    withUnsafeMutablePointers { header, slots in
      (slots + place).deinitialize(count: 1)
      (slots + place).moveInitialize(from: slots + place + 1, count: header.pointee.count - place - 1)
      header.pointee.count -= 1
    }
    noteBytes(from: place)
  }

  var isFull: Bool { count == Self.capacity }

  /// Adds a slot whose key is greater; there is room for it.
  func append(_ slot: Slot) {
    withUnsafeMutablePointers { header, slots in
      let place = header.pointee.count
      (slots + place).initialize(to: slot)
      withUnsafeMutableBytes(of: &header.pointee.bytes) { $0[place] = slot.key.byte }
      header.pointee.count = place + 1
    }
  }

  /// Adds copies of all slots of a leaf whose keys are greater; there is room for them.
  func append(_ other: TextMapLeaf) { append(other, from: count) }

  private func append(_ other: TextMapLeaf, from place: Int) {
    withUnsafeMutablePointers { header, slots in
      other.withUnsafeMutablePointers { otherHeader, otherSlots in
        (slots + place).initialize(from: otherSlots, count: otherHeader.pointee.count)
        header.pointee.count = place + otherHeader.pointee.count
      }
    }
    noteBytes(from: place)
  }

  private func noteBytes(from place: Int) {
    withUnsafeMutablePointers { header, slots in
      let count = header.pointee.count
      withUnsafeMutableBytes(of: &header.pointee.bytes) { bytes in
        for place in place..<max(place, count) { bytes[place] = slots[place].key.byte }
      }
    }
  }
}
