internal import LockstepWire

/// Where a record is built: one buffer, used again and again, aligned as a disk likes it.
///
/// A log is written in whole blocks, so that a file system can hand them to the disk as they are, without a copy and
/// without pages of its own. What stands in a record's first block before it is kept here from the write before and
/// written again; the disk, which knows no smaller piece than a sector, would have done the same.
struct RecordBuffer: ~Copyable {
  static let block = 4096

  private var storage: UnsafeMutableRawPointer
  private(set) var capacity: Int
  /// Bytes of the file that stand before the record, from the beginning of its first block on.
  private(set) var lead = 0

  init(capacity: Int = 64 * 1024) {
    self.capacity = capacity
    storage = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: Self.block)
  }

  deinit { storage.deallocate() }

  /// The place of the record.
  var base: UnsafeMutableRawPointer { storage + lead }

  /// Makes room for a record of so many bytes, and for the rest of its last block; what was in its place is gone.
  mutating func reserve(_ count: Int) {
    let needed = lead + count + Self.block
    guard needed > capacity else { return }
    capacity = max(needed, capacity * 2)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: Self.block)
    larger.copyMemory(from: storage, byteCount: lead)
    storage.deallocate()
    storage = larger
  }

  // MARK: Records

  /// Pads the body that stands behind the place of the header, and puts the header before it. The header checksum comes
  /// back; the record's bytes are `bytes(header.length)`.
  mutating func finish(_ header: inout RecordHeader, salt: UInt64) -> UInt64 {
    let body = base + RecordHeader.size
    let padding = header.paddedBody - header.bodyLength
    (body + header.bodyLength).initializeMemory(as: UInt8.self, repeating: 0, count: padding)
    header.bodyChecksum = Checksum.of(UnsafeRawBufferPointer(start: body, count: header.paddedBody), seed: salt)
    return header.write(to: base, salt: salt)
  }

  /// A record with this body.
  mutating func fill(_ header: inout RecordHeader, body: [UInt8], salt: UInt64) -> UInt64 {
    header.bodyLength = body.count
    reserve(header.length)
    body.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { (base + RecordHeader.size).copyMemory(from: start, byteCount: bytes.count) }
    }
    return finish(&header, salt: salt)
  }

  func bytes(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  // MARK: Blocks

  /// The next record stands at `offset` of this file.
  mutating func begin(at offset: Int, of file: any DiskFile) throws(DiskError) {
    lead = 0
    let before = offset % Self.block
    reserve(before)
    let count = try file.read(into: UnsafeMutableRawBufferPointer(start: storage, count: before), at: offset - before)
    precondition(count == before, "a record begins behind the end of its file")
    lead = before
  }

  /// Writes the record, which has `count` bytes and stands at `offset`, and zeros up to the end of its last block, or of
  /// the file, which ends at `extent`.
  func write(_ count: Int, to file: any DiskFile, at offset: Int, extent: Int) throws(DiskError) {
    let end = lead + count
    let whole = min((end + Self.block - 1) / Self.block * Self.block, extent - (offset - lead))
    (storage + end).initializeMemory(as: UInt8.self, repeating: 0, count: max(0, whole - end))
    try file.write(UnsafeRawBufferPointer(start: storage, count: max(whole, end)), at: offset - lead)
  }

  /// The record has `count` bytes and is written: the next one stands behind it.
  mutating func advance(by count: Int) {
    let end = lead + count
    lead = end % Self.block
    if end > lead { storage.copyMemory(from: storage + (end - lead), byteCount: lead) }
  }
}
