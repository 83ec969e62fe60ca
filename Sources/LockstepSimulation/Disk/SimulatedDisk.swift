import LockstepConsensus
package import LockstepStorage

// What a real disk and file system promise, and no more:
//
// - A file's bytes and size are durable once a sync of the file has succeeded; before that a power cut leaves any
//   subset of its sectors.
// - A name (made, renamed, removed) is durable once its directory was synced; before that a power cut leaves any subset
//   of the changes.
// - When a process ends and the machine goes on, all that was written is there, and still not durable.
// - A failed sync says nothing, and what it covered counts as clean: a later sync succeeds without it.

/// One node's disk. Everything that it does by chance comes from its own stream of numbers, so a seed is a whole life.
/// Single-threaded.
package final class SimulatedDisk: Disk, @unchecked Sendable {
  // Unchecked: a simulation is one thread.
  package static let sectorBytes = 512

  package var faults = DiskFaults()
  package private(set) var counts = FaultCounts()
  /// Asked before each operation that changes anything: does the process die there?
  package var dies: ((DiskOperation, _ path: String) -> DiskDeath?)?
  /// Operations of each kind since the beginning.
  package private(set) var operations = 0
  /// The process has died in an operation; all its calls fail until it is started again.
  package private(set) var isProcessDead = false
  /// Counts the processes that have worked here: files of an earlier one are dead.
  private(set) var process = 0

  private var random: SimulationRandom
  private var names: [String: SimulatedInode] = [:]
  private var durableNames: [String: SimulatedInode] = [:]
  private var nameChanges: [(path: String, inode: SimulatedInode?)] = []
  private var directories: [String] = []
  private var locked: [String] = []
  private var cost: UInt64 = 0
  private var usedBytes = 0
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
    for path in names.keys.sorted() { names[path]?.dropStaleSectors() }
  }

  /// The machine goes dark, and comes back.
  package func powerCut(_ cut: PowerCut) {
    var (lost, kept) = (0, 0)
    func survives() -> Bool {
      let isKept =
        switch cut {
        case .losesAll: false
        case .keepsAll: true
        case .keepsAny: random.oneIn(2)
        }
      if isKept { kept += 1 } else { lost += 1 }
      return isKept
    }
    for change in nameChanges {
      if survives() { durableNames[change.path] = change.inode } else { counts.count(.unsyncedNameLost) }
    }
    nameChanges = []
    (lost, kept) = (0, 0)
    names = durableNames
    for path in names.keys.sorted() {
      guard let inode = names[path] else { continue }
      let before = (lost, kept)
      var last = -1
      var isReordered = false
      inode.lose { sector in
        let isKept = survives()
        if isKept, lost > before.0, sector > last { isReordered = true }
        last = max(last, sector)
        return isKept
      }
      if isReordered { counts.count(.unsyncedSectorsReordered) }
      if lost > before.0, kept > before.1 { counts.count(.unsyncedWriteTorn) }
    }
    if lost > 0 { counts.count(.unsyncedWriteLost) }
    if kept > 0 { counts.count(.unsyncedWriteKept) }
    measure()
    processEnded()
  }

  private func measure() { usedBytes = names.values.reduce(0) { $0 + $1.bytes.count } }

  // MARK: Copies

  /// Everything that the disk holds, pending and durable.
  package struct Image {
    fileprivate let names: [String: SimulatedInode]
    fileprivate let durableNames: [String: SimulatedInode]
    fileprivate let nameChanges: [(path: String, inode: SimulatedInode?)]
    fileprivate let directories: [String]
  }

  package func image() -> Image {
    var copies: [ObjectIdentifier: SimulatedInode] = [:]
    func copy(_ inode: SimulatedInode) -> SimulatedInode {
      if let known = copies[ObjectIdentifier(inode)] { return known }
      let made = SimulatedInode(copying: inode)
      copies[ObjectIdentifier(inode)] = made
      return made
    }
    return Image(
      names: names.mapValues(copy), durableNames: durableNames.mapValues(copy),
      nameChanges: nameChanges.map { ($0.path, $0.inode.map(copy)) }, directories: directories)
  }

  /// A disk that holds what the image does.
  package init(_ image: Image, random: SimulationRandom) {
    self.random = random
    restore(image)
  }

  /// This disk holds what the image does, and nothing else; an image can be restored once.
  package func restore(_ image: Image) {
    names = image.names
    durableNames = image.durableNames
    nameChanges = image.nameChanges
    directories = image.directories
    measure()
    processEnded()
  }

  /// Nothing is left.
  package func wipe() {
    (names, durableNames, nameChanges, directories) = ([:], [:], [], [])
    usedBytes = 0
    processEnded()
  }

  // MARK: Damage

  package var paths: [String] { names.keys.sorted() }

  /// What a reader sees of a file.
  package func contents(of path: String) -> [UInt8]? { names[path]?.bytes }

  /// Flips a bit of what is stored.
  package func flipBit(_ bit: Int, at offset: Int, in path: String) {
    guard let inode = names[path], offset < inode.bytes.count else { return }
    inode.bytes[offset] ^= 1 << UInt8(bit)
    if offset < inode.durable.count { inode.durable[offset] ^= 1 << UInt8(bit) }
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

  func write(_ bytes: [UInt8], at offset: Int, _ path: String, _ inode: SimulatedInode) throws(DiskError) {
    try perform(.write, path, time: faults.writeTime) { isTorn throws(DiskError) in
      if fails(faults.writeFailed, .writeFailed) { throw failure("write", path, offset) }
      let growth = max(0, offset + bytes.count - inode.bytes.count)
      guard usedBytes + growth <= faults.space else {
        counts.count(.diskFull)
        throw DiskError(
          operation: "write", path: path, offset: offset, reason: .outOfSpace, text: "No space left on device")
      }
      if isTorn || fails(faults.shortWrite, .shortWrite) {
        inode.write([UInt8](bytes.prefix(random.below(bytes.count + 1))), at: offset)
        measure()
        throw failure("write", path, offset)
      }
      usedBytes += growth
      if bytes.count >= Self.sectorBytes, fails(faults.misdirectedWrite, .misdirectedWrite) {
        let sectors = max(1, inode.bytes.count / Self.sectorBytes)
        inode.write(bytes, at: random.below(sectors) * Self.sectorBytes)
        measure()
        return
      }
      inode.write(bytes, at: offset)
    }
  }

  func sync(_ path: String, _ inode: SimulatedInode) throws(DiskError) {
    try perform(.sync, path, time: faults.syncTime) { _ throws(DiskError) in
      if fails(faults.syncFailed, .syncFailed) {
        // As Linux does it: the pages count as clean, and hold what the device never got.
        inode.pending.removeAll()
        throw failure("sync", path)
      }
      if !inode.pending.isEmpty, fails(faults.syncLied, .syncLied) { return }
      if let write = inode.pending.last, fails(faults.staleSector, .staleSector) {
        let sector = (write.offset + random.below(write.bytes.count)) / Self.sectorBytes
        let first = sector * Self.sectorBytes
        let old = Array(inode.durable.dropFirst(first).prefix(Self.sectorBytes))
        inode.sync()
        if !old.isEmpty {
          SimulatedInode.put(old[...], at: first, in: &inode.durable)
          inode.stale.append(sector)
        }
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
    return SimulatedFile(disk: self, path: path, inode: inode)
  }

  package func create(_ path: String) throws(DiskError) -> any DiskFile {
    guard names[path] == nil else {
      throw DiskError(operation: "create", path: path, reason: .other, text: "File exists")
    }
    let inode = SimulatedInode()
    try perform(.create, path, time: 0) { _ throws(DiskError) in setName(path, inode) }
    return SimulatedFile(disk: self, path: path, inode: inode)
  }

  private func setName(_ path: String, _ inode: SimulatedInode?) {
    names[path] = inode
    nameChanges.append((path, inode))
  }

  package func list(_ directory: String) throws(DiskError) -> [String]? {
    try checkAlive(process, "list", directory)
    guard directories.contains(directory) else { return nil }
    let prefix = directory + "/"
    return names.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    guard let inode = names[from] else { throw missing("rename", from) }
    try perform(.rename, from, time: 0) { _ throws(DiskError) in
      setName(to, inode)
      setName(from, nil)
      measure()
    }
  }

  package func remove(_ path: String) throws(DiskError) {
    guard names[path] != nil else { throw missing("remove", path) }
    try perform(.remove, path, time: 0) { _ throws(DiskError) in
      setName(path, nil)
      measure()
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    try perform(.createDirectory, path, time: 0) { _ throws(DiskError) in directories.append(path) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    try perform(.syncDirectory, path, time: faults.syncTime) { _ throws(DiskError) in
      if fails(faults.syncFailed, .syncFailed) { throw failure("syncDirectory", path) }
      for change in nameChanges { durableNames[change.path] = change.inode }
      nameChanges = []
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
