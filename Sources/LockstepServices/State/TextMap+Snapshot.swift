public import LockstepExecution

// The bytes of a map in a snapshot, lengths as varints:
//
//     number of keys
//     for each key, in order:  length of the key, the key (UTF-8), length of the value, the value (`StoredValue.encode`)
//
// Each key is greater than the one before: equal maps have equal bytes. Another collection's bytes may follow.

extension TextMap {
  /// The map as it is, in the time that a copy takes: none.
  public func freeze() -> some Snapshot {
    EncodedSnapshot(of: Frozen(map: self)) { frozen, buffer in frozen.encode(into: &buffer) }
  }

  /// A map that does not change, and how far it has been written.
  private struct Frozen: Sendable {
    let map: TextMap
    /// The first key that is not written yet. Nil: not even the number of keys is.
    private var next: TextKey?

    /// Entries that are written at once, unless one alone is longer.
    private static var bytesAtOnce: Int { 4096 }

    init(map: TextMap) { self.map = map }

    /// False when these were the last.
    mutating func encode(into buffer: inout SnapshotBuffer) -> Bool {
      let end = buffer.count + Self.bytesAtOnce
      if next == nil { buffer.append(varint: UInt64(map.count)) }
      let first = next ?? TextKey("")
      var encoded: [UInt8] = []
      var isLast = true
      map.scan(from: first) { key, value in
        guard buffer.count < end else {
          next = key
          isLast = false
          return false
        }
        key.withBytes { bytes in
          buffer.append(varint: UInt64(bytes.count))
          buffer.append(bytes)
        }
        encoded.removeAll(keepingCapacity: true)
        value.encode(into: &encoded)
        buffer.append(varint: UInt64(encoded.count))
        buffer.append(encoded)
        return true
      }
      return !isLast
    }
  }

  /// The map that was frozen; `dataLoss`, with the place, when the bytes are no map.
  public init(restoring snapshot: inout SnapshotReader) throws(Status) {
    self.init()
    let expected = try snapshot.varint()
    var last: TextKey?
    for _ in 0..<expected {
      let key = TextKey(try snapshot.text())
      if let last, !(last < key) { throw snapshot.damage("keys are out of order") }
      last = key
      update(key, try snapshot.borrow(snapshot.varint()) { bytes throws(Status) in try Value(decoding: bytes.bytes) })
    }
  }
}
