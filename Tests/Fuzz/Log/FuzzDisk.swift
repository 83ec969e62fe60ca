import LockstepStorage

/// Files in memory: what is written is there. Crashes are not its business.
final class FuzzDisk: Disk, @unchecked Sendable {
  // Unchecked: a target is one thread.
  private(set) var files: [String: Contents] = [:]
  private var directories: Set<String> = []

  final class Contents {
    var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  init() {}

  init(directory: String, _ images: [String: [UInt8]]) {
    directories = [directory]
    for (name, bytes) in images { files["\(directory)/\(name)"] = Contents(bytes) }
  }

  /// The bytes of every file of a directory, by name.
  func images(of directory: String) -> [String: [UInt8]] {
    var images: [String: [UInt8]] = [:]
    for (path, contents) in files where path.hasPrefix(directory + "/") {
      images[String(path.dropFirst(directory.count + 1))] = contents.bytes
    }
    return images
  }

  private func contents(_ operation: String, _ path: String) throws(DiskError) -> Contents {
    guard let contents = files[path] else {
      throw DiskError(operation: operation, path: path, reason: .notFound, text: "No such file or directory")
    }
    return contents
  }

  func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    File(contents: try contents("open", path))
  }

  func create(_ path: String) throws(DiskError) -> any DiskFile {
    guard files[path] == nil else {
      throw DiskError(operation: "create", path: path, reason: .other, text: "File exists")
    }
    let contents = Contents([])
    files[path] = contents
    return File(contents: contents)
  }

  func list(_ directory: String) throws(DiskError) -> [String]? {
    guard directories.contains(directory) else { return nil }
    return images(of: directory).keys.sorted()
  }

  func rename(_ from: String, to: String) throws(DiskError) {
    files[to] = try contents("rename", from)
    files[from] = nil
  }

  func remove(_ path: String) throws(DiskError) {
    _ = try contents("remove", path)
    files[path] = nil
  }

  func createDirectory(_ path: String) throws(DiskError) { directories.insert(path) }

  func syncDirectory(_ path: String) throws(DiskError) {}

  func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
    if files[path] == nil { files[path] = Contents([]) }
    return Lock()
  }

  private final class Lock: DiskLock {
    func release() {}
  }

  private final class File: DiskFile {
    let contents: Contents
    init(contents: Contents) { self.contents = contents }

    func size() throws(DiskError) -> Int { contents.bytes.count }
    func birth() throws(DiskError) -> UInt64? { nil }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
      let count = max(0, min(buffer.count, contents.bytes.count - offset))
      if count > 0 { buffer.copyBytes(from: contents.bytes[offset..<offset + count]) }
      return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
      let missing = offset + bytes.count - contents.bytes.count
      if missing > 0 { contents.bytes.append(contentsOf: repeatElement(0, count: missing)) }
      contents.bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    func sync() throws(DiskError) {}

    func close() {}
  }
}
