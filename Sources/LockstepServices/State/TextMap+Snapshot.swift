public import LockstepExecution

// The bytes of a map in a snapshot, lengths as varints:
//
//     number of keys
//     for each key, in order:  length of the key, the key (UTF-8), length of the value, the value (`StoredValue.encode`)
//
// Each key is greater than the one before, and nothing follows the last value: equal maps have equal bytes.

extension TextMap {
  /// Pieces are about this long, unless a single value is longer.
  private static var pieceBytes: Int { 256 * 1024 }

  /// The map as bytes, in pieces that are to be put one after the other.
  public func snapshot(_ write: ([UInt8]) -> Void) {
    var piece: [UInt8] = []
    var encoded: [UInt8] = []
    piece.appendVarint(UInt64(count))
    scan(from: TextKey("")) { key, value in
      key.withBytes { bytes in
        piece.appendVarint(UInt64(bytes.count))
        piece.append(contentsOf: bytes)
      }
      encoded.removeAll(keepingCapacity: true)
      value.encode(into: &encoded)
      piece.appendVarint(UInt64(encoded.count))
      piece.append(contentsOf: encoded)
      if piece.count >= Self.pieceBytes {
        write(piece)
        piece.removeAll(keepingCapacity: true)
      }
      return true
    }
    if !piece.isEmpty { write(piece) }
  }

  /// The map from the bytes that `snapshot` wrote, all pieces together; `dataLoss`, with the place, when they are no
  /// such bytes.
  public init(restoring snapshot: [UInt8]) throws(Status) {
    self = try snapshot.borrow { bytes throws(Status) in try TextMap(restoring: bytes) }
  }

  private init(restoring bytes: UnsafeRawBufferPointer) throws(Status) {
    self.init()
    var reader = ByteReader(bytes, "the snapshot of a map")
    let expected = try reader.varint()
    var last: TextKey?
    for _ in 0..<expected {
      let key = TextKey(try reader.text())
      if let last, !(last < key) { throw reader.damage("keys are out of order") }
      last = key
      update(key, try Value(decoding: reader.take(reader.varint())))
    }
    guard reader.isAtEnd else { throw reader.damage("more follows the last value") }
  }
}
