internal import LockstepWire

// A record, as it stands in all files of a directory but the lock. All numbers are little-endian.
//
//      0  u32  "LKR1"                   the format and its version
//      4  u8×4 kind, four times         codes that differ in at least four bits each
//      8  u64  sequence                 of a record: one more than that of the record before, through all segments;
//                                       of a seal: that of the record before; of a mark (synced): that of a record
//     16  u64  offset                   where in its file the record stands: a misdirected write is not believed
//     24  u32  length of the body
//     28  u32  0
//     32  u64  checksum of the body with its padding
//     40  u64  link                     the header checksum of the record before: an older version of a record, come
//                                       back, does not fit between its neighbours
//     48  u64  extent                   size of the file (segment header, identity, end of a snapshot), otherwise 0
//     56  u64  checksum of the 56 bytes before
//     64  body, padded with zeros to a multiple of 64
//
// Both checksums are XXH3-64, seeded with a salt made of the disk's random id and the segment's number. So the bytes of
// another disk or another segment never pass, and a client that writes the image of a record into an entry cannot make
// one that does. Records are aligned to their header's size, so a header lies within one sector: it is on the disk as
// it was written, or as it was before, and a record whose header is there has a known length.

package enum RecordKind: UInt8, Sendable {
  case segment = 0x3c
  case batch = 0x5a
  case seal = 0xa5
  case end = 0xc3
  case identity = 0x0f
  case acknowledgements = 0xf0
  case snapshot = 0x33
  case chunk = 0xcc
  case snapshotEnd = 0x55
  case synced = 0xaa
}

struct RecordHeader: Equatable {
  static let size = 64
  static let magic: UInt32 = 0x3152_4b4c
  /// More than any batch: a log that wrote one larger could not count on reading it back.
  static let maximumBody = 1 << 30

  var kind: RecordKind
  var sequence: UInt64
  var offset: Int
  var bodyLength: Int
  var bodyChecksum: UInt64
  var link: UInt64
  var extent: Int

  init(
    kind: RecordKind, sequence: UInt64, offset: Int, bodyLength: Int = 0, bodyChecksum: UInt64 = 0, link: UInt64,
    extent: Int = 0
  ) {
    self.kind = kind
    self.sequence = sequence
    self.offset = offset
    self.bodyLength = bodyLength
    self.bodyChecksum = bodyChecksum
    self.link = link
    self.extent = extent
  }

  /// Reads the header that claims to stand at `offset`; nil when its checksum or its place says otherwise.
  init?(parsing bytes: UnsafeRawBufferPointer, at offset: Int, salt: UInt64) {
    func load32(_ place: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
    }
    func load64(_ place: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
    }
    guard bytes.count >= Self.size, load32(0) == Self.magic else { return nil }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[..<56])
    guard load64(56) == Checksum.of(covered, seed: salt), load64(16) == UInt64(offset) else { return nil }
    guard let kind = RecordKind(rawValue: bytes[4]), load32(4) == UInt32(bytes[4]) &* 0x0101_0101 else { return nil }
    guard load32(24) <= Self.maximumBody, let extent = Int(exactly: load64(48)) else { return nil }
    self.init(
      kind: kind, sequence: load64(8), offset: offset, bodyLength: Int(load32(24)), bodyChecksum: load64(32),
      link: load64(40), extent: extent)
  }

  /// Writes the 64 bytes and returns their checksum, which is the next record's link.
  @discardableResult
  func write(to target: UnsafeMutableRawPointer, salt: UInt64) -> UInt64 {
    target.storeBytes(of: Self.magic.littleEndian, as: UInt32.self)
    target.storeBytes(of: UInt32(kind.rawValue) &* 0x0101_0101, toByteOffset: 4, as: UInt32.self)
    target.storeBytes(of: sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
    target.storeBytes(of: UInt64(offset).littleEndian, toByteOffset: 16, as: UInt64.self)
    target.storeBytes(of: UInt64(bodyLength).littleEndian, toByteOffset: 24, as: UInt64.self)
    target.storeBytes(of: bodyChecksum.littleEndian, toByteOffset: 32, as: UInt64.self)
    target.storeBytes(of: link.littleEndian, toByteOffset: 40, as: UInt64.self)
    target.storeBytes(of: UInt64(extent).littleEndian, toByteOffset: 48, as: UInt64.self)
    let checksum = Checksum.of(UnsafeRawBufferPointer(start: target, count: 56), seed: salt)
    target.storeBytes(of: checksum.littleEndian, toByteOffset: 56, as: UInt64.self)
    return checksum
  }

  func bytes(salt: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    bytes.withUnsafeMutableBytes { _ = write(to: $0.baseAddress.unsafelyUnwrapped, salt: salt) }
    return bytes
  }

  func checksum(salt: UInt64) -> UInt64 {
    bytes(salt: salt).withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 56, as: UInt64.self)) }
  }

  var paddedBody: Int { Self.padded(bodyLength) }
  /// Header, body and padding.
  var length: Int { Self.size + paddedBody }

  static func padded(_ count: Int) -> Int { (count + size - 1) & ~(size - 1) }

  static func salt(disk: [UInt8], segment: UInt64) -> UInt64 { Checksum.of(disk, seed: segment) }
}
