internal import LockstepConsensus
internal import LockstepWire

/// Makes segment files ahead of their use, a step at a time: zeros are written and synced under a name that recovery
/// removes, then the file gets its own name. A sync of a batch has only data to write then, no sizes or block lists.
struct SegmentMaker {
  private enum State {
    case idle
    case filling(any DiskFile, done: Int)
    case ready(any DiskFile, size: Int)
  }

  let files: LogFiles
  let number: UInt64
  private(set) var size: Int
  private var state = State.idle
  /// What is not done yet holds an old segment's bytes: it is written over, in haste or not.
  private var isRecycled = false

  init(files: LogFiles, number: UInt64, size: Int) {
    self.files = files
    self.number = number
    self.size = RecordHeader.padded(size)
  }

  /// With a segment that stands prepared since an earlier start.
  init(files: LogFiles, number: UInt64, existing size: Int) throws(StorageError) {
    let path = files.path(number)
    self.init(files: files, number: number, size: size)
    let file = try onDisk { () throws(DiskError) in try files.disk.open(path, for: .readingAndWriting) }
    state = .ready(file, size: size)
  }

  /// What it takes of the disk; and, of that, what it has still to be given.
  var needed: (bytes: Int, more: Int) {
    switch state {
    case .idle: (size, size)
    case .filling(_, let done): (size, isRecycled ? 0 : size - done)
    case .ready: (size, 0)
    }
  }
  var isReady: Bool { if case .ready = state { true } else { false } }

  private var unfinished: String { files.path(number) + LogFiles.unfinished }

  /// Does about `maximumBytes` of the work. True when the segment is there; false when more is to be done. `inHaste`:
  /// the disk has enough to do with the log itself, so nothing is written that need not be.
  mutating func step(
    maximumBytes: Int, inHaste: Bool = false, finishing: (any DiskFile) throws(DiskError) -> Void = { _ in }
  ) throws(StorageError) -> Bool {
    do throws(DiskError) {
      switch state {
      case .ready: return true
      case .idle:
        state = .filling(try files.disk.create(unfinished), done: 0)
        return false
      case .filling(let file, let done):
        let count = min(size - done, max(maximumBytes, RecordHeader.size))
        if inHaste, !isRecycled { try file.allocate(done..<done + count) } else { try file.zero(done..<done + count) }
        if done + count == size { try finishing(file) }
        try file.sync()
        state = .filling(file, done: done + count)
        if done + count < size { return false }
        try files.disk.rename(unfinished, to: files.path(number))
        try files.disk.syncDirectory(files.directory)
        state = .ready(file, size: size)
        return true
      }
    } catch { throw StorageError(error) }
  }

  /// Takes the file of a segment that is not needed any more for this one, if none was begun: its blocks are there. Its old
  /// name is gone for good before anything is written over it.
  mutating func recycle(_ oldest: UInt64) throws(StorageError) -> Bool {
    guard case .idle = state else { return false }
    do throws(DiskError) {
      let file = try files.disk.open(files.path(oldest), for: .readingAndWriting)
      // One that was made larger or smaller than segments are now is worth less than what it would cost.
      guard try file.size() == size else {
        file.close()
        return false
      }
      try files.disk.rename(files.path(oldest), to: unfinished)
      try files.disk.syncDirectory(files.directory)
      (state, isRecycled) = (.filling(file, done: 0), true)
      return true
    } catch { throw StorageError(error) }
  }

  /// The finished segment, at least this large.
  mutating func take(atLeast needed: Int) throws(StorageError) -> (file: any DiskFile, size: Int) {
    if case .filling(_, done: 0) = state { size = max(size, RecordHeader.padded(needed)) }
    if case .idle = state { size = max(size, RecordHeader.padded(needed)) }
    // The log waits for it.
    while try !step(maximumBytes: 16 << 20, inHaste: true) {}
    guard case .ready(let file, let current) = state else { throw .stopped("no segment was made") }
    guard current < needed else { return (file, current) }
    // Made for smaller batches, or cut short while nothing was in it.
    let larger = RecordHeader.padded(max(needed, size))
    do throws(DiskError) {
      try file.zero(current..<larger)
      try file.sync()
    } catch { throw StorageError(error) }
    state = .ready(file, size: larger)
    return (file, larger)
  }

  /// Gives up what is not finished; it is in the way of the next try otherwise.
  mutating func abandon() {
    guard case .filling(let file, _) = state else { return }
    file.close()
    do throws(DiskError) { try files.disk.remove(unfinished) } catch { return }
    state = .idle
  }

  func close() {
    switch state {
    case .idle: break
    case .filling(let file, _), .ready(let file, _): file.close()
    }
  }
}
