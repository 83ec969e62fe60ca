package import LockstepStorage

/// What every `Disk` does, whatever is behind it. Each check gets an empty directory of its own that exists.
package struct DiskConformance: Sendable, CustomStringConvertible {
  package struct Violation: Error, CustomStringConvertible {
    package let description: String
  }

  package let name: String
  private let body: @Sendable (any Disk, String) throws -> Void
  package var description: String { name }

  package func run(on disk: any Disk, in directory: String) throws { try body(disk, directory) }

  package static let all: [DiskConformance] = [
    DiskConformance(name: "what is written is read, through other openings too") { disk, directory in
      let path = directory + "/file"
      let file = try disk.create(path)
      try file.write(Array(1...100), at: 0)
      try file.write([7, 8], at: 10)
      try file.sync()
      let other = try disk.open(path, for: .reading)
      try equal(try contents(other), Array(1...10) + [7, 8] + Array(13...100), "the bytes")
      let third = try disk.open(path, for: .readingAndWriting)
      try third.write([9], at: 0)
      try equal(try contents(other)[0], 9, "what another opening has written")
    },
    DiskConformance(name: "a read ends at the end of the file, and says how many bytes it has") { disk, directory in
      let file = try disk.create(directory + "/file")
      try equal(try read(file, 10, at: 0), [], "a read of an empty file")
      try file.write(Array(1...100), at: 0)
      try equal(try read(file, 10, at: 95), Array(96...100), "a read over the end")
      try equal(try read(file, 10, at: 100), [], "a read at the end")
      try equal(try read(file, 10, at: 5000), [], "a read far behind the end")
      try equal(try read(file, 0, at: 0), [], "a read of nothing")
    },
    DiskConformance(name: "a file ends at its last byte, and zeros fill what was not written") { disk, directory in
      let file = try disk.create(directory + "/file")
      try equal(try file.size(), 0, "the size of a new file")
      try file.write([], at: 50)
      try equal(try file.size(), 0, "the size after a write of nothing")
      try file.write([1], at: 5000)
      try equal(try file.size(), 5001, "the size")
      try equal(try contents(file), [UInt8](repeating: 0, count: 5000) + [1], "the bytes")
      try file.write([2], at: 0)
      try equal(try file.size(), 5001, "the size after a write before the end")
    },
    DiskConformance(name: "what is allocated reads as zeros and is part of the file") { disk, directory in
      let file = try disk.create(directory + "/file")
      try file.write([1, 2, 3], at: 0)
      try file.allocate(3..<10_000)
      try file.allocate(7..<7)
      try file.sync()
      try equal(try contents(file), [1, 2, 3] + [UInt8](repeating: 0, count: 9997), "the bytes")
      try file.write([4], at: 9999)
      try equal(try read(file, 2, at: 9998), [0, 4], "what was written there")
    },
    DiskConformance(name: "create: the name must be free, and the directory must be there") { disk, directory in
      _ = try disk.create(directory + "/file")
      try fails("create", directory + "/file", .other) { _ = try disk.create(directory + "/file") }
      try fails("create", directory + "/none/file", .notFound) { _ = try disk.create(directory + "/none/file") }
    },
    DiskConformance(name: "open: what is not there is not found, and does not come to be") { disk, directory in
      for access in [FileAccess.reading, .readingAndWriting] {
        try fails("open", directory + "/file", .notFound) { _ = try disk.open(directory + "/file", for: access) }
      }
      try equal(try disk.list(directory), [], "the names")
    },
    DiskConformance(name: "a file that was opened for reading takes no writes") { disk, directory in
      try disk.create(directory + "/file").write([1], at: 0)
      let file = try disk.open(directory + "/file", for: .reading)
      try fails("write", directory + "/file", .other) { try file.write([2], at: 0) }
      try equal(try contents(file), [1], "the bytes")
    },
    DiskConformance(name: "a closed file fails, and closing it again is nothing") { disk, directory in
      let file = try disk.create(directory + "/file")
      file.close()
      file.close()
      try fails("write", directory + "/file", .other) { try file.write([2], at: 0) }
      try fails("sync", directory + "/file", .other) { try file.sync() }
      try fails("read", directory + "/file", .other) { _ = try read(file, 1, at: 0) }
    },
    DiskConformance(name: "list: sorted names of all that is there, or nil") { disk, directory in
      try equal(try disk.list(directory), [], "the names in an empty directory")
      for name in ["b", "a", "c.new"] { _ = try disk.create("\(directory)/\(name)") }
      try disk.createDirectory(directory + "/bb")
      _ = try disk.create(directory + "/bb/inside")
      try equal(try disk.list(directory), ["a", "b", "bb", "c.new"], "the names")
      try equal(try disk.list(directory + "/bb"), ["inside"], "the names inside")
      try equal(try disk.list(directory + "/none"), nil, "the names in a directory that is not there")
    },
    DiskConformance(name: "rename: takes the place of what was there, and open files stay open") { disk, directory in
      let (from, to) = (directory + "/from", directory + "/to")
      let file = try disk.create(from)
      try file.write([1], at: 0)
      let old = try disk.create(to)
      try old.write([2], at: 0)
      try disk.rename(from, to: to)
      try disk.syncDirectory(directory)
      try equal(try disk.list(directory), ["to"], "the names")
      try equal(try contents(try disk.open(to, for: .reading)), [1], "the bytes under the new name")
      try equal(try contents(old), [2], "the bytes of the file that was replaced")
      try file.write([3], at: 0)
      try equal(try contents(try disk.open(to, for: .reading)), [3], "what was written after the renaming")
      try fails("rename", from, .notFound) { try disk.rename(from, to: to) }
      try fails("rename", to, .notFound) { try disk.rename(to, to: directory + "/none/to") }
      try equal(try disk.list(directory), ["to"], "the names after what failed")
    },
    DiskConformance(name: "remove: the name is gone, and open files stay open") { disk, directory in
      let path = directory + "/file"
      let file = try disk.create(path)
      try file.write([1], at: 0)
      try disk.remove(path)
      try disk.syncDirectory(directory)
      try equal(try disk.list(directory), [], "the names")
      try equal(try contents(file), [1], "the bytes")
      try fails("remove", path, .notFound) { try disk.remove(path) }
      try equal(try disk.create(path).size(), 0, "the size of a new file of that name")
    },
    DiskConformance(name: "directories: the parent must be there, the name must be free") { disk, directory in
      try disk.createDirectory(directory + "/one")
      try disk.createDirectory(directory + "/one/two")
      try disk.syncDirectory(directory + "/one")
      try fails("create directory", directory + "/one", .other) { try disk.createDirectory(directory + "/one") }
      let orphan = directory + "/none/two"
      try fails("create directory", orphan, .notFound) { try disk.createDirectory(orphan) }
      try equal(try disk.list(directory + "/one"), ["two"], "the names")
    },
    DiskConformance(name: "directories: what is in one goes with it, to another name or for good") { disk, directory in
      let (from, to) = (directory + "/from", directory + "/to")
      try disk.createDirectory(from)
      try disk.createDirectory(from + "/inner")
      let file = try disk.create(from + "/file")
      try file.write([1], at: 0)
      try disk.create(from + "/inner/file").write([2], at: 0)
      try disk.rename(from, to: to)
      try disk.syncDirectory(directory)
      try equal(try disk.list(from), nil, "the names in the directory that was")
      try equal(try disk.list(to), ["file", "inner"], "the names")
      try file.write([3], at: 0)
      try equal(try contents(try disk.open(to + "/file", for: .reading)), [3], "the bytes of a file that was open")
      try equal(try contents(try disk.open(to + "/inner/file", for: .reading)), [2], "the bytes further inside")
      try disk.removeDirectory(to)
      try disk.syncDirectory(directory)
      try equal(try disk.list(directory), [], "the names after the removal")
      try fails("remove directory", to, .notFound) { try disk.removeDirectory(to) }
    },
    DiskConformance(name: "lock: made when exclusive, held once, free after its release") { disk, directory in
      let path = directory + "/lock"
      try fails("lock", path, .notFound) { _ = try disk.lock(path, exclusive: false) }
      let lock = try disk.lock(path, exclusive: true)
      for exclusive in [true, false] { try isHeld(disk, path, exclusive: exclusive) }
      lock.release()
      lock.release()
      let shared = try disk.lock(path, exclusive: false)
      try isHeld(disk, path, exclusive: true)
      shared.release()
      try disk.lock(path, exclusive: true).release()
      try equal(try disk.list(directory), ["lock"], "the names")
    },
  ]

  // MARK: What checks are made of

  private static func equal<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) throws {
    guard found == expected else { throw Violation(description: "\(what): \(found) instead of \(expected)") }
  }

  private static func fails(
    _ operation: String, _ path: String, _ reason: DiskError.Reason, _ body: () throws -> Void
  ) throws {
    do { try body() } catch let error as DiskError {
      guard error.reason == reason, error.path == path, !error.text.isEmpty else {
        throw Violation(description: "\(operation) of \(path) has failed otherwise: \(error) (\(error.reason))")
      }
      return
    }
    throw Violation(description: "\(operation) of \(path) has not failed")
  }

  private static func isHeld(_ disk: any Disk, _ path: String, exclusive: Bool) throws {
    do { _ = try disk.lock(path, exclusive: exclusive) } catch {
      guard case .heldElsewhere = error.reason, error.path == path else { throw error }
      return
    }
    throw Violation(description: "\(path) was locked twice")
  }

  private static func read(_ file: any DiskFile, _ count: Int, at offset: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    let done = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
    return Array(bytes[..<done])
  }

  private static func contents(_ file: any DiskFile) throws -> [UInt8] { try read(file, try file.size(), at: 0) }
}

extension DiskFile {
  fileprivate func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withUnsafeBytes { try write($0, at: offset) }
  }
}
