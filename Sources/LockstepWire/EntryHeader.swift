package import LockstepConsensus

/// What an encoded entry says of itself; method and payload stay where they are and are named by their ranges.
package struct EntryHeader: Sendable, Equatable {
  package var id: EntryID
  package var kind: EntryKind
  package var timestamp: UInt64
  package var machineVersion: UInt32
  package var session: UInt64
  package var sequence: UInt64
  package var chain: UInt64
  /// Within the entry's own bytes.
  package var method: Range<Int>
  package var payload: Range<Int>

  /// The tag of `chain`, field 15 as fixed64. It and its eight bytes end every entry.
  static let chainTag: UInt8 = 15 << 3 | 1
  static let chainLength = 9

  /// Reads an entry's own fields without unpacking its payload, and checks that it is in the one form that a leader
  /// writes: fields in order, each at most once, the chain last.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(WireError) {
    guard bytes.count >= Self.chainLength, bytes[bytes.count - Self.chainLength] == Self.chainTag else {
      throw WireError("an entry of \(bytes.count) bytes that does not end in its chain hash")
    }
    let end = bytes.count - Self.chainLength
    chain = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end + 1, as: UInt64.self))
    var (term, index, kindValue): (UInt64, UInt64, UInt64) = (0, 0, 0)
    (timestamp, machineVersion, session, sequence, method, payload) = (0, 0, 0, 0, 0..<0, 0..<0)
    var cursor = WireCursor(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    var previousField: UInt64 = 0
    while !cursor.isAtEnd {
      let place = cursor.position
      let tag = try cursor.varint()
      guard tag >> 3 > previousField else { throw WireError("entry fields out of order", at: place) }
      previousField = tag >> 3
      switch tag {
      case 1 << 3: term = try cursor.varint()
      case 2 << 3: index = try cursor.varint()
      case 3 << 3: kindValue = try cursor.varint()
      case 4 << 3: timestamp = try cursor.varint()
      case 5 << 3:
        guard let version = UInt32(exactly: try cursor.varint()) else {
          throw WireError("a machine version of more than 32 bits", at: place)
        }
        machineVersion = version
      case 6 << 3: session = try cursor.varint()
      case 7 << 3: sequence = try cursor.varint()
      case 8 << 3 | 2: method = try cursor.delimited()
      case 9 << 3 | 2: payload = try cursor.delimited()
      default: throw WireError("an entry field that this version does not know (tag \(tag))", at: place)
      }
    }
    guard let known = UInt8(exactly: kindValue).flatMap({ EntryKind(rawValue: $0) }) else {
      throw WireError("an entry of kind \(kindValue), which this version does not know")
    }
    guard term > 0, index > 0 else { throw WireError("an entry without term or index") }
    guard index < .max, term < .max else { throw WireError("an entry at the end of all numbers") }
    kind = known
    id = EntryID(term: Term(term), index: LogIndex(index))
  }

  /// The chain hash that these bytes must carry when they follow `previous`.
  package static func expectedChain(of bytes: UnsafeRawBufferPointer, after previous: UInt64) -> UInt64 {
    Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - chainLength)]), seed: previous)
  }
}
