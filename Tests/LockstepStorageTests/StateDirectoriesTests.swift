import Foundation
import LockstepConsensus
import Testing

@testable import LockstepStorage

@Suite("directories of a machine with its own storage")
struct StateDirectoriesTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent("lockstep-\(UUID().uuidString)").path

  private func with(_ names: [String], _ body: (StateDirectories) throws -> Void) throws -> [String] {
    for name in names {
      try FileManager.default.createDirectory(atPath: "\(path)/\(name)/inner", withIntermediateDirectories: true)
      try Data([1]).write(to: URL(fileURLWithPath: "\(path)/\(name)/inner/file"))
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(StateDirectories(path, group: .first))
    return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  @Test("one is made when there is none; of several the one of the furthest snapshot counts")
  func opened() throws {
    let one = try with([]) { (directories) throws in
      let newest = try directories.open()
      #expect(newest == .zero)
    }
    #expect(one == ["state-1"])
    let several = ["state-1", "state-1-100", "state-1-20"]
    let left = try with(several) { (directories) throws in
      let newest = try directories.open()
      #expect(newest == LogIndex(100))
    }
    #expect(left == several)
  }

  @Test("unfinished ones go, with all that is in them; those of other groups, and what is something else, stay")
  func cleared() throws {
    let left = try with([
      "state-1", "state-1.part", "state-1-7.part", "state-12", "state-12.part", "state-1-x", "state-1-0",
    ]) { (directories) throws in
      let newest = try directories.open()
      #expect(newest == .zero)
    }
    #expect(left == ["state-1", "state-1-0", "state-1-x", "state-12", "state-12.part"])
  }

  @Test("one counts when it is complete, and not after it was removed; what was begun before is begun again, empty")
  func made() throws {
    let left = try with(["state-1", "state-1-9.part"]) { directories in
      let part = try directories.make(LogIndex(9))
      #expect(try FileManager.default.contentsOfDirectory(atPath: part).isEmpty)
      try Data([2]).write(to: URL(fileURLWithPath: "\(part)/file"))
      try directories.complete(LogIndex(9))
      #expect(try directories.open() == LogIndex(9))
      try directories.remove(LogIndex(9))
      #expect(try directories.open() == .zero)
      _ = try directories.make(LogIndex(11))
      try directories.complete(LogIndex(11))
      try directories.removeAll(but: LogIndex(11))
    }
    #expect(left == ["state-1-11"])
  }
}
