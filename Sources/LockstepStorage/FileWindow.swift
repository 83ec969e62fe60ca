/// A file read through a window that moves forward: large reads, whatever the size of the records. Where it has moved on
/// once, the disk is told what comes next.
final class FileWindow {
  private static let ahead = 4 << 20

  let size: Int
  private let file: any DiskFile
  private var buffer: RecordBuffer
  private let step: Int
  private var start = 0
  private var count = 0
  /// The disk has been told up to here.
  private var announced = 0

  init(_ file: any DiskFile, step: Int = 1 << 20) throws(StorageError) {
    self.file = file
    self.step = step
    size = try onDisk { () throws(DiskError) in try file.size() }
    buffer = RecordBuffer(capacity: min(step, max(size, RecordHeader.size)))
  }

  /// These bytes of the file, valid until the next call; nil when the file does not reach so far. So no length that was
  /// read from the disk can ask for more memory than the file has bytes.
  func bytes(at offset: Int, count wanted: Int) throws(StorageError) -> UnsafeRawBufferPointer? {
    guard offset >= 0, wanted >= 0, offset <= size, wanted <= size - offset else { return nil }
    if offset < start || offset + wanted > start + count {
      let length = min(max(wanted, step), size - offset)
      buffer.reserve(length)
      announce(behind: offset + length, hasMovedOn: offset > start && offset <= start + count)
      (start, count) = (offset, 0)
      let base = buffer.base
      count = try onDisk { () throws(DiskError) in
        try file.read(into: UnsafeMutableRawBufferPointer(start: base, count: length), at: offset)
      }
      guard count >= wanted else { return nil }
    }
    return UnsafeRawBufferPointer(start: buffer.base + (offset - start), count: wanted)
  }

  private func announce(behind end: Int, hasMovedOn: Bool) {
    guard hasMovedOn else { return announced = end }
    let first = max(end, announced)
    // In steps of half of it: not a call for each window.
    guard first < size, first - end <= Self.ahead / 2 else { return }
    announced = min(size, end + Self.ahead)
    file.prefetch(first..<announced)
  }

  /// The next call reads again: the file has been written to.
  func forget() { count = 0 }

  /// Where the last byte that is not zero ends, from `offset` on; nil when all are zero.
  func lastNonZero(from offset: Int) throws(StorageError) -> Int? {
    var last: Int?
    var place = offset
    while place < size {
      let length = min(step, size - place)
      guard let bytes = try bytes(at: place, count: length) else { break }
      if let end = bytes.lastNonZero { last = place + end }
      place += length
    }
    return last
  }
}

extension UnsafeRawBufferPointer {
  /// Where the last byte that is not zero ends; nil when all are zero.
  var lastNonZero: Int? {
    var end = count
    while end >= 8, loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0 { end -= 8 }
    while end > 0, self[end - 1] == 0 { end -= 1 }
    return end == 0 ? nil : end
  }

  var isZero: Bool { lastNonZero == nil }
}
