import Foundation
import Testing

/// The mistakes that tools/planted makes on purpose are kept beside the code and not in it: here is seen that they keep up
/// with it.
@Suite("mistakes made on purpose") struct MarksTests {
  private static var root: URL {
    URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
  }

  /// `tools/planted --check` on this tree: its exit code, and what it says.
  private func check(_ tree: URL) throws -> (code: Int32, text: String) {
    let process = Process()
    process.executableURL = Self.root.appendingPathComponent("tools/planted")
    process.arguments = ["--check", tree.path]
    let output = Pipe()
    process.standardError = output
    try process.run()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: text, as: UTF8.self))
  }

  @Test("every mark applies exactly once") func apply() throws {
    let (code, text) = try check(Self.root)
    #expect(code == 0, "\(text)")
    let words = text.split(separator: " ")
    #expect(words.count == 4 && (Int(words[0]) ?? 0) >= 40 && (Int(words[2]) ?? 0) >= 50, "\(text)")
  }

  @Test(
    "a mark whose lines are gone, or there twice, is told",
    arguments: [("let b = 2\n", "has no such lines"), ("let a = 1\nlet a = 1\n", "has these lines twice")])
  func stale(source: String, complaint: String) throws {
    let tree = FileManager.default.temporaryDirectory.appendingPathComponent("marks-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: tree) }
    for folder in ["Sources/LockstepConsensus", "Tests/Planted", "tools"] {
      try FileManager.default.createDirectory(
        at: tree.appendingPathComponent(folder), withIntermediateDirectories: true)
    }
    try Data().write(to: tree.appendingPathComponent("Package.swift"))
    try Data(source.utf8).write(to: tree.appendingPathComponent("Sources/A.swift"))
    try Data("@ Sources/A.swift\n-let a = 1\n+let a = planted(.twice) ? 2 : 1\n".utf8)
      .write(to: tree.appendingPathComponent("Tests/Planted/A.marks"))
    try FileManager.default.copyItem(
      at: Self.root.appendingPathComponent("Tests/Planted/PlantedBug.swift"),
      to: tree.appendingPathComponent("Tests/Planted/PlantedBug.swift"))
    let (code, text) = try check(tree)
    #expect(code == 1 && text.contains("Sources/A.swift \(complaint)"), "\(text)")
  }

  @Test("no mistake is in what is shipped")
  func shipped() throws {
    let folder = Self.root.appendingPathComponent("Sources")
    let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
    var count = 0
    for case let file as URL in files where file.pathExtension == "swift" {
      count += 1
      #expect(!(try String(contentsOf: file, encoding: .utf8)).contains("planted(."), "\(file.path)")
    }
    #expect(count > 0)
  }
}
