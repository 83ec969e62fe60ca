internal import LockstepWire

/// Sizes of the log on disk.
package struct LogOptions: Sendable {
  /// Of a segment file.
  package var segmentBytes = 64 << 20
  /// Of the first one, which is written through before a new node answers.
  package var firstSegmentBytes = 16 << 20
  /// Of the latest entries that recovery hands back, for each group.
  package var recoveredBytes = 4 << 20
  /// Log between two points of the index in memory: what a read may have to skip.
  package var indexSpacing = 64 << 10

  package init() {}

  /// Of segments of this size, the first among them where it would be larger.
  package init(segmentBytes: Int) {
    self.segmentBytes = segmentBytes
    firstSegmentBytes = min(firstSegmentBytes, segmentBytes)
  }
}

/// Where in the log a record stands.
struct LogPosition: Comparable, Sendable {
  var segment: UInt64
  var offset: Int

  static func < (left: LogPosition, right: LogPosition) -> Bool {
    (left.segment, left.offset) < (right.segment, right.offset)
  }
}

/// The files of one node's log and how they are named.
struct LogFiles: Sendable {
  let disk: any Disk
  let directory: String
  let identity: DiskIdentity

  static let unfinished = ".new"
  private static let prefix = "log-"
  private static let digits = 10
  /// More than any disk has room for; the numbers that follow one exist.
  private static let maximumNumber: UInt64 = 1 << 48

  static func name(_ segment: UInt64) -> String {
    let number = String(segment)
    return prefix + String(repeating: "0", count: max(0, digits - number.count)) + number
  }

  func path(_ segment: UInt64) -> String { "\(directory)/\(Self.name(segment))" }
  func salt(_ segment: UInt64) -> UInt64 { RecordHeader.salt(disk: identity.disk, segment: segment) }

  func reader(_ segment: UInt64, step: Int = 1 << 20) throws(StorageError) -> SegmentReader {
    let path = path(segment)
    let file = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    return SegmentReader(path: path, salt: salt(segment), file: file, window: try FileWindow(file, step: step))
  }

  /// The numbers of the segments, none missing in between, none twice. Whether the first that is there may be the first
  /// is said by the bases that the log records (LogReplay).
  func segments() throws(StorageError) -> [UInt64] {
    let names = try onDisk { () throws(DiskError) in try disk.list(directory) } ?? []
    return try Self.segments(in: names, directory: directory)
  }

  static func segments(in names: [String], directory: String) throws(StorageError) -> [UInt64] {
    var numbers: [UInt64] = []
    for name in names where name.hasPrefix(prefix) && !name.hasSuffix(unfinished) {
      guard let number = UInt64(name.dropFirst(prefix.count)), (1...maximumNumber).contains(number),
        Self.name(number) == name
      else {
        throw .refused(
          path: "\(directory)/\(name)", reason: "not a name that a segment of the log is given; move it elsewhere")
      }
      numbers.append(number)
    }
    numbers.sort()
    for (number, next) in zip(numbers, numbers.dropFirst()) where next != number + 1 {
      throw .lost(
        path: "\(directory)/\(Self.name(number + 1))",
        reason: "this segment of the log is missing, \(Self.name(next)) is there")
    }
    return numbers
  }

  /// What a segment begins with. `end` is the record that ended the segment before.
  func header(
    segment: UInt64, sequence: UInt64, link: UInt64, extent: Int, groups: [GroupState]
  ) -> (header: RecordHeader, body: [UInt8]) {
    let body = SegmentHeader(
      cluster: identity.cluster, node: identity.node, disk: identity.disk, segment: segment,
      sequence: sequence &+ 1, groups: groups)
    return (
      RecordHeader(kind: .segment, sequence: sequence, offset: 0, link: link, extent: extent), body.encoded()
    )
  }
}

/// One segment file, read record by record.
final class SegmentReader {
  enum Found {
    /// The body is valid until the next call.
    case record(RecordHeader, body: UnsafeRawBufferPointer)
    case brokenBody(RecordHeader)
    case nothing
  }

  let path: String
  let salt: UInt64
  let window: FileWindow
  private let file: any DiskFile

  init(path: String, salt: UInt64, file: any DiskFile, window: FileWindow) {
    self.path = path
    self.salt = salt
    self.file = file
    self.window = window
  }

  deinit { file.close() }

  func record(at offset: Int) throws(StorageError) -> Found {
    guard let bytes = try window.bytes(at: offset, count: RecordHeader.size),
      let header = RecordHeader(parsing: bytes, at: offset, salt: salt)
    else { return .nothing }
    guard let body = try window.bytes(at: offset + RecordHeader.size, count: header.paddedBody),
      Checksum.of(body, seed: salt) == header.bodyChecksum || header.bodyLength == 0
    else { return .brokenBody(header) }
    return .record(header, body: UnsafeRawBufferPointer(rebasing: body[..<header.bodyLength]))
  }

  func damaged(at offset: Int, _ reason: String) -> StorageError {
    .damaged(file: path, offset: offset, reason: reason)
  }
}

/// The body of a batch record: LogBatch after LogBatch, each with its length before it.
enum BatchBody {
  /// One LogBatch, where it stands in the record's body, and its entries as they are.
  struct Part {
    let header: LogBatchHeader
    let offset: Int
    let region: UnsafeRawBufferPointer
  }

  /// Hands the parts to `body`, in order, until it says false.
  static func forEach(
    in bytes: UnsafeRawBufferPointer, at place: (path: String, offset: Int),
    _ body: (Part) throws(StorageError) -> Bool
  ) throws(StorageError) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let part: Part
      do throws(WireError) {
        let range = try cursor.delimited()
        let message = UnsafeRawBufferPointer(rebasing: bytes[range])
        let (header, entries) = try LogBatchHeader.parse(message)
        part = Part(
          header: header, offset: range.lowerBound + entries.lowerBound,
          region: UnsafeRawBufferPointer(rebasing: message[entries]))
      } catch { throw .damaged(file: place.path, offset: place.offset, reason: "\(error)") }
      guard try body(part) else { return }
    }
  }
}
