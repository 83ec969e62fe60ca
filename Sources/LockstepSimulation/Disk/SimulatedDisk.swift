import LockstepConsensus
package import LockstepStorage

// What a real disk and file system promise, and no more:
//
// - A file's bytes and size are durable once a sync of the file has succeeded. Before that a power cut leaves any subset
//   of its sectors, each as it was or as one of the writes since then made it, and the size apart from them.
// - A name (made, renamed, removed) is durable once its directory was synced, a directory once its parent was; before
//   that a power cut leaves any subset of the changes.
// - When a process ends and the machine goes on, all that was written is there, and still not durable. Locks are free,
//   and open files are dead.
// - A failed sync says nothing. Some of what it covered got there, and all of it counts as clean: it is read as it was
//   written until the power is cut, and a later sync succeeds without it.
// - A failed write has left any part, and a full disk takes what fits.
//
// How it is used: `faults` says what goes wrong by chance. `dies` is asked before each operation that changes or syncs
// anything; from the operation at which it has the process die on, every call fails until `processEnded` or `powerCut`.
// `image` is a copy of everything, pending parts included; a disk made from it, and `powerCut` on that, is what a crash
// at that moment would have left.

/// One node's disk. Everything that it does by chance comes from its own stream of numbers, so a seed is a whole life.
/// Single-threaded.
package final class SimulatedDisk: Disk, @unchecked Sendable {
  // Unchecked: a simulation is one thread.
  package static let sectorBytes = 512

  package var faults = DiskFaults()
  package private(set) var counts = FaultCounts()
  /// Asked before each operation that changes anything: does the process die there?
  package var dies: ((DiskOperation, _ path: String) -> DiskDeath?)?
  /// Operations that `dies` was asked about, since the beginning.
  package private(set) var operations = 0
  /// The process has died in an operation; all its calls fail until it is started again.
  package private(set) var isProcessDead = false
  /// Counts the processes that have worked here: files of an earlier one are dead.
  private(set) var process = 0

  private var random: SimulationRandom
  private var names = SimulatedNames()
  private var locked: [String] = []
  private var cost: UInt64 = 0
  private var usedBytes = 0
  /// Files made so far: their time.
  private var births: UInt64 = 0
  /// Of all files together.
  package var bytesInUse: Int { usedBytes }

  package init(random: SimulationRandom) { self.random = random }

  // MARK: Life and death

  /// What the operations since the last call have taken, in nanoseconds.
  package func takeCost() -> UInt64 {
    defer { cost = 0 }
    return cost
  }

  /// The process has ended, however it ended; the machine goes on.
  package func processEnded() {
    process += 1
    isProcessDead = false
    locked = []
    cost = 0
    for path in names.paths { names[path]?.dropStaleSectors() }
  }

  /// The machine goes dark, and comes back.
  package func powerCut(_ cut: PowerCut) {
    powerCut { _ in
      switch cut {
      case .losesAll: false
      case .keepsAll: true
      case .keepsAny: random.oneIn(2)
      }
    }
  }

  /// The same, with a word on everything that is not durable: a sector, a size or a name that has changed several times
  /// is asked about for each time.
  package func powerCut(survives: (PendingChange) -> Bool) {
    var names = names
    counts.count(.unsyncedNameLost, times: names.lose { survives(.name($0)) })
    self.names = names
    var (lost, kept) = (0, 0)
    for path in names.paths {
      guard let inode = names[path] else { continue }
      let before = (lost, kept)
      var isReordered = false
      inode.lose { part in
        let isKept: Bool
        switch part {
        case .size: return survives(.size(path: path))
        case .sector(let number): isKept = survives(.sector(path: path, number: number))
        }
        if isKept { kept += 1 } else { lost += 1 }
        if isKept, lost > before.0 { isReordered = true }
        return isKept
      }
      if isReordered { counts.count(.unsyncedSectorsReordered) }
      if lost > before.0, kept > before.1 { counts.count(.unsyncedWriteTorn) }
    }
    if lost > 0 { counts.count(.unsyncedWriteLost) }
    if kept > 0 { counts.count(.unsyncedWriteKept) }
    usedBytes = names.bytes
    processEnded()
  }

  // MARK: Copies

  /// Everything that the disk holds, pending and durable.
  package struct Image {
    fileprivate let names: SimulatedNames
  }

  package func image() -> Image { Image(names: names.copy()) }

  /// A disk that holds what the image does.
  package init(_ image: Image, random: SimulationRandom) {
    self.random = random
    restore(image)
  }

  /// Another disk, with copies of all that this one holds at this moment.
  convenience init(cloning other: SimulatedDisk, random: SimulationRandom) {
    self.init(random: random)
    births = other.births
    restore(other.image(), asCopies: true)
  }

  /// This disk holds what the image does, and nothing else: the same files, as a snapshot of a file system has them, or
  /// copies of them.
  package func restore(_ image: Image, asCopies: Bool = false) {
    names = image.names.copy()
    for path in names.paths where asCopies { names[path]?.birth = nextBirth() }
    usedBytes = names.bytes
    processEnded()
  }

  /// The files whose paths begin so are those of the image, and no others; all else is as it was.
  package func putBack(_ prefix: String, of image: Image) {
    let old = image.names.copy()
    for path in names.paths where path.hasPrefix(prefix) { names[path] = nil }
    for path in old.paths where path.hasPrefix(prefix) { names[path] = old[path] }
    usedBytes = names.bytes
    processEnded()
  }

  private func nextBirth() -> UInt64 {
    births += 1
    return births
  }

  /// Nothing is left.
  package func wipe() {
    names = SimulatedNames()
    usedBytes = 0
    processEnded()
  }

  // MARK: Damage

  package var paths: [String] { names.paths }

  /// What a reader sees of a file.
  package func contents(of path: String) -> [UInt8]? { names[path]?.bytes }

  /// Flips a bit of what is stored.
  package func flipBit(_ bit: Int, at offset: Int, in path: String) {
    guard let inode = names[path], inode.bytes.indices.contains(offset) else { return }
    inode.flipBit(bit, at: offset)
  }

  /// These bytes are zeros from now on.
  package func zero(_ range: Range<Int>, in path: String) {
    guard let inode = names[path] else { return }
    for offset in range where inode.bytes.indices.contains(offset) {
      for bit in 0..<8 where inode.bytes[offset] & 1 << UInt8(bit) != 0 { inode.flipBit(bit, at: offset) }
    }
  }

  // MARK: Operations

  func checkAlive(_ owner: Int, _ operation: String, _ path: String) throws(DiskError) {
    guard owner == process, !isProcessDead else {
      throw DiskError(operation: operation, path: path, reason: .other, text: "the process is dead")
    }
  }

  private func fails(_ odds: Int, _ kind: FaultKind) -> Bool {
    guard odds > 0, random.oneIn(odds) else { return false }
    counts.count(kind)
    return true
  }

  private func failure(_ operation: String, _ path: String, _ offset: Int? = nil) -> DiskError {
    DiskError(operation: operation, path: path, offset: offset, reason: .other, text: "Input/output error")
  }

  /// Counts the operation and carries it out, unless the process dies before it.
  private func perform(
    _ operation: DiskOperation, _ path: String, time: UInt64, _ effect: (_ isTorn: Bool) throws(DiskError) -> Void
  ) throws(DiskError) {
    try checkAlive(process, operation.rawValue, path)
    operations += 1
    cost += time
    guard let death = dies?(operation, path) else {
      try effect(false)
      return
    }
    // Whatever becomes of the operation, nobody is left to hear it.
    defer { isProcessDead = true }
    switch death {
    case .before: break
    case .within: if operation == .write || random.oneIn(2) { try effect(true) }
    case .after: try effect(false)
    }
    throw DiskError(operation: operation.rawValue, path: path, reason: .other, text: "the process died")
  }

  func beginRead(_ path: String, _ offset: Int) throws(DiskError) {
    cost += faults.writeTime
    if fails(faults.readFailed, .readFailed) { throw failure("read", path, offset) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ path: String, _ inode: SimulatedInode) throws(DiskError)
  {
    try perform(.write, path, time: faults.writeTime) { isTorn throws(DiskError) in
      if fails(faults.writeFailed, .writeFailed) { throw failure("write", path, offset) }
      if isTorn || fails(faults.shortWrite, .shortWrite) {
        let count = min(random.below(bytes.count + 1), room(offset, inode))
        inode.write(UnsafeRawBufferPointer(rebasing: bytes.prefix(count)), at: offset)
        usedBytes = names.bytes
        throw failure("write", path, offset)
      }
      let room = room(offset, inode)
      guard bytes.count <= room else {
        counts.count(.diskFull)
        inode.write(UnsafeRawBufferPointer(rebasing: bytes.prefix(room)), at: offset)
        usedBytes = names.bytes
        throw DiskError(
          operation: "write", path: path, offset: offset, reason: .outOfSpace, text: "No space left on device")
      }
      usedBytes += max(0, offset + bytes.count - inode.bytes.count)
      if let other = misdirection(of: bytes.count, at: offset, inode) {
        inode.write(bytes, at: other)
        usedBytes = names.bytes
        return
      }
      inode.write(bytes, at: offset)
    }
  }

  /// How many bytes can be written there.
  private func room(_ offset: Int, _ inode: SimulatedInode) -> Int {
    guard faults.space < .max else { return .max }
    return max(0, inode.bytes.count - offset + max(0, faults.space - usedBytes))
  }

  /// Where else in the file the write goes, if it goes astray. The file is no longer for it: that is not the device's.
  private func misdirection(of count: Int, at offset: Int, _ inode: SimulatedInode) -> Int? {
    guard faults.misdirectedWrite > 0, count >= Self.sectorBytes, inode.bytes.count >= count else { return nil }
    let other = random.below((inode.bytes.count - count) / Self.sectorBytes + 1) * Self.sectorBytes
    return other != offset && fails(faults.misdirectedWrite, .misdirectedWrite) ? other : nil
  }

  func sync(_ path: String, _ inode: SimulatedInode) throws(DiskError) {
    try perform(.sync, path, time: faults.syncTime) { _ throws(DiskError) in
      if fails(faults.syncFailed, .syncFailed) {
        // As Linux does it: the pages count as clean, and hold what the device may never have got.
        inode.writeBack { _ in random.oneIn(2) }
        throw failure("sync", path)
      }
      if inode.isPending, fails(faults.syncLied, .syncLied) { return }
      if faults.staleSector > 0, random.oneIn(faults.staleSector) {
        if inode.syncButOneSector({ random.below($0) }) { counts.count(.staleSector) }
        return
      }
      inode.sync()
    }
  }

  private func missing(_ operation: String, _ path: String) -> DiskError {
    DiskError(operation: operation, path: path, reason: .notFound, text: "No such file or directory")
  }

  package func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    try checkAlive(process, "open", path)
    guard let inode = names[path] else { throw missing("open", path) }
    return SimulatedFile(disk: self, path: path, inode: inode, access: access)
  }

  package func create(_ path: String) throws(DiskError) -> any DiskFile {
    try checkNew(path, "create")
    let inode = SimulatedInode(birth: nextBirth())
    try perform(.create, path, time: 0) { _ throws(DiskError) in names[path] = inode }
    return SimulatedFile(disk: self, path: path, inode: inode, access: .readingAndWriting)
  }

  /// The name is free, and there is a directory for it.
  private func checkNew(_ path: String, _ operation: String) throws(DiskError) {
    guard names.isFree(path) else {
      throw DiskError(operation: operation, path: path, reason: .other, text: "File exists")
    }
    guard names.isDirectory(SimulatedNames.parent(of: path)) else { throw missing(operation, path) }
  }

  package func list(_ directory: String) throws(DiskError) -> [String]? {
    try checkAlive(process, "list", directory)
    return names.isDirectory(directory) ? names.list(directory) : nil
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    if names.isDirectory(from) {
      try checkNew(to, "rename to")
      return try perform(.rename, from, time: 0) { _ throws(DiskError) in names.moveDirectory(from, to: to) }
    }
    guard let inode = names[from], names.isDirectory(SimulatedNames.parent(of: to)) else {
      throw missing("rename", from)
    }
    try perform(.rename, from, time: 0) { _ throws(DiskError) in
      names[to] = inode
      names[from] = nil
      usedBytes = names.bytes
    }
  }

  package func remove(_ path: String) throws(DiskError) {
    guard names[path] != nil else { throw missing("remove", path) }
    try perform(.remove, path, time: 0) { _ throws(DiskError) in
      names[path] = nil
      usedBytes = names.bytes
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    try checkNew(path, "create directory")
    try perform(.createDirectory, path, time: 0) { _ throws(DiskError) in names.addDirectory(path) }
  }

  package func removeDirectory(_ path: String) throws(DiskError) {
    guard let entries = try list(path) else { throw missing("remove directory", path) }
    for entry in entries.map({ "\(path)/\($0)" }) {
      if names.isDirectory(entry) { try removeDirectory(entry) } else { try remove(entry) }
    }
    try perform(.remove, path, time: 0) { _ throws(DiskError) in names.removeDirectory(path) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    guard names.isDirectory(path) else { throw missing("sync directory", path) }
    try perform(.syncDirectory, path, time: faults.syncTime) { _ throws(DiskError) in
      if fails(faults.syncFailed, .syncFailed) { throw failure("sync directory", path) }
      names.sync(path)
    }
  }

  package func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
    try checkAlive(process, "lock", path)
    guard !locked.contains(path) else {
      throw DiskError(operation: "lock", path: path, reason: .heldElsewhere(process: nil), text: "held")
    }
    if names[path] == nil {
      guard exclusive else { throw missing("lock", path) }
      _ = try create(path)
    }
    locked.append(path)
    return Lock(disk: self, path: path, process: process)
  }

  package func bytes(of path: String) throws(DiskError) -> Int {
    try checkAlive(process, "size of", path)
    if let inode = names[path] { return inode.bytes.count }
    guard names.isDirectory(path) else { throw missing("size of", path) }
    return names.inodes.reduce(0) { $0 + ($1.key.hasPrefix(path + "/") ? $1.value.bytes.count : 0) }
  }

  package func available(_ directory: String) throws(DiskError) -> Int {
    try checkAlive(process, "space of", directory)
    guard names.isDirectory(directory) else { throw missing("space of", directory) }
    return min(DiskSpace.unlimited, max(0, faults.space - usedBytes))
  }

  private final class Lock: DiskLock {
    private let disk: SimulatedDisk
    private let path: String
    private let process: Int

    init(disk: SimulatedDisk, path: String, process: Int) {
      self.disk = disk
      self.path = path
      self.process = process
    }

    func release() {
      guard disk.process == process else { return }
      disk.locked.removeAll { $0 == path }
    }
  }
}
