package import LockstepStorage
import Synchronization

/// A disk in memory. It knows what a power cut would leave: sectors and names that were not synced survive in any
/// subset; where nobody cuts the power, it need not keep that in mind. Single-threaded, as the log is.
package final class MemoryDisk: Disk, @unchecked Sendable {
  // Unchecked: a test is one thread.
  private static let sector = 512

  /// What becomes of writes that no sync has covered.
  package enum Fate {
    case lost
    case kept
    /// Each sector, each name for itself.
    case any(Random)
  }

  private final class Node {
    let birth: UInt64
    var bytes: [UInt8] = []
    var durable: [UInt8] = []
    /// Sector by sector, in the order written.
    var pending: [(offset: Int, bytes: ArraySlice<UInt8>)] = []
    init(birth: UInt64) { self.birth = birth }
  }

  /// Files made so far, of all disks of this kind: their time.
  private static let births = Mutex<UInt64>(0)
  private static func newNode() -> Node {
    let birth = births.withLock { births in
      births += 1
      return births
    }
    return Node(birth: birth)
  }

  private enum NameChange {
    case set(String, Node)
    case clear(String)
  }

  private var names: [String: Node] = [:]
  private var durableNames: [String: Node] = [:]
  private var nameChanges: [NameChange] = []
  private var directories: Set<String>
  private var locked: Set<String> = []
  package private(set) var operations: [String] = []
  /// From this operation on (counted from 0) all fail: the power is gone. The operation itself may still take effect.
  package var powerOffAt: Int?
  /// This operation fails once, with this reason.
  package var failAt: (operation: Int, reason: DiskError.Reason)?
  /// Whether it tells when files were made.
  package var knowsBirths = true
  /// Bytes that all files may have together.
  package var space = Int.max
  /// Without it nothing of all that is counted or kept, and writes cost no more than a copy.
  private let knowsPowerCuts: Bool

  package init(knowsPowerCuts: Bool = true, directories: Set<String> = []) {
    self.knowsPowerCuts = knowsPowerCuts
    self.directories = directories
  }

  /// `asSnapshot`: the files are the same ones; otherwise they are copies.
  package func copy(asSnapshot: Bool = true) -> MemoryDisk {
    let copy = MemoryDisk(knowsPowerCuts: knowsPowerCuts, directories: directories)
    for (path, node) in names {
      let other = asSnapshot ? Node(birth: node.birth) : Self.newNode()
      other.bytes = node.bytes
      other.durable = node.bytes
      copy.names[path] = other
    }
    copy.durableNames = copy.names
    return copy
  }

  package var paths: [String] { names.keys.sorted() }
  /// The bytes of every file, by path.
  package var contents: [String: [UInt8]] { names.mapValues(\.bytes) }

  package subscript(path: String) -> [UInt8] {
    get { names[path]?.bytes ?? [] }
    set {
      let node = names[path].map { Node(birth: $0.birth) } ?? Self.newNode()
      node.bytes = newValue
      node.durable = newValue
      names[path] = node
      durableNames[path] = node
    }
  }

  package func erase(_ path: String) {
    names[path] = nil
    durableNames[path] = nil
  }

  /// The machine goes dark and comes back.
  package func powerCut(_ fate: Fate) {
    precondition(knowsPowerCuts, "a disk that keeps no account of what was synced")
    func survives() -> Bool {
      switch fate {
      case .lost: false
      case .kept: true
      case .any(let random): random.chance(2)
      }
    }
    for change in nameChanges where survives() {
      switch change {
      case .set(let path, let node): durableNames[path] = node
      case .clear(let path): durableNames[path] = nil
      }
    }
    nameChanges = []
    names = durableNames
    for node in names.values {
      for (offset, bytes) in node.pending where survives() {
        Self.put(bytes, at: offset, in: &node.durable)
      }
      node.pending = []
      node.bytes = node.durable
    }
    restart()
  }

  /// The process ends and comes back; what the system holds in memory stays.
  package func restart() {
    locked = []
    powerOffAt = nil
    failAt = nil
    operations = []
  }

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in file: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    if file.count < offset + bytes.count {
      file.append(contentsOf: repeatElement(0, count: offset + bytes.count - file.count))
    }
    file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  /// Counts the operation; says whether it takes effect although it fails.
  private func step(_ operation: String, _ path: String, effect: () throws(DiskError) -> Void) throws(DiskError) {
    guard knowsPowerCuts else { return try effect() }
    let number = operations.count
    operations.append("\(operation) \(path)")
    if let powerOffAt, number >= powerOffAt {
      if number == powerOffAt, operation != "sync", operation != "syncDirectory" { try effect() }
      throw DiskError(operation: operation, path: path, reason: .other, text: "no power")
    }
    if let failAt, failAt.operation == number {
      throw DiskError(operation: operation, path: path, reason: failAt.reason, text: "Input/output error")
    }
    try effect()
  }

  private func note(_ change: NameChange) {
    if knowsPowerCuts { nameChanges.append(change) }
  }

  private func missing(_ operation: String, _ path: String) -> DiskError {
    DiskError(operation: operation, path: path, reason: .notFound, text: "No such file or directory")
  }

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  private func isDirectory(_ path: String) -> Bool { ["", ".", "/"].contains(path) || directories.contains(path) }

  private func checkNew(_ operation: String, _ path: String) throws(DiskError) {
    guard names[path] == nil, !directories.contains(path) else {
      throw DiskError(operation: operation, path: path, reason: .other, text: "File exists")
    }
    guard isDirectory(Self.parent(of: path)) else { throw missing(operation, path) }
  }

  package func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    guard let node = names[path] else { throw missing("open", path) }
    return File(disk: self, path: path, node: node, access: access)
  }

  package func create(_ path: String) throws(DiskError) -> any DiskFile {
    try checkNew("create", path)
    let node = Self.newNode()
    try step("create", path) { () throws(DiskError) in
      names[path] = node
      note(.set(path, node))
    }
    return File(disk: self, path: path, node: node, access: .readingAndWriting)
  }

  package func list(_ directory: String) throws(DiskError) -> [String]? {
    guard directories.contains(directory) else { return nil }
    let inside = (Array(names.keys) + directories).filter { Self.parent(of: $0) == directory }
    return inside.map { String($0.dropFirst(directory.count + 1)) }.sorted()
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    if directories.contains(from) { return try renameDirectory(from, to: to) }
    guard let node = names[from], isDirectory(Self.parent(of: to)) else { throw missing("rename", from) }
    try step("rename", from) { () throws(DiskError) in
      names[from] = nil
      names[to] = node
      note(.set(to, node))
      note(.clear(from))
    }
  }

  private func renameDirectory(_ from: String, to: String) throws(DiskError) {
    try checkNew("rename to", to)
    try step("rename", from) { () throws(DiskError) in
      func moved(_ path: String) -> String { to + path.dropFirst(from.count) }
      for (path, node) in names where path.hasPrefix(from + "/") {
        names[path] = nil
        names[moved(path)] = node
        note(.set(moved(path), node))
        note(.clear(path))
      }
      directories = Set(directories.map { $0 == from || $0.hasPrefix(from + "/") ? moved($0) : $0 })
    }
  }

  package func remove(_ path: String) throws(DiskError) {
    guard names[path] != nil else { throw missing("remove", path) }
    try step("remove", path) { () throws(DiskError) in
      names[path] = nil
      note(.clear(path))
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    try checkNew("create directory", path)
    try step("createDirectory", path) { () throws(DiskError) in directories.insert(path) }
  }

  package func removeDirectory(_ path: String) throws(DiskError) {
    guard let entries = try list(path) else { throw missing("remove directory", path) }
    for entry in entries.map({ "\(path)/\($0)" }) {
      if directories.contains(entry) { try removeDirectory(entry) } else { try remove(entry) }
    }
    try step("removeDirectory", path) { () throws(DiskError) in _ = directories.remove(path) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    guard isDirectory(path) else { throw missing("sync directory", path) }
    try step("syncDirectory", path) { () throws(DiskError) in
      for change in nameChanges {
        switch change {
        case .set(let path, let node): durableNames[path] = node
        case .clear(let path): durableNames[path] = nil
        }
      }
      nameChanges = []
    }
  }

  package func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
    guard !locked.contains(path) else {
      throw DiskError(operation: "lock", path: path, reason: .heldElsewhere(process: 4711), text: "held")
    }
    if names[path] == nil {
      guard exclusive else { throw missing("lock", path) }
      _ = try create(path)
    }
    locked.insert(path)
    return Lock { [weak self] in _ = self?.locked.remove(path) }
  }

  package func bytes(of path: String) throws(DiskError) -> Int {
    if let node = names[path] { return node.bytes.count }
    guard isDirectory(path) else { throw missing("size of", path) }
    return names.reduce(0) { $0 + ($1.key.hasPrefix(path + "/") ? $1.value.bytes.count : 0) }
  }

  package func available(_ directory: String) throws(DiskError) -> Int {
    guard isDirectory(directory) else { throw missing("space of", directory) }
    return min(DiskSpace.unlimited, max(0, space - names.values.reduce(0) { $0 + $1.bytes.count }))
  }

  private final class Lock: DiskLock {
    private var body: (() -> Void)?
    init(_ body: @escaping () -> Void) { self.body = body }
    func release() {
      body?()
      body = nil
    }
  }

  private final class File: DiskFile {
    let disk: MemoryDisk
    let path: String
    let node: Node
    let access: FileAccess
    private var isOpen = true

    init(disk: MemoryDisk, path: String, node: Node, access: FileAccess) {
      (self.disk, self.path, self.node, self.access) = (disk, path, node, access)
    }

    func size() throws(DiskError) -> Int {
      try check("size")
      return node.bytes.count
    }
    func birth() throws(DiskError) -> UInt64? { disk.knowsBirths ? node.birth : nil }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
      try check("read")
      let count = max(0, min(buffer.count, node.bytes.count - offset))
      if count > 0 { buffer.copyBytes(from: node.bytes[offset..<offset + count]) }
      return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
      try check("write", isAllowed: access == .readingAndWriting)
      guard disk.knowsPowerCuts else { return put(bytes, at: offset) }
      let all = [UInt8](bytes)
      try disk.step("write", path) { () throws(DiskError) in
        let others = disk.names.values.reduce(0) { $0 + $1.bytes.count } - node.bytes.count
        guard all.isEmpty || max(node.bytes.count, offset + all.count) <= disk.space - others else {
          throw DiskError(operation: "write", path: path, reason: .outOfSpace, text: "No space left on device")
        }
        MemoryDisk.put(all[...], at: offset, in: &node.bytes)
        var place = 0
        while place < all.count {
          let next = min(all.count, ((offset + place) / MemoryDisk.sector + 1) * MemoryDisk.sector - offset)
          node.pending.append((offset + place, all[place..<next]))
          place = next
        }
      }
    }

    func sync() throws(DiskError) {
      try check("sync")
      guard disk.knowsPowerCuts else { return }
      do throws(DiskError) {
        try disk.step("sync", path) { () throws(DiskError) in
          node.durable = node.bytes
          node.pending = []
        }
      } catch {
        // As the kernel does it: the pages count as clean, and hold what the disk never got.
        if disk.powerOffAt == nil { node.pending = [] }
        throw error
      }
    }

    func allocate(_ range: Range<Int>) throws(DiskError) {
      try check("allocate", isAllowed: access == .readingAndWriting)
      try zero(range)
    }

    func close() { isOpen = false }

    private func check(_ operation: String, isAllowed: Bool = true) throws(DiskError) {
      guard isOpen, isAllowed else {
        throw DiskError(operation: operation, path: path, reason: .other, text: "Bad file descriptor")
      }
    }

    private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
      guard bytes.count > 0 else { return }
      let missing = offset + bytes.count - node.bytes.count
      if missing > 0 { node.bytes.append(contentsOf: repeatElement(0, count: missing)) }
      node.bytes.withUnsafeMutableBytes { all in
        UnsafeMutableRawBufferPointer(rebasing: all[offset...]).copyMemory(from: bytes)
      }
    }
  }
}
