/// Finds a method by the bytes of its full name, "package.Service/Method", without making a String of what arrives.
struct MethodTable: Sendable {
  private let names: [[UInt8]]
  /// Open addressing: a place in `names`, or -1; at most half of the slots are taken.
  private let slots: [Int32]

  /// Names must differ from each other.
  init(_ names: [String]) {
    self.names = names.map { Array($0.utf8) }
    var size = 8
    while size < 2 * names.count { size *= 2 }
    var slots = [Int32](repeating: -1, count: size)
    for (place, name) in self.names.enumerated() {
      var slot = name.withUnsafeBytes { Self.hash($0) } & (size - 1)
      while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
      slots[slot] = Int32(place)
    }
    self.slots = slots
  }

  /// The place of this name in the list that the table was made of.
  func find(_ name: UnsafeRawBufferPointer) -> Int? {
    var slot = Self.hash(name) & (slots.count - 1)
    while slots[slot] >= 0 {
      let place = Int(slots[slot])
      if names[place].withUnsafeBytes({ Self.areEqual($0, name) }) { return place }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard left.count >= 8 else { return left.elementsEqual(right) }
    var place = 0
    while place + 8 < left.count {
      if word(left, place) != word(right, place) { return false }
      place &+= 8
    }
    return word(left, left.count &- 8) == word(right, left.count &- 8)
  }

  private static func word(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
  }

  /// From the end of the name, where methods differ, and its length; so a hostile name costs no more than a good one.
  private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
    var hasher = StableHasher()
    if name.count >= 16 {
      hasher.combine(word(name, name.count &- 16))
      hasher.combine(word(name, name.count &- 8))
    } else {
      hasher.combine(bytes: name)
    }
    hasher.combine(UInt64(name.count))
    return Int(truncatingIfNeeded: hasher.finish())
  }
}
