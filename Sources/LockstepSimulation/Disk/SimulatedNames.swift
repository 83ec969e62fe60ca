/// The directories of a disk and the names in them, as the process sees them and as the device has them.
struct SimulatedNames {
  /// In a directory that was not synced since.
  private enum Change {
    case name(String, SimulatedInode?)
    /// A directory with all that is in it.
    case moved(String, to: String)
    case directoryRemoved(String)

    var path: String {
      switch self {
      case .name(let path, _), .moved(let path, _), .directoryRemoved(let path): path
      }
    }
  }

  private(set) var inodes: [String: SimulatedInode] = [:]
  private var durable: [String: SimulatedInode] = [:]
  /// Names made, replaced and removed, by their directory, each with its place among all. A directory that is never synced,
  /// in which a file is replaced over and over, is not gone through for the syncs of others.
  private var changes: [String: [(number: Int, change: Change)]] = [:]
  private var nextChange = 0
  private var directories: [String] = []
  /// Whose own name may be durable.
  private var durableDirectories: [String] = []
  /// Those whose parent was not synced.
  private var newDirectories: [String] = []

  var paths: [String] { inodes.keys.sorted() }
  var bytes: Int { inodes.values.reduce(0) { $0 + $1.bytes.count } }

  subscript(path: String) -> SimulatedInode? {
    get { inodes[path] }
    set {
      inodes[path] = newValue
      append(.name(path, newValue))
    }
  }

  private mutating func append(_ change: Change) {
    changes[Self.parent(of: change.path), default: []].append((nextChange, change))
    nextChange += 1
  }

  private var changesInOrder: [Change] {
    changes.values.joined().sorted { $0.number < $1.number }.map(\.change)
  }

  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  func isDirectory(_ path: String) -> Bool { path == "/" || path == "." || directories.contains(path) }

  /// The name is free, and there is a directory for it.
  func isFree(_ path: String) -> Bool { inodes[path] == nil && !directories.contains(path) }

  func list(_ directory: String) -> [String] {
    let start = directory == "." ? 0 : directory == "/" ? 1 : directory.utf8.count + 1
    let slash = UInt8(ascii: "/")
    func name(_ path: String) -> String? {
      let path = path.utf8
      guard path.count > start, start < 2 || path.starts(with: directory.utf8) else { return nil }
      let name = path.dropFirst(start)
      guard start == 0 || path[path.index(before: name.startIndex)] == slash, !name.contains(slash) else { return nil }
      return String(name)
    }
    return (inodes.keys.compactMap(name) + directories.compactMap(name)).sorted()
  }

  mutating func addDirectory(_ path: String) {
    finishRemoval(of: path)
    directories.append(path)
    newDirectories.append(path)
  }

  /// An empty one.
  mutating func removeDirectory(_ path: String) {
    directories.removeAll { $0 == path }
    if newDirectories.contains(path) {
      newDirectories.removeAll { $0 == path }
    } else {
      append(.directoryRemoved(path))
    }
  }

  /// Changes in it that are not durable yet become so: which of them a power cut leaves is open, and all is one answer.
  mutating func moveDirectory(_ from: String, to: String) {
    sync(from)
    finishRemoval(of: to)
    if newDirectories.contains(from) {
      newDirectories.removeAll { $0 == from }
      durableDirectories.append(from)
    }
    Self.move(from, to: to, &inodes, &directories)
    append(.moved(from, to: to))
  }

  /// Of one that had this name before.
  private mutating func finishRemoval(of path: String) {
    let parent = Self.parent(of: path)
    for (_, change) in changes[parent] ?? [] where change.path == path {
      if case .directoryRemoved = change { makeDurable(change) }
    }
    changes[parent]?.removeAll { if case .directoryRemoved(path) = $0.change { true } else { false } }
  }

  private static func move(
    _ from: String, to: String, _ inodes: inout [String: SimulatedInode], _ directories: inout [String]
  ) {
    func moved(_ path: String) -> String { path.hasPrefix(from + "/") ? to + path.dropFirst(from.count) : path }
    inodes = Dictionary(uniqueKeysWithValues: inodes.map { (moved($0.key), $0.value) })
    directories = directories.map { $0 == from ? to : moved($0) }
  }

  private mutating func makeDurable(_ change: Change) {
    switch change {
    case .name(let path, let inode): durable[path] = inode
    case .moved(let from, let to): Self.move(from, to: to, &durable, &durableDirectories)
    case .directoryRemoved(let path):
      durableDirectories.removeAll { $0 == path }
      durable = durable.filter { !$0.key.hasPrefix(path + "/") }
    }
  }

  mutating func sync(_ directory: String) {
    for path in newDirectories where Self.parent(of: path) == directory { durableDirectories.append(path) }
    newDirectories.removeAll { Self.parent(of: $0) == directory }
    for (_, change) in changes.removeValue(forKey: directory) ?? [] { makeDurable(change) }
  }

  /// The power is gone: what is durable and what `survives` is all that there is. Returns how many changes did not.
  mutating func lose(_ survives: (_ path: String) -> Bool) -> Int {
    var lost = 0
    for directory in newDirectories {
      if survives(directory) {
        durableDirectories.append(directory)
      } else {
        lost += 1
        changes = changes.filter { $0.key != directory && !$0.key.hasPrefix(directory + "/") }
        durable = durable.filter { !$0.key.hasPrefix(directory + "/") }
      }
    }
    newDirectories = []
    // A name in a directory that has moved, and is back where it was, goes with it.
    for change in changesInOrder {
      if survives(change.path) { makeDurable(change) } else { lost += 1 }
    }
    changes = [:]
    directories = durableDirectories
    inodes = durable.filter { isDirectory(Self.parent(of: $0.key)) }
    durable = inodes
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
    other.changes = changes.mapValues { list in
      list.map { number, change in
        if case .name(let path, let inode) = change { (number, .name(path, inode.map(copy))) } else { (number, change) }
      }
    }
    return other
  }
}
