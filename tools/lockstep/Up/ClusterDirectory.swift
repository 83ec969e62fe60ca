import FoundationEssentials
import Glibc

// What a launcher keeps in a cluster's directory, beside the nodes' own DIR/1, DIR/2, …:
//   DIR/lock        held by flock while a launcher works here; its text is the launcher's process id
//   DIR/cluster     "NAME\nnodes N\n": the cluster's name and how many nodes it was made with. Written once, to
//                   DIR/cluster.new, synced and renamed; a crash leaves it whole or not there
//   DIR/node-1.log  what node 1 wrote to stderr, life after life

/// The directory of a local cluster, held by this process alone.
struct ClusterDirectory {
  let path: String
  /// 128 random bits in hexadecimal.
  let name: String
  let nodes: Int
  private let lock: Int32

  /// Opens the directory of a cluster, or founds one there. `nodes` nil: as many as it was founded with, else three.
  /// Not opened, and a new one not founded, when `check` has something against so many nodes.
  init(
    path named: String, nodes wanted: Int?, check: (Int) throws(CommandFailure) -> Void = { _ in }
  ) throws(CommandFailure) {
    // The nodes get it as a flag's value, which would else be taken for a flag.
    let path = named.hasPrefix("-") ? "./" + named : named
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw .failed("the directory '\(path)' cannot be made: \(Self.reason(error))")
    }
    lock = try Self.lock(path)
    let file = "\(path)/cluster"
    if FileManager.default.fileExists(atPath: file) {
      (name, nodes) = try Self.read(file)
      if let wanted, wanted != nodes {
        throw .usage(
          "'\(path)' holds a cluster of \(nodes) nodes, --nodes says \(wanted); leave --nodes out, or choose another --dir"
        )
      }
      try Self.checked(nodes, check, lock)
    } else {
      nodes = wanted ?? 3
      try Self.checked(nodes, check, lock)
      name = Self.newName()
      try Self.write("\(name)\nnodes \(nodes)\n", to: file, in: path)
    }
    self.path = path
  }

  func log(of node: Int) -> String { "\(path)/node-\(node).log" }
  func data(of node: Int) -> String { "\(path)/\(node)" }

  /// Opens a node's log for appending; the offset is where this life's lines begin.
  func openLog(of node: Int) throws(CommandFailure) -> (file: Int32, offset: Int) {
    let path = log(of: node)
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw .failed("the log '\(path)' cannot be opened: \(systemMessage(errno))") }
    return (file, max(0, lseek(file, 0, SEEK_END)))
  }

  /// The last lines that a node has written since `offset`.
  func lastLines(of node: Int, from offset: Int, count: Int = 8) -> [String] {
    let file = open(log(of: node), O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    let start = max(offset, lseek(file, 0, SEEK_END) - 16_384)
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let read = pread(file, &bytes, bytes.count, start)
    guard read > 0 else { return [] }
    return String(decoding: bytes[..<read], as: UTF8.self).split(separator: "\n").suffix(count).map(String.init)
  }

  /// Lets another launcher work here. The end of the process does it too. Not by closing alone: a child that is about to
  /// start its program may still have the descriptor.
  func unlock() { Self.unlock(lock) }

  private static func checked(
    _ nodes: Int, _ check: (Int) throws(CommandFailure) -> Void, _ lock: Int32
  ) throws(CommandFailure) {
    do { try check(nodes) } catch {
      unlock(lock)
      throw error
    }
  }

  private static func unlock(_ lock: Int32) {
    flock(lock, LOCK_UN)
    close(lock)
  }

  /// Removes all of it.
  func remove() throws(CommandFailure) {
    do { try FileManager.default.removeItem(atPath: path) } catch {
      throw .failed("the temporary directory '\(path)' cannot be removed: \(Self.reason(error))")
    }
  }

  /// A new cluster that is not to outlive its launcher.
  static func temporary(
    nodes: Int?, check: (Int) throws(CommandFailure) -> Void = { _ in }
  ) throws(CommandFailure) -> ClusterDirectory {
    let path = try temporaryPath()
    do throws(CommandFailure) { return try ClusterDirectory(path: path, nodes: nodes, check: check) } catch {
      // A full disk, most likely: what there is of it goes, and if it does not, that is the lesser problem.
      try? FileManager.default.removeItem(atPath: path)
      throw error
    }
  }

  private static func temporaryPath() throws(CommandFailure) -> String {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/lockstep-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw .failed("no temporary directory can be made in '\(parent)': \(systemMessage(errno))")
    }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  // MARK: Files

  /// The lock goes with the process, however that ends; the nodes do not inherit it.
  private static func lock(_ path: String) throws(CommandFailure) -> Int32 {
    let name = "\(path)/lock"
    let file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw .failed("'\(name)' cannot be opened: \(systemMessage(errno))") }
    guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
      let holder = text(of: file).flatMap { Int($0.prefix { $0.isNumber }) }
      close(file)
      throw .failed(
        "another 'lockstep up' works in '\(path)'\(holder.map { " (process \($0))" } ?? ""); stop it first, or choose another --dir"
      )
    }
    let process = "\(getpid())\n"
    ftruncate(file, 0)
    pwrite(file, process, process.utf8.count, 0)
    return file
  }

  private static func text(of file: Int32) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = pread(file, &bytes, bytes.count, 0)
    return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }

  private static func read(_ path: String) throws(CommandFailure) -> (name: String, nodes: Int) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .failed("'\(path)' cannot be read: \(systemMessage(errno))") }
    defer { close(file) }
    let lines = text(of: file)?.split(separator: "\n") ?? []
    guard lines.count == 2, lines[0].count == 32, lines[0].allSatisfy(\.isHexDigit), lines[1].hasPrefix("nodes "),
      let nodes = Int(lines[1].dropFirst(6)), UpCommand.supportedNodes.contains(nodes)
    else {
      throw .failed("'\(path)' does not hold a cluster's name and size; it is not a file of lockstep, or it is damaged")
    }
    return (String(lines[0]), nodes)
  }

  private static func write(_ text: String, to path: String, in directory: String) throws(CommandFailure) {
    let new = path + ".new"
    let file = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw .failed("'\(new)' cannot be made: \(systemMessage(errno))") }
    let isWritten = Output.write(text, to: file) && fsync(file) == 0
    let code = errno
    close(file)
    guard isWritten else { throw .failed("'\(new)' cannot be written: \(systemMessage(code))") }
    guard rename(new, path) == 0 else { throw .failed("'\(path)' cannot be made: \(systemMessage(errno))") }
    let parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { throw .failed("'\(directory)' cannot be opened: \(systemMessage(errno))") }
    defer { close(parent) }
    guard fsync(parent) == 0 else { throw .failed("'\(directory)' cannot be synced: \(systemMessage(errno))") }
  }

  private static func newName() -> String {
    var generator = SystemRandomNumberGenerator()
    return (0..<2).map { _ in
      let digits = String(generator.next() as UInt64, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? CocoaError else { return "\(error)" }
    return (error.underlying as? POSIXError).map { systemMessage($0.code.rawValue) } ?? "\(error)"
  }
}
