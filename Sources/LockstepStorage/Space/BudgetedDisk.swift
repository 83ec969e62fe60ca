/// A disk of which one directory takes no more than its budget: what would exceed it is refused as a full disk refuses it,
/// and nothing of it is written.
package struct BudgetedDisk: Disk {
  private let disk: any Disk
  private let directory: String
  package let budget: DiskBudget

  /// Looks at what is there.
  package init(_ disk: any Disk, directory: String, budget: DiskBudget) throws(StorageError) {
    (self.disk, self.directory, self.budget) = (disk, directory, budget)
    try recount()
  }

  /// To be called again when the directory is this process' own: before that, another one may still have worked in it.
  package func recount() throws(StorageError) {
    try onDisk { () throws(DiskError) in
      var (counted, last) = (0, (name: SnapshotName?.none, bytes: 0))
      let names = try disk.list(directory) ?? []
      for name in names where Self.isCounted(name) {
        let bytes = try bytesIfThere("\(directory)/\(name)")
        counted += bytes
        if let snapshot = SnapshotName(name), last.name.map({ $0 < snapshot }) ?? true { last = (snapshot, bytes) }
      }
      budget.begin(
        counted: counted, others: others(names), available: try Self.available(disk, directory),
        lastSnapshot: last.bytes)
    }
  }

  /// Of a directory that is to be made: what the one has in which it will be.
  private static func available(_ disk: any Disk, _ directory: String) throws(DiskError) -> Int {
    do throws(DiskError) { return try disk.available(directory) } catch {
      guard error.reason == .notFound, directory != "/", directory != "." else { throw error }
    }
    guard let slash = directory.lastIndex(of: "/") else { return try available(disk, ".") }
    return try available(disk, slash == directory.startIndex ? "/" : String(directory[..<slash]))
  }

  /// Files that are written through this disk alone. All else grows and goes by itself: what a machine keeps, and whatever
  /// somebody has put there.
  private static func isCounted(_ name: String) -> Bool {
    ["log-", SnapshotName.prefix, IdentityFile.name].contains { name.hasPrefix($0) }
      || name == AcknowledgementFile.name || SyncedMark.isOne(name)
  }

  private func others(_ names: [String]) -> Int {
    names.reduce(0) { sum, name in
      if Self.isCounted(name) { return sum }
      // What goes while it is looked at, or is not to be looked at, is no harm: it is counted the next time, or never.
      do throws(DiskError) { return sum + (try disk.bytes(of: "\(directory)/\(name)")) } catch { return sum }
    }
  }

  /// Looks again at what may have changed without this process' doing.
  package func refresh() throws(DiskError) {
    budget.refresh(others: others(try disk.list(directory) ?? []), available: try disk.available(directory))
  }

  package func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    let file = try disk.open(path, for: access)
    guard access == .readingAndWriting else { return file }
    return try BudgetedFile(file, path: path, budget: budget)
  }

  package func create(_ path: String) throws(DiskError) -> any DiskFile {
    try BudgetedFile(try disk.create(path), path: path, budget: budget)
  }

  package func list(_ directory: String) throws(DiskError) -> [String]? { try disk.list(directory) }

  package func rename(_ from: String, to: String) throws(DiskError) {
    let (old, new) = (FileUse(path: from), FileUse(path: to))
    let replaced = try bytesIfThere(to)
    let moved = new == .snapshot ? try disk.bytes(of: from) : 0
    try disk.rename(from, to: to)
    budget.shrink(by: replaced, as: new)
    if new == .snapshot { budget.snapshotIsWhole(bytes: moved, as: old) }
  }

  package func remove(_ path: String) throws(DiskError) {
    let bytes = try bytesIfThere(path)
    try disk.remove(path)
    budget.shrink(by: bytes, as: FileUse(path: path))
  }

  private func bytesIfThere(_ path: String) throws(DiskError) -> Int {
    do throws(DiskError) { return try disk.bytes(of: path) } catch {
      guard error.reason == .notFound else { throw error }
      return 0
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) { try disk.createDirectory(path) }
  package func removeDirectory(_ path: String) throws(DiskError) { try disk.removeDirectory(path) }
  package func syncDirectory(_ path: String) throws(DiskError) { try disk.syncDirectory(path) }
  package func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
    try disk.lock(path, exclusive: exclusive)
  }
  package func bytes(of path: String) throws(DiskError) -> Int { try disk.bytes(of: path) }
  package func available(_ directory: String) throws(DiskError) -> Int { try disk.available(directory) }
}

/// A file that one process writes, through this alone.
private final class BudgetedFile: DiskFile {
  private let file: any DiskFile
  private let path: String
  private let use: FileUse
  private let budget: DiskBudget
  /// What is counted of it.
  private var counted: Int

  init(_ file: any DiskFile, path: String, budget: DiskBudget) throws(DiskError) {
    (self.file, self.path, self.budget) = (file, path, budget)
    use = FileUse(path: path)
    counted = try file.size()
  }

  private func growing(
    to end: Int, _ operation: String, _ body: () throws(DiskError) -> Void
  ) throws(DiskError) {
    guard end > counted else { return try body() }
    if let missing = budget.grow(by: end - counted, as: use) {
      throw DiskError(
        operation: operation, path: path, offset: counted, reason: .outOfSpace,
        text: "\(missing) bytes are missing in the budget of \(budget.space.limit) bytes (--disk-budget)")
    }
    let before = counted
    counted = end
    do throws(DiskError) { try body() } catch {
      // It may have grown in part.
      let size: Int
      do throws(DiskError) { size = try file.size() } catch { size = end }
      counted = min(end, max(before, size))
      budget.shrink(by: end - counted, as: use)
      throw error
    }
  }

  func size() throws(DiskError) -> Int { try file.size() }
  func birth() throws(DiskError) -> UInt64? { try file.birth() }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    try file.read(into: buffer, at: offset)
  }

  func prefetch(_ range: Range<Int>) { file.prefetch(range) }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
    if offset + bytes.count <= counted { return try file.write(bytes, at: offset) }
    try growing(to: offset + bytes.count, "write") { () throws(DiskError) in try file.write(bytes, at: offset) }
  }

  func allocate(_ range: Range<Int>) throws(DiskError) {
    try growing(to: range.upperBound, "allocate") { () throws(DiskError) in try file.allocate(range) }
  }

  func sync() throws(DiskError) { try file.sync() }
  func close() { file.close() }
}
