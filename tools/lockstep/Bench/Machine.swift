import Glibc
import LockstepReflection

/// What a figure depends on beside the program: the machine that it was measured on.
struct Machine: Sendable, Equatable {
  var processor: String
  var cores: Int
  var memoryBytes: Int
  var kernel: String

  static func current() -> Machine {
    var system = utsname()
    uname(&system)
    return Machine(
      processor: processor(in: textFile("/proc/cpuinfo")), cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
      memoryBytes: sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)),
      kernel: "\(text(system.sysname)) \(text(system.release))")
  }

  /// The first processor's name; some architectures give it none.
  static func processor(in information: String) -> String {
    for line in information.split(separator: "\n") where line.hasPrefix("model name") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      return String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    return "unknown processor"
  }

  var description: String {
    let memory = (Double(memoryBytes) / Double(1 << 30)).rounded()
    return "\(processor), \(cores) cores, \(Int(memory)) GiB, \(kernel)"
  }

  var json: JSONValue {
    .object([
      "cpu": .init(processor), "cores": .init(cores), "memory_bytes": .init(memoryBytes), "kernel": .init(kernel),
    ])
  }

  private static func text<Field>(_ field: Field) -> String {
    withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// Where files lie.
enum FileSystem {
  static let inMemory = ["tmpfs", "ramfs"]

  /// The type of the file system that holds `path`, like `ext4`: a sync costs nothing on some.
  static func type(of path: String) -> String {
    guard let real = realpath(path, nil) else { return "unknown" }
    defer { free(real) }
    return type(of: String(cString: real), mounts: textFile("/proc/self/mountinfo")) ?? "unknown"
  }

  /// `mounts` as in /proc/self/mountinfo: the fifth word is where, the one after " - " is the type. The innermost mount
  /// holds the path, and of several at one place the last.
  static func type(of path: String, mounts: String) -> String? {
    var best: (length: Int, type: String)?
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count > 4, let dash = words.firstIndex(of: "-"), dash + 1 < words.endIndex else { continue }
      let point = String(words[4])
      guard point == "/" || path == point || path.hasPrefix(point + "/") else { continue }
      if point.count >= best?.length ?? 0 { best = (point.count, String(words[dash + 1])) }
    }
    return best?.type
  }
}

/// A file of the system's, whose size is not known before it is read; empty when it cannot be.
private func textFile(_ path: String) -> String {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return "" }
  defer { close(file) }
  var (bytes, part): ([UInt8], [UInt8]) = ([], Array(repeating: 0, count: 1 << 16))
  while true {
    let count = read(file, &part, part.count)
    if count <= 0 { break }
    bytes += part[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}
