internal import LockstepWire

// DIR/synced-N: a record of the log that was known to be synced when this was written, named by its number and by the
// checksum of its header. Two places, written in turn, each for the header of a record without a body (see Record), of
// kind synced; the one with the higher number counts.
//
// A log that ends before that record, or has another one in its place, is an older copy of itself, or has lost what it
// had: by its own checksums it could not be told from a log whose process was killed there. Such a start is refused.
//
// The order, and what a crash leaves:
//
//   1  the batch is written and synced        before 2: the mark names an earlier record, which is there
//   2  a place of the mark is written         torn: as if it had not been written, and the other place names an earlier one
//   3  the file is renamed: N is the record   either name; what is in the file counts
//   4  nothing: it is never synced            a power cut leaves each place as it was, as it is, or torn, or no file at all
//
// So it costs no wait, says too little after a power cut, and never too much: a node that crashed anywhere starts. Nor is it
// ever taken back, as records are only added: a torn batch that is dropped was not synced, what replaces entries is a
// later record, so is a new beginning of the log behind a snapshot, at a start that completes an install too, and segments
// that go are the oldest. A start notes nothing before it has written and synced again what it found at the end (Repair):
// that may have come from a cache whose sync had failed. A log that is made anew has another disk's id, with which what an
// earlier one has left here does not match.
//
// An older copy of the directory that is put back, file for file, brings its own mark along. Two things tell it. Copied over
// the files that are there it leaves the latest mark beside its own, as that has another name; of all marks the one that
// knows most counts, and the others are removed. And a third place says when the file was made, as which inode (see
// IdentityFile): a mark that was put in the place of one that is gone is a copy, though the identity may be the old file,
// which has not changed since the start. `synced`, without a number, is the mark of a version before these.
//
// What the log got since the mark, and a file system that is taken back as a whole, are not its business.

/// How far the log was once synced, as another file than the log has it.
struct SyncedMark {
  static let name = "synced"
  /// In sectors, and in blocks, of their own.
  private static let places = [0, 4096]
  /// Written once, in a sector of its own.
  private static let birthPlace = 2048
  /// While the disk has no idle moment, so many records are noted together.
  private static let interval: UInt64 = 1024

  private let files: LogFiles
  private let salt: UInt64
  /// Of the one that counts.
  private var path: String?
  /// Opened, or made, when there is something to note.
  private var file: (any DiskFile)?
  /// They know less; removed when there is something to note.
  private var others: [String] = []
  private var next = 0
  private(set) var last: (sequence: UInt64, link: UInt64)?

  /// Whether a file of a directory is one.
  static func isOne(_ name: String) -> Bool { name == Self.name || name.hasPrefix(Self.name + "-") }

  init(files: LogFiles) throws(StorageError) {
    self.files = files
    salt = Self.salt(files)
    for path in try Self.paths(files) {
      let file = try onDisk { () throws(DiskError) in try files.disk.open(path, for: .reading) }
      defer { file.close() }
      let window = try FileWindow(file)
      var isLast = false
      for (number, place) in Self.places.enumerated() {
        guard let header = try Self.header(window, at: place, salt), header.sequence > last?.sequence ?? 0 else {
          continue
        }
        last = (header.sequence, header.link)
        next = Self.places.count - 1 - number
        isLast = true
      }
      if isLast, let known = self.path { others.append(known) }
      if isLast || self.path == nil { self.path = path } else { others.append(path) }
    }
  }

  // No segment has this number, nor has the file with the acknowledgements.
  private static func salt(_ files: LogFiles) -> UInt64 {
    RecordHeader.salt(disk: files.identity.disk, segment: .max - 1)
  }

  private static func paths(_ files: LogFiles) throws(StorageError) -> [String] {
    let names = try onDisk { () throws(DiskError) in try files.disk.list(files.directory) } ?? []
    return names.filter(isOne).map { "\(files.directory)/\($0)" }
  }

  private static func header(
    _ window: FileWindow, at place: Int, _ salt: UInt64
  ) throws(StorageError) -> RecordHeader? {
    guard let bytes = try window.bytes(at: place, count: RecordHeader.size),
      let header = RecordHeader(parsing: bytes, at: place, salt: salt), header.kind == .synced
    else { return nil }
    return header
  }

  // MARK: Copies

  /// Whether one of them is another file than it says. One that says nothing whole may have been cut short by a power cut.
  static func isCopy(_ files: LogFiles) throws(StorageError) -> Bool {
    for path in try paths(files) {
      let file = try onDisk { () throws(DiskError) in try files.disk.open(path, for: .reading) }
      defer { file.close() }
      guard let recorded = try header(try FileWindow(file), at: birthPlace, salt(files)),
        let birth = try onDisk({ () throws(DiskError) in try file.birth() })
      else { continue }
      if recorded.link != birth { return true }
    }
    return false
  }

  /// Somebody knows that the copy is the latest: from now on it says of itself what it is. Durable when this returns.
  static func adopt(_ files: LogFiles) throws(StorageError) {
    for path in try paths(files) {
      do throws(DiskError) {
        let file = try files.disk.open(path, for: .readingAndWriting)
        defer { file.close() }
        try recordBirth(of: file, salt(files))
        try file.sync()
      } catch { throw StorageError(error) }
    }
  }

  private static func recordBirth(of file: any DiskFile, _ salt: UInt64) throws(DiskError) {
    let record = try file.birth().map {
      RecordHeader(kind: .synced, sequence: 1, offset: birthPlace, link: $0).bytes(salt: salt)
    }
    // Zeros where the disk knows none: the file may have come from one that did.
    try file.write(record ?? [UInt8](repeating: 0, count: RecordHeader.size), at: birthPlace)
  }

  // MARK: Notes

  func isDue(at sequence: UInt64) -> Bool { sequence >= (last?.sequence ?? 0) &+ Self.interval }

  /// Notes that all up to this record is synced.
  mutating func note(_ sequence: UInt64, link: UInt64) throws(StorageError) {
    guard sequence > last?.sequence ?? 0 else { return }
    let file = try opened(sequence)
    let place = Self.places[next]
    let header = RecordHeader(kind: .synced, sequence: sequence, offset: place, link: link)
    do throws(DiskError) {
      try file.write(header.bytes(salt: salt), at: place)
      let renamed = path(sequence)
      if let path, path != renamed { try files.disk.rename(path, to: renamed) }
      path = renamed
    } catch {
      guard error.reason == .notFound else { throw StorageError(error) }
      // Somebody has removed it: less is known, and the next note makes another one.
      self.file = nil
      path = nil
    }
    next = Self.places.count - 1 - next
    last = (sequence, link)
  }

  private func path(_ sequence: UInt64) -> String {
    let number = String(sequence)
    return "\(files.directory)/\(Self.name)-\(String(repeating: "0", count: max(0, 10 - number.count)))\(number)"
  }

  private mutating func opened(_ sequence: UInt64) throws(StorageError) -> any DiskFile {
    if let file { return file }
    do throws(DiskError) {
      while let path = others.popLast() {
        do throws(DiskError) { try files.disk.remove(path) } catch {
          guard error.reason == .notFound else { throw error }
        }
      }
      let opened: any DiskFile
      if let path {
        opened = try files.disk.open(path, for: .readingAndWriting)
      } else {
        opened = try files.disk.create(path(sequence))
        path = path(sequence)
      }
      try Self.recordBirth(of: opened, salt)
      file = opened
      return opened
    } catch { throw StorageError(error) }
  }

  func close() { file?.close() }
}
