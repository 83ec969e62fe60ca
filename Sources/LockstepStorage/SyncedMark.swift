internal import LockstepWire

// DIR/synced: a record of the log that was known to be synced when this was written, named by its number and by the
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
//   3  nothing: it is never synced            a power cut leaves each place as it was, as it is, or torn, or no file at all
//
// So it costs no wait, says too little after a power cut, and never too much: a node that crashed anywhere starts. Nor is it
// ever taken back, as records are only added: a torn batch that is dropped was not synced, what replaces entries is a
// later record, so is a new beginning of the log behind a snapshot, at a start that completes an install too, and segments
// that go are the oldest. A start notes nothing before it has written and synced again what it found at the end (Repair):
// that may have come from a cache whose sync had failed. A log that is made anew has another disk's id, with which what an
// earlier one has left here does not match.
//
// What the log got since the mark, and an older directory as a whole, are not its business: for those there is the birth
// of the identity (IdentityFile), and what peers remember.

/// How far the log was once synced, as another file than the log has it.
struct SyncedMark {
  static let name = "synced"
  /// In sectors, and in blocks, of their own.
  private static let places = [0, 4096]
  /// While the disk has no idle moment, so many records are noted together.
  private static let interval: UInt64 = 1024

  private let files: LogFiles
  private let salt: UInt64
  /// Opened, or made, when there is something to note.
  private var file: (any DiskFile)?
  private var next = 0
  private(set) var last: (sequence: UInt64, link: UInt64)?

  init(files: LogFiles) throws(StorageError) {
    self.files = files
    // No segment has this number, nor has the file with the acknowledgements.
    salt = RecordHeader.salt(disk: files.identity.disk, segment: .max - 1)
    let (disk, path) = (files.disk, Self.path(files))
    guard try onDisk({ () throws(DiskError) in try disk.list(files.directory) })?.contains(Self.name) == true else {
      return
    }
    let file = try onDisk { () throws(DiskError) in try disk.open(path, for: .reading) }
    defer { file.close() }
    let window = try FileWindow(file)
    for (number, place) in Self.places.enumerated() {
      guard let bytes = try window.bytes(at: place, count: RecordHeader.size),
        let header = RecordHeader(parsing: bytes, at: place, salt: salt), header.kind == .synced,
        header.sequence > last?.sequence ?? 0
      else { continue }
      last = (header.sequence, header.link)
      next = Self.places.count - 1 - number
    }
  }

  private static func path(_ files: LogFiles) -> String { "\(files.directory)/\(name)" }

  func isDue(at sequence: UInt64) -> Bool { sequence >= (last?.sequence ?? 0) &+ Self.interval }

  /// Notes that all up to this record is synced.
  mutating func note(_ sequence: UInt64, link: UInt64) throws(StorageError) {
    guard sequence > last?.sequence ?? 0 else { return }
    let file = try opened()
    let place = Self.places[next]
    let header = RecordHeader(kind: .synced, sequence: sequence, offset: place, link: link)
    do throws(DiskError) { try file.write(header.bytes(salt: salt), at: place) } catch { throw StorageError(error) }
    next = Self.places.count - 1 - next
    last = (sequence, link)
  }

  private mutating func opened() throws(StorageError) -> any DiskFile {
    if let file { return file }
    let (disk, path, directory) = (files.disk, Self.path(files), files.directory)
    let opened = try onDisk { () throws(DiskError) in
      try disk.list(directory)?.contains(Self.name) == true
        ? try disk.open(path, for: .readingAndWriting) : try disk.create(path)
    }
    file = opened
    return opened
  }

  func close() { file?.close() }
}
