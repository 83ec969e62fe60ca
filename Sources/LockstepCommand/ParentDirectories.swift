import Glibc
import Lockstep

/// What leads to a node's directory; that one itself the node makes.
enum ParentDirectories {
  /// Makes those that are missing. Each is durable before anything is put into it.
  static func make(above path: String) throws(ServerFailure) {
    let parent = parent(of: path)
    var status = stat()
    guard parent != path, stat(parent, &status) != 0 else { return }
    try make(above: parent)
    guard mkdir(parent, 0o755) == 0 || errno == EEXIST else {
      throw ServerFailure(.other, "the directory \(parent) cannot be made: \(String(cString: strerror(errno)))")
    }
    try sync(self.parent(of: parent))
  }

  /// As the system takes a path: slashes at its end say nothing, and several in a row are one.
  static func parent(of path: String) -> String {
    let slash = UInt8(ascii: "/")
    var parent = path.utf8[...]
    while parent.last == slash { parent.removeLast() }
    while let last = parent.last, last != slash { parent.removeLast() }
    while parent.last == slash { parent.removeLast() }
    if parent.isEmpty { return path.utf8.first == slash ? "/" : "." }
    return String(Substring(parent))
  }

  private static func sync(_ directory: String) throws(ServerFailure) {
    let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if file >= 0 { close(file) } }
    guard file >= 0, fsync(file) == 0 else {
      throw ServerFailure(.disk, "the directory \(directory) cannot be synced: \(String(cString: strerror(errno)))")
    }
  }
}
