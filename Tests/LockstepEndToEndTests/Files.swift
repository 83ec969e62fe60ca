import Glibc

/// Files, by the calls of the operating system.
enum Files {
  static func read(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var result: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(file, &part, part.count)
      guard count > 0 else { return result }
      result += part[..<count]
    }
  }

  static func text(_ path: String) -> String { String(decoding: read(path), as: UTF8.self) }

  static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    guard file >= 0 else { throw Failure("\(path) cannot be written: errno \(errno)") }
    defer { close(file) }
    var text = text
    _ = text.withUTF8 { Glibc.write(file, $0.baseAddress, $0.count) }
  }

  static func names(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// With everything in it.
  /// Of all files in a directory.
  static func bytes(_ path: String) -> Int {
    names(path).reduce(0) { sum, name in
      var status = stat()
      return sum + (stat("\(path)/\(name)", &status) == 0 ? Int(status.st_size) : 0)
    }
  }

  static func remove(_ path: String) {
    if unlink(path) == 0 { return }
    for name in names(path) { remove("\(path)/\(name)") }
    rmdir(path)
  }

  /// Turns one bit of one byte over.
  static func damage(_ path: String, at offset: Int) throws {
    let file = open(path, O_RDWR)
    guard file >= 0 else { throw Failure("\(path) cannot be opened: errno \(errno)") }
    defer { close(file) }
    var byte: UInt8 = 0
    guard pread(file, &byte, 1, offset) == 1 else { throw Failure("\(path) has no byte \(offset)") }
    byte ^= 0x10
    guard pwrite(file, &byte, 1, offset) == 1 else { throw Failure("\(path) cannot be damaged") }
  }
}
