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
    let fields: Fields
    if let quick = Self.quickFields(bytes, end) { fields = quick } else { fields = try Self.fields(bytes, end) }
    (timestamp, machineVersion, session, sequence) =
      (fields.timestamp, fields.machineVersion, fields.session, fields.sequence)
    (method, payload) = (fields.method, fields.payload)
    let (term, index, kindValue) = (fields.term, fields.index, fields.kind)
    guard let known = UInt8(exactly: kindValue).flatMap({ EntryKind(rawValue: $0) }) else {
      throw WireError("an entry of kind \(kindValue), which this version does not know")
    }
    guard term > 0, index > 0 else { throw WireError("an entry without term or index") }
    guard index < .max, term < .max else { throw WireError("an entry at the end of all numbers") }
    kind = known
    id = EntryID(term: Term(term), index: LogIndex(index))
  }

  private struct Fields {
    var (term, index, kind): (UInt64, UInt64, UInt64) = (0, 0, 0)
    var timestamp: UInt64 = 0
    var machineVersion: UInt32 = 0
    var (session, sequence): (UInt64, UInt64) = (0, 0)
    var (method, payload): (Range<Int>, Range<Int>) = (0..<0, 0..<0)
  }

  /// The same as `fields`, or nil.
  @inline(__always)
  private static func quickFields(_ bytes: UnsafeRawBufferPointer, _ end: Int) -> Fields? {
    var fields = Fields()
    var reader = QuickReader(bytes, end: end)
    // In the order in which they are written.
    guard reader.number(1, into: &fields.term), reader.number(2, into: &fields.index),
      reader.number(3, into: &fields.kind), reader.number(4, into: &fields.timestamp),
      reader.number(6, into: &fields.session), reader.number(7, into: &fields.sequence),
      reader.delimited(8, into: &fields.method), reader.delimited(9, into: &fields.payload), reader.isAtEnd
    else { return nil }
    return fields
  }

  private static func fields(_ bytes: UnsafeRawBufferPointer, _ end: Int) throws(WireError) -> Fields {
    var fields = Fields()
    var cursor = WireCursor(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    var previousField: UInt64 = 0
    while !cursor.isAtEnd {
      let place = cursor.position
      let tag = try cursor.varint()
      guard tag >> 3 > previousField else { throw WireError("entry fields out of order", at: place) }
      previousField = tag >> 3
      switch tag {
      case 1 << 3: fields.term = try cursor.varint()
      case 2 << 3: fields.index = try cursor.varint()
      case 3 << 3: fields.kind = try cursor.varint()
      case 4 << 3: fields.timestamp = try cursor.varint()
      case 5 << 3:
        guard let version = UInt32(exactly: try cursor.varint()) else {
          throw WireError("a machine version of more than 32 bits", at: place)
        }
        fields.machineVersion = version
      case 6 << 3: fields.session = try cursor.varint()
      case 7 << 3: fields.sequence = try cursor.varint()
      case 8 << 3 | 2: fields.method = try cursor.delimited()
      case 9 << 3 | 2: fields.payload = try cursor.delimited()
      default: throw WireError("an entry field that this version does not know (tag \(tag))", at: place)
      }
    }
    return fields
  }

  /// The chain hash that these bytes must carry when they follow `previous`.
  package static func expectedChain(of bytes: UnsafeRawBufferPointer, after previous: UInt64) -> UInt64 {
    Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - chainLength)]), seed: previous)
  }
}
