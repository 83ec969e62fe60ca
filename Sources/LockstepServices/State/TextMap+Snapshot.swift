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
    EncodedSnapshot(of: Frozen(count: count, rest: rest)) { frozen, buffer in frozen.encode(into: &buffer) }
  }

  /// A map that does not change, and what of it has not been written.
  private struct Frozen: Sendable {
    /// How many keys it has; nil when that is written.
    var count: Int?
    var rest: TextMapRest<Value>

    /// Entries that are written at once, unless one alone is longer.
    private static var bytesAtOnce: Int { 4096 }

    /// False when these were the last.
    mutating func encode(into buffer: inout SnapshotBuffer) -> Bool {
      let end = buffer.count + Self.bytesAtOnce
      if let count { buffer.append(varint: UInt64(count)) }
      count = nil
      var encoded: [UInt8] = []
      while buffer.count < end, let slot = rest.next() {
        slot.key.withBytes { bytes in
          buffer.append(varint: UInt64(bytes.count))
          buffer.append(bytes)
        }
        encoded.removeAll(keepingCapacity: true)
        slot.value.encode(into: &encoded)
        buffer.append(varint: UInt64(encoded.count))
        buffer.append(encoded)
      }
      return !rest.isEmpty
    }
  }

  /// The map that was frozen; `dataLoss`, with the place, when the bytes are no map.
  public init(restoring snapshot: inout SnapshotReader) throws(CallStatus) {
    let expected = try snapshot.varint()
    var (builder, last) = (Builder(), TextKey?.none)
    for _ in 0..<expected {
      let key = TextKey(try snapshot.text())
      if let last, !(last < key) { throw snapshot.damage("keys are out of order") }
      last = key
      try snapshot.borrow(snapshot.varint()) { bytes throws(CallStatus) in
        builder.append(key, try Value(decoding: bytes.bytes))
      }
    }
    self = builder.finish()
  }
}
