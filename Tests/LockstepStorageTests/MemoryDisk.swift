import LockstepStorage
import Synchronization

/// A disk in memory that knows what a power cut would leave: sectors and names that were not synced survive in any
/// subset. Single-threaded, as the log is.
final class MemoryDisk: Disk, @unchecked Sendable {
  static let sector = 512

  /// What becomes of writes that no sync has covered.
  enum Fate {
    case lost
    case kept
    /// Each sector, each name for itself.
    case any(Random)
  }

  final class Node {
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

  private(set) var names: [String: Node] = [:]
  private var durableNames: [String: Node] = [:]
  private var nameChanges: [NameChange] = []
  private(set) var directories: Set<String> = [""]
  private var locked: Set<String> = []
  private(set) var operations: [String] = []
  /// From this operation on (counted from 0) all fail: the power is gone. The operation itself may still take effect.
  var powerOffAt: Int?
  /// This operation fails once, with this reason.
  var failAt: (operation: Int, reason: DiskError.Reason)?
  /// Whether it tells when files were made.
  var knowsBirths = true
  /// Bytes that all files may have together.
  var space = Int.max

  /// `asSnapshot`: the files are the same ones; otherwise they are copies.
  func copy(asSnapshot: Bool = true) -> MemoryDisk {
    let copy = MemoryDisk()
    copy.directories = directories
    for (path, node) in names {
      let other = asSnapshot ? Node(birth: node.birth) : Self.newNode()
      other.bytes = node.bytes
      other.durable = node.bytes
      copy.names[path] = other
    }
    copy.durableNames = copy.names
    return copy
  }

  subscript(path: String) -> [UInt8] {
    get { names[path]?.bytes ?? [] }
    set {
      let node = names[path].map { Node(birth: $0.birth) } ?? Self.newNode()
      node.bytes = newValue
      node.durable = newValue
      names[path] = node
      durableNames[path] = node
    }
  }

  func erase(_ path: String) {
    names[path] = nil
    durableNames[path] = nil
  }

  /// The machine goes dark and comes back.
  func powerCut(_ fate: Fate) {
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
  func restart() {
    locked = []
    powerOffAt = nil
    failAt = nil
    operations = []
  }

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in file: inout [UInt8]) {
    if file.count < offset + bytes.count {
      file.append(contentsOf: repeatElement(0, count: offset + bytes.count - file.count))
    }
    file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  /// Counts the operation; says whether it takes effect although it fails.
  private func step(_ operation: String, _ path: String, effect: () throws(DiskError) -> Void) throws(DiskError) {
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

  private func missing(_ operation: String, _ path: String) -> DiskError {
    DiskError(operation: operation, path: path, reason: .notFound, text: "No such file or directory")
  }

  func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    guard let node = names[path] else { throw missing("open", path) }
    return File(disk: self, path: path, node: node)
  }

  func create(_ path: String) throws(DiskError) -> any DiskFile {
    guard names[path] == nil else {
      throw DiskError(operation: "create", path: path, reason: .other, text: "File exists")
    }
    let node = Self.newNode()
    try step("create", path) { () throws(DiskError) in
      names[path] = node
      nameChanges.append(.set(path, node))
    }
    return File(disk: self, path: path, node: node)
  }

  func list(_ directory: String) throws(DiskError) -> [String]? {
    guard directories.contains(directory) else { return nil }
    let inside = names.keys.filter { $0.hasPrefix(directory + "/") }
    return inside.map { String($0.dropFirst(directory.count + 1)) }.sorted()
  }

  func rename(_ from: String, to: String) throws(DiskError) {
    guard let node = names[from] else { throw missing("rename", from) }
    try step("rename", from) { () throws(DiskError) in
      names[from] = nil
      names[to] = node
      nameChanges += [.set(to, node), .clear(from)]
    }
  }

  func remove(_ path: String) throws(DiskError) {
    guard names[path] != nil else { throw missing("remove", path) }
    try step("remove", path) { () throws(DiskError) in
      names[path] = nil
      nameChanges.append(.clear(path))
    }
  }

  func createDirectory(_ path: String) throws(DiskError) {
    try step("createDirectory", path) { () throws(DiskError) in directories.insert(path) }
  }

  func syncDirectory(_ path: String) throws(DiskError) {
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

  func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
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

    init(disk: MemoryDisk, path: String, node: Node) {
      (self.disk, self.path, self.node) = (disk, path, node)
    }

    func size() throws(DiskError) -> Int { node.bytes.count }
    func birth() throws(DiskError) -> UInt64? { disk.knowsBirths ? node.birth : nil }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
      let count = max(0, min(buffer.count, node.bytes.count - offset))
      if count > 0 { buffer.copyBytes(from: node.bytes[offset..<offset + count]) }
      return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
      let all = [UInt8](bytes)
      try disk.step("write", path) { () throws(DiskError) in
        let others = disk.names.values.reduce(0) { $0 + $1.bytes.count } - node.bytes.count
        guard max(node.bytes.count, offset + all.count) <= disk.space - others else {
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

    func close() {}
  }
}

/// SplitMix64: the same numbers from the same seed.
final class Random {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  func chance(_ outOf: Int) -> Bool { below(outOf) == 0 }
  func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
