internal import LockstepWire

// DIR/acknowledged: how far the other nodes have acknowledged. Two slots of 64 KiB, each for one record (see Record) of
// kind acknowledgements whose body is an Acknowledgements message; the record with the higher number counts. They are
// written in turn and never synced: the system gets to it when it likes, so that this costs a write now and then and no
// wait. A process that dies loses nothing, a machine that does may lose what is young. A slot that is torn or damaged is
// as if it had not been written: less is known then, and nothing wrong.

/// What a node keeps of what others have promised to it, in its directory.
struct AcknowledgementFile {
  static let name = "acknowledged"
  private static let slot = 64 * 1024
  private let file: any DiskFile
  private let salt: UInt64
  private var sequence: UInt64
  private(set) var acknowledged: [Acknowledged] = []

  /// Opens it, or makes it when there is none.
  init(disk: any Disk, directory: String, id: [UInt8]) throws(StorageError) {
    let path = "\(directory)/\(Self.name)"
    let isThere = try onDisk { () throws(DiskError) in try disk.list(directory) }?.contains(Self.name) ?? false
    file = try onDisk { () throws(DiskError) in
      try isThere ? disk.open(path, for: .readingAndWriting) : disk.create(path)
    }
    salt = RecordHeader.salt(disk: id, segment: .max)
    sequence = 0
    let window = try FileWindow(file)
    for offset in [0, Self.slot] {
      guard let bytes = try window.bytes(at: offset, count: RecordHeader.size),
        let header = RecordHeader(parsing: bytes, at: offset, salt: salt), header.kind == .acknowledgements,
        header.sequence > sequence, header.length <= Self.slot,
        let body = try window.bytes(at: offset + RecordHeader.size, count: header.paddedBody),
        Checksum.of(body, seed: salt) == header.bodyChecksum
      else { continue }
      do throws(WireError) {
        acknowledged = try Acknowledged.decoded(UnsafeRawBufferPointer(rebasing: body[..<header.bodyLength]))
      } catch {
        throw .damaged(file: path, offset: offset, reason: "the checksum is right, and the record is none: \(error)")
      }
      sequence = header.sequence
    }
  }

  mutating func replace(with list: [Acknowledged]) throws(StorageError) {
    let body = Acknowledged.encoded(list)
    guard RecordHeader.size + RecordHeader.padded(body.count) <= Self.slot else {
      throw .invalidWrite("\(list.count) acknowledgements have no room in \(Self.slot) bytes")
    }
    let number = sequence &+ 1
    let offset = number.isMultiple(of: 2) ? 0 : Self.slot
    var header = RecordHeader(kind: .acknowledgements, sequence: number, offset: offset, link: 0)
    var buffer = RecordBuffer(capacity: RecordHeader.size + RecordHeader.padded(body.count) + RecordBuffer.block)
    _ = buffer.fill(&header, body: body, salt: salt)
    do throws(DiskError) { try file.write(buffer.bytes(header.length), at: offset) } catch { throw StorageError(error) }
    sequence = number
    acknowledged = list
  }

  func close() { file.close() }
}
