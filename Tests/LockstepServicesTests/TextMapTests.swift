import LockstepConsensus
import LockstepExecution
import Testing

@testable import LockstepServices

@Suite("text map")
struct TextMapTests {
  /// Keys of all lengths around what lies in the key itself, with zero bytes, shared beginnings, and letters of 1 to 4
  /// bytes.
  private static func key(_ random: inout Generator) -> String {
    let letters = ["\0", "a", "b", "\u{7f}", "\u{e9}", "\u{20ac}", "\u{1f600}"]
    let shared = String(repeating: "k", count: [0, 7, 15, 21, 30][random.below(5)])
    return shared + (0..<random.below(5)).map { _ in letters[random.below(letters.count)] }.joined()
  }

  private struct Differs: Error {
    let step: Int
    let key: String
  }

  @Test("agrees with a sorted array through random changes, and copies keep their state", arguments: [1, 2, 3, 4])
  func model(seed: UInt64) throws {
    var random = Generator(seed: seed)
    var map = TextMap<UInt64>()
    var model = Model()
    var copies: [(TextMap<UInt64>, Model)] = []
    for step in 0..<16_000 {
      let key = seed % 2 == 0 ? Self.key(&random) : String(random.below(9000))
      // The map grows, and shrinks again.
      if random.below(16_000) >= step {
        let old = map.updateValue(UInt64(step), forKey: key)
        guard old == model.set(key, UInt64(step)) else { throw Differs(step: step, key: key) }
      } else {
        let old = map.removeValue(forKey: key)
        guard old == model.set(key, nil) else { throw Differs(step: step, key: key) }
      }
      if step % 1000 == 0 { copies.append((map, model)) }
      let other = Self.key(&random)
      guard map[key] == model[key], map[other] == model[other] else { throw Differs(step: step, key: key) }
    }
    copies.append((map, model))
    for (map, model) in copies {
      #expect(map.count == model.entries.count)
      #expect(map.entries == model.entries)
      #expect(map.digest == TextMap(model).digest)
      let start = Self.key(&random)
      var rest: [Model.Entry] = []
      map.walk(from: start) { key, value in
        rest.append(Model.Entry(key: Array(key.utf8), value: value))
        return rest.count < 10
      }
      #expect(rest == Array(model.entries.drop { $0.key.lexicographicallyPrecedes(start.utf8) }.prefix(10)))
    }
  }

  @Test("keys in order and then removed in order, either way", arguments: [false, true])
  func inOrder(backwards: Bool) {
    var map = TextMap<UInt64>()
    let names = (10_000..<20_000).map(String.init)
    let order = backwards ? names.reversed() : names
    for name in order { map[name] = 1 }
    #expect(map.entries.map(\.key) == names.map { Array($0.utf8) })
    for name in order { map[name] = nil }
    #expect(map.isEmpty && map.entries.isEmpty && map.digest == TextMap<UInt64>().digest)
  }

  @Test("snapshot and restore: the same entries, digest and bytes")
  func snapshot() throws {
    var random = Generator(seed: 7)
    var map = TextMap<String>()
    for _ in 0..<5000 { map[Self.key(&random)] = String(repeating: "v", count: random.below(400)) }
    let bytes = try map.freeze().bytes()
    for pieces in [1, 7, 4096, bytes.count] {
      let restored = try TextMap<String>(of: bytes, pieces: pieces)
      #expect(restored.digest == map.digest && restored.count == map.count)
      #expect(try restored.freeze().bytes(pieces: pieces) == bytes)
    }
  }

