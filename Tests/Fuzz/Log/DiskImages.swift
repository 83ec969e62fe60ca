import DiskTesting

extension MemoryDisk {
  /// With these files in this directory, by name.
  convenience init(holding images: [String: [UInt8]], in directory: String) {
    self.init(knowsPowerCuts: false, directories: [directory])
    // The files are made anew for each input: a start would say that they are copies, and look no further.
    knowsBirths = false
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
