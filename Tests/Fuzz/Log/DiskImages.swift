import DiskTesting

extension MemoryDisk {
  /// With these files in this directory, by name.
  convenience init(holding images: [String: [UInt8]], in directory: String) {
    self.init(knowsPowerCuts: false, directories: [directory])
    for (name, bytes) in images { self["\(directory)/\(name)"] = bytes }
  }

  /// The bytes of every file of a directory, by name.
  func images(of directory: String) -> [String: [UInt8]] {
    var images: [String: [UInt8]] = [:]
    for path in paths where path.hasPrefix(directory + "/") {
      images[String(path.dropFirst(directory.count + 1))] = self[path]
    }
    return images
  }
}