  @Test(
    "restore: a map of any size is found in, changed and emptied like the one that was frozen",
    arguments: [0, 1, 2, 63, 64, 65, 128, 64 * 64, 64 * 64 + 1, 64 * 65, 300_000])
  func restoredGoesOn(count: Int) throws {
    var map = TextMap<UInt64>()
    for number in 0..<count { map[String(1_000_000 + 2 * number)] = UInt64(number) }
    var restored = try TextMap<UInt64>(of: try map.freeze().bytes())
    #expect(restored.count == count && restored.digest == map.digest && restored.entries == map.entries)
    var random = Generator(seed: UInt64(count))
    for step in 0..<2_000 {
      let key = String(1_000_000 + random.below(2 * count + 3))
      let value = step % 3 == 0 ? nil : UInt64(step)
      #expect(restored[key] == map[key])
      (restored[key], map[key]) = (value, value)
    }
    #expect(restored.digest == map.digest && restored.entries == map.entries)
    for entry in map.entries { restored[String(decoding: entry.key, as: UTF8.self)] = nil }
    #expect(restored.isEmpty && restored.entries.isEmpty)
  }

  @Test("text from bytes is these bytes, or none where they are no UTF-8")
  func textOfBytes() {
    let valid: [[UInt8]] = [
      [], [0], Array("a".utf8), Array("\u{fffd}".utf8), Array("e\u{301}\u{1f600}\u{20ac}".utf8),
      [UInt8](repeating: 65, count: 1000),
    ]
    let wrong: [[UInt8]] = [
      [0xff], [0x80], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf0, 0x80, 0x80, 0x80],
      [65, 0xe2, 0x82], [0xe2, 0x82, 65], Array("\u{fffd}".utf8) + [0xff], [0xef, 0xbf],
      [0xf8, 0x88, 0x80, 0x80, 0x80],
    ]
    for bytes in valid { #expect(bytes.withUnsafeBytes { String(ofUTF8: $0) }.map { Array($0.utf8) } == bytes) }
    for bytes in wrong { #expect(bytes.withUnsafeBytes { String(ofUTF8: $0) } == nil, "\(bytes)") }
    #expect(String(ofUTF8: UnsafeRawBufferPointer(start: nil, count: 0)) == "")
  }

  @Test("restore: whatever is damaged is refused")
  func damaged() throws {
    var map = TextMap<UInt64>()
    for name in ["a", "b", "c"] { map[name] = 1 }
    let bytes = try map.freeze().bytes()
    for length in 0..<bytes.count {
      #expect(throws: CallStatus.self) { try TextMap<UInt64>(of: Array(bytes[..<length])) }
    }
    #expect(throws: CallStatus.self) { try TextMap<UInt64>(of: bytes + [0]) }
    for place in bytes.indices {
      for byte in UInt8.min...UInt8.max where byte != bytes[place] {
        var changed = bytes
        changed[place] = byte
        // Values may have changed; what is taken is a map in order all the same.
        if let taken = try? TextMap<UInt64>(of: changed) { #expect(try taken.freeze().bytes() == changed) }
      }
    }
    #expect(throws: CallStatus.self) { try TextMap<UInt64>(of: [2, 1, 98, 0, 1, 97, 0]) }
    #expect(throws: CallStatus.self) { try TextMap<String>(of: [2, 1, 98, 0, 1, 97, 0]) }
    #expect(throws: CallStatus.self) { try TextMap<String>(of: [1, 1, 0xff, 0]) }
    #expect(throws: CallStatus.self) { try TextMap<String>(of: [UInt8](repeating: 0xff, count: 32)) }
  }

  @Test("asking for memory ahead changes nothing: keys that are there and not, short and long, one and many")
  func prefetch() {
    var map = TextMap<String>()
    map.prefetch(["", "a"])
    var keys: [String] = []
    for number in 0..<5000 { keys.append(String(repeating: "key", count: number % 30) + "\(number)") }
    for key in keys where key.utf8.count.isMultiple(of: 2) { map[key] = key + key }
    let copy = map
    map.prefetch(keys)
    map.prefetch([])
    for key in keys { map.prefetch([key]) }
    #expect(map.digest == copy.digest && map.count == copy.count)
    for key in keys { #expect(map[key] == (key.utf8.count.isMultiple(of: 2) ? key + key : nil)) }
    // Values that hold no memory besides themselves, of any bits.
    var numbers = TextMap<UInt64>()
    for (place, key) in keys.enumerated() { numbers[key] = UInt64(place) &* 0x9e37_79b9_7f4a_7c15 }
    numbers.prefetch(keys)
    #expect(numbers[keys[7]] == 7 &* 0x9e37_79b9_7f4a_7c15)
  }

  @Test("the hash of a text is the same in every process")
  func stableHash() {
    var hasher = StableHasher()
    hasher.combine("The same on every replica, whatever the process.")
    hasher.combine(42)
    #expect(hasher.finish() == 18_429_161_325_104_592_626)
    var long = StableHasher()
    long.combine(String(repeating: "0123456789", count: 40))
    #expect(long.finish() == 5_565_214_173_980_847_177)
  }

  @Test("the hash of bytes depends on each bit of them, on their order and on their number, whatever that is")
  func everyBit() {
    func hash(_ bytes: [UInt8]) -> UInt64 {
      var hasher = StableHasher()
      bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
      return hasher.finish()
    }
    var seen: Set<UInt64> = []
    var expected = 0
    for count in [0, 1, 7, 8, 15, 16, 63, 64, 127, 128, 129, 191, 192, 200, 255, 256, 257, 4096] {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
      seen.insert(hash(bytes))
      // As many zeros: only their number tells them apart.
      seen.insert(hash([UInt8](repeating: 0, count: count)))
      expected += count == 0 ? 1 : 2
      for bit in 0..<count * 8 {
        var other = bytes
        other[bit / 8] ^= 1 << UInt8(bit % 8)
        seen.insert(hash(other))
      }
      expected += count * 8
      guard count >= 32 else { continue }
      // Two words change places.
      for place in 0..<count / 16 - 1 {
        var other = bytes
        other.replaceSubrange(place * 16..<place * 16 + 16, with: bytes[place * 16 + 16..<place * 16 + 32])
        other.replaceSubrange(place * 16 + 16..<place * 16 + 32, with: bytes[place * 16..<place * 16 + 16])
        seen.insert(hash(other))
        expected += 1
      }
    }
    // One byte flipped to 0 is as the zeros of that length; nothing else may meet.
    #expect(expected - seen.count <= 1)
  }
}

/// A sorted array of entries: what the map is held against.
private struct Model {
  struct Entry: Hashable {
    let key: [UInt8]
    var value: UInt64
  }

  private(set) var entries: [Entry] = []

  private func find(_ key: [UInt8]) -> (place: Int, found: Bool) {
    var (place, end) = (0, entries.count)
    while place < end {
      let middle = (place + end) / 2
      if entries[middle].key.lexicographicallyPrecedes(key) { place = middle + 1 } else { end = middle }
    }
    return (place, place < entries.count && entries[place].key == key)
  }

  subscript(key: String) -> UInt64? {
    let (place, found) = find(Array(key.utf8))
    return found ? entries[place].value : nil
  }

  mutating func set(_ key: String, _ value: UInt64?) -> UInt64? {
    let key = Array(key.utf8)
    let (place, found) = find(key)
    let old = found ? entries[place].value : nil
    if found { entries.remove(at: place) }
    if let value { entries.insert(Entry(key: key, value: value), at: place) }
    return old
  }
}

extension TextMap where Value == UInt64 {
  fileprivate var entries: [Model.Entry] {
    var entries: [Model.Entry] = []
    forEach { entries.append(Model.Entry(key: Array($0.utf8), value: $1)) }
    return entries
  }

  fileprivate init(_ model: Model) {
    self.init()
    for entry in model.entries { self[String(decoding: entry.key, as: UTF8.self)] = entry.value }
  }
}

extension TextMap {
  /// From all of these bytes, which arrive in pieces of this length.
  init(of bytes: [UInt8], pieces: Int = 3) throws(CallStatus) {
    var reader = SnapshotReader(bytes, pieces: pieces)
    try self.init(restoring: &reader)
    try reader.end()
  }
}
