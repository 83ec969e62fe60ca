/// The directories of a disk and the names in them, as the process sees them and as the device has them.
struct SimulatedNames {
  private(set) var inodes: [String: SimulatedInode] = [:]
  private var durable: [String: SimulatedInode] = [:]
  /// Names made, replaced and removed in directories that were not synced since, in order.
  private var changes: [(path: String, inode: SimulatedInode?)] = []
  private var directories: [String] = []
  /// Those whose parent was not synced.
  private var newDirectories: [String] = []

  var paths: [String] { inodes.keys.sorted() }
  var bytes: Int { inodes.values.reduce(0) { $0 + $1.bytes.count } }

  subscript(path: String) -> SimulatedInode? {
    get { inodes[path] }
    set {
      inodes[path] = newValue
      changes.append((path, newValue))
    }
  }

  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  func isDirectory(_ path: String) -> Bool { path == "/" || path == "." || directories.contains(path) }

  /// The name is free, and there is a directory for it.
  func isFree(_ path: String) -> Bool { inodes[path] == nil && !directories.contains(path) }

  func list(_ directory: String) -> [String] {
    let paths = (inodes.keys + directories).filter { Self.parent(of: $0) == directory }
    return paths.map { String($0[($0.lastIndex(of: "/").map($0.index(after:)) ?? $0.startIndex)...]) }.sorted()
  }

  mutating func addDirectory(_ path: String) {
    directories.append(path)
    newDirectories.append(path)
  }

  mutating func sync(_ directory: String) {
    for change in changes where Self.parent(of: change.path) == directory { durable[change.path] = change.inode }
    changes.removeAll { Self.parent(of: $0.path) == directory }
    newDirectories.removeAll { Self.parent(of: $0) == directory }
  }

  /// The power is gone: what is durable and what `survives` is all that there is. Returns how many changes did not.
  mutating func lose(_ survives: (_ path: String) -> Bool) -> Int {
    var lost = 0
    for directory in newDirectories where !survives(directory) {
      lost += 1
      let prefix = directory + "/"
      directories.removeAll { $0 == directory || $0.hasPrefix(prefix) }
      changes.removeAll { $0.path.hasPrefix(prefix) }
      durable = durable.filter { !$0.key.hasPrefix(prefix) }
    }
    newDirectories = []
    for change in changes {
      if survives(change.path) { durable[change.path] = change.inode } else { lost += 1 }
    }
    changes = []
    inodes = durable
    return lost
  }

  /// The same names for files of their own. Their bytes are shared until one of the two writes to them.
  func copy() -> SimulatedNames {
    var copies: [ObjectIdentifier: SimulatedInode] = [:]
    func copy(_ inode: SimulatedInode) -> SimulatedInode {
      if let known = copies[ObjectIdentifier(inode)] { return known }
      let made = SimulatedInode(copying: inode)
      copies[ObjectIdentifier(inode)] = made
      return made
    }
    var other = self
    other.inodes = inodes.mapValues(copy)
    other.durable = durable.mapValues(copy)
    other.changes = changes.map { ($0.path, $0.inode.map(copy)) }
    return other
  }
}
