import Foundation
import Testing

/// The core and the execution know no world: what they do follows from events alone, on every replica and in every run.
@Suite("purity") struct PurityTests {
  private static let banned = [
    #"\bimport\s+(Foundation\w*|Glibc|Musl|Darwin|NIO\w*|Dispatch|Synchronization|Logging|\w*System\w*)\b"#,
    #"\bDate\("#, #"\b(Continuous|Suspending)?Clock\b"#, #"\bclock_gettime\b"#, #"\bSystemRandomNumberGenerator\b"#,
    #"\.(random|randomElement|shuffled|shuffle)\((?!.*using)"#, #"\bTask\b"#, #"\bMutex\b"#, #"\bAtomic<"#,
    #"\bThread\b"#,
    #"\basync\b"#, #"\bawait\b"#, #"\bactor\b"#, #"\bprint\("#, #"\bLogger\b"#, #"\bSet<"#, #"\bHasher\b"#,
    #"\.hashValue\b"#, #"\bProcessInfo\b"#,
    // A dictionary may be looked up in; its order differs from process to process.
    #"\bin\s+\w*(ictionary|Map|ByID)\b"#, #"\.(keys|values)\b"#,
  ]

  /// A line without its comment and without what its string literals say.
  private static func code(of line: Substring) -> String {
    String(line).replacing(#/"(\\.|[^"\\])*"/#, with: "\"\"").replacing(#/\/\/.*/#, with: "")
  }

  @Test(
    "no clock, chance, thread, output or hash order in the core and in the execution",
    arguments: ["LockstepConsensus", "LockstepExecution"])
  func words(module: String) throws {
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let folder = root.appendingPathComponent("Sources/\(module)")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "swift" }.sorted { $0.path < $1.path }
    #expect(!files.isEmpty)
    let patterns = try Self.banned.map { try Regex($0) }
    for file in files {
      let text = try String(contentsOf: file, encoding: .utf8)
      for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let code = Self.code(of: line)
        for (pattern, source) in zip(patterns, Self.banned) where code.contains(pattern) {
          Issue.record("\(file.lastPathComponent):\(number + 1) \(line) matches \(source)")
        }
      }
    }
  }

  @Test("the ban finds what it bans") func bites() throws {
    let patterns = try Self.banned.map { try Regex($0) }
    let wrong = [
      "import Foundation", "package import NIOCore", "let now = Date()", "let x = Int.random(in: 0..<3)", "Task { }",
      "let m = Mutex(0)", "await f()", "print(1)", "var seen: Set<Int> = []", "for (k, v) in sessionsByID {",
      "for id in table.keys {", "let c = ContinuousClock()",
    ]
    for line in wrong { #expect(patterns.contains { Self.code(of: line[...]).contains($0) }, "\(line)") }
    let right = ["// no Date, no clock", "import LockstepConsensus", "fail(\"Task\")", "x.shuffled(using: &generator)"]
    for line in right { #expect(!patterns.contains { Self.code(of: line[...]).contains($0) }, "\(line)") }
  }
}
