import FoundationEssentials
import Testing

@testable import LockstepTool

@Suite("a cluster's directory")
final class ClusterDirectoryTests {
  private let path: String
  init() throws {
    let directory = try ClusterDirectory.temporary(nodes: nil)
    directory.unlock()
    path = directory.path
    // Only the directory: tests found the cluster themselves.
    try FileManager.default.removeItem(atPath: "\(path)/cluster")
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  private func put(_ text: String) throws {
    let written = FileManager.default.createFile(atPath: "\(path)/cluster", contents: Data(text.utf8))
    try #require(written)
  }

  private func failure(nodes: Int? = nil) -> CommandFailure? {
    #expect(throws: CommandFailure.self) { try ClusterDirectory(path: path, nodes: nodes) }
  }

  @Test("the name is made once and found again, with the number of nodes")
  func name() throws {
    let first = try ClusterDirectory(path: path, nodes: 5)
    #expect(first.name.count == 32)
    first.unlock()
    let second = try ClusterDirectory(path: path, nodes: nil)
    #expect((second.name, second.nodes) == (first.name, 5))
    second.unlock()
  }

  @Test("a directory that does not exist is made; three nodes are the default")
  func made() throws {
    let directory = try ClusterDirectory(path: "\(path)/a/b", nodes: nil)
    #expect(directory.nodes == 3)
    directory.unlock()
  }

  @Test("what is refused founds nothing")
  func refused() throws {
    let refusal = CommandFailure.usage("no")
    #expect(throws: refusal) {
      try ClusterDirectory(path: path, nodes: nil) { nodes throws(CommandFailure) in
        #expect(nodes == 3)
        throw refusal
      }
    }
    let directory = try ClusterDirectory(path: path, nodes: 5)
    #expect(directory.nodes == 5)
    directory.unlock()
  }

  @Test("another number of nodes than it was founded with is bad usage")
  func otherNumber() throws {
    try ClusterDirectory(path: path, nodes: 3).unlock()
    #expect(failure(nodes: 5)?.exitCode == 2)
  }

  @Test("a second launcher is refused, and told of the first")
  func locked() throws {
    let first = try ClusterDirectory(path: path, nodes: 3)
    let failure = failure()
    #expect(failure?.exitCode == 1)
    #expect(failure?.message.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
    first.unlock()
  }

  @Test(
    "a cluster file that is damaged is not taken for an empty one",
    arguments: ["", "\n", "abc\nnodes 3\n", String(repeating: "a", count: 32) + "\nnodes 0\n"])
  func damaged(text: String) throws {
    try put(text)
    #expect(failure()?.message.contains("\(path)/cluster") == true)
  }

  @Test("the last lines of a log, of this life only")
  func lastLines() throws {
    let directory = try ClusterDirectory(path: path, nodes: 1)
    defer { directory.unlock() }
    let first = try directory.openLog(of: 1)
    Output.write("old\n", to: first.file)
    let second = try directory.openLog(of: 1)
    #expect((first.offset, second.offset) == (0, 4))
    Output.write("a\nb\nc\n", to: second.file)
    #expect(directory.lastLines(of: 1, from: second.offset) == ["a", "b", "c"])
    #expect(directory.lastLines(of: 1, from: second.offset, count: 1) == ["c"])
    #expect(directory.lastLines(of: 2, from: 0) == [])
  }
}
