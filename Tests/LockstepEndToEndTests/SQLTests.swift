import Foundation
import Glibc
import LockstepReflection
import Testing

extension EndToEndTests {
  /// What the sqlite3 shell has answered, as Tests/LockstepSQLTests/Shell/record.py wrote it down.
  private struct Recorded {
    let sql: String
    /// With its line ends; of an error nil.
    let rows: String?
    let error: String?

    static func all() throws -> [Recorded] {
      let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      let path = tests.appendingPathComponent("LockstepSQLTests/Shell/statements.txt")
      var text = try String(contentsOf: path, encoding: .utf8).dropLast()
      var all: [Recorded] = []
      while let next = text.dropFirst().firstRange(of: "\n> ") ?? (text.isEmpty ? nil : text.endIndex..<text.endIndex) {
        let entry = text[..<next.lowerBound]
        text = next.isEmpty ? "" : text[text.index(after: next.lowerBound)...]
        let end = entry.firstIndex(of: "\n") ?? entry.endIndex
        let answer = entry[end...].dropFirst()
        let sql = String(entry[..<end].dropFirst(2))
        if answer.hasPrefix("! ") {
          let message = answer.dropFirst(2).prefix { $0 != "\n" }
          all.append(Recorded(sql: sql, rows: nil, error: String(message)))
        } else {
          all.append(Recorded(sql: sql, rows: String(answer), error: nil))
        }
      }
      return all
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func `over 300 statements through the pipe have the answers of the sqlite3 shell`() async throws {
    let recorded = try Recorded.all()
    try #require(recorded.count >= 300)
    let directory = try TemporaryDirectory()
    try await Cluster.with(directory.path, ["--service", "sql"]) { cluster in
      let finished = try await Finished.run(
        ["sql", "--endpoints", cluster.endpoints()], input: recorded.map { $0.sql + ";" }, limit: .seconds(120))
      #expect(finished.code == 1, "there are errors among them")
      let rows = recorded.compactMap(\.rows).joined().split(separator: "\n", omittingEmptySubsequences: false)
      let expected = rows.dropLast().map(String.init)
      for (number, (line, wanted)) in zip(finished.lines, expected).enumerated() where line != wanted {
        Issue.record("line \(number): '\(line)', and the shell says '\(wanted)'")
        break
      }
      #expect(finished.lines.count == expected.count)
      let errors = finished.errors.split(separator: "\n")
      let wanted = recorded.compactMap(\.error)
      #expect(errors.count == wanted.count)
      for (error, wanted) in zip(errors, wanted) { #expect(error.hasSuffix(wanted)) }
      try await cluster.waitForEqualNodes()
    }
  }

  private func insert(_ number: Int) -> String {
    #"{"method":"lockstep.sql.v1.Sql/Execute","timeout":"5s","request":{"statements":[{"sql":"INSERT INTO t VALUES (?, random(), CURRENT_TIMESTAMP)","parameters":[{"integer":"\#(number)"}]}]}}"#
  }

  @Test(.timeLimit(.minutes(15)))
  func `kill -9 of the leader, and of all, while rows are inserted: none is lost or doubled, digests are equal`()
    async throws
  {
    let rounds = Setup.rounds(quick: 2, full: 20)
    let directory = try TemporaryDirectory()
    // There is no key: what was carried out twice would be there twice.
    try await Cluster.with(directory.path, ["--service", "sql", "--snapshot-log-bytes", "65536"]) { cluster in
      let table = try await Finished.run(
        ["sql", "--endpoints", cluster.endpoints()], input: ["CREATE TABLE t(n INTEGER, r INTEGER, at TEXT);"])
      #expect(table.code == 0)
      var (acknowledged, next): ([Int], Int) = ([], 0)
      for round in 0..<rounds {
        let numbers = Array(next..<next + 1500)
        next += numbers.count
        let load = try Program(
          Setup.lockstep, ["call", "-", "--concurrency", "32", "--endpoints", cluster.endpoints()])
        let lines = numbers.map(insert)
        inThread {
          for line in lines where !load.write(line) { break }
          load.endInput()
        }
        try await wait(upTo: .seconds(30), "rows are inserted") { load.lines.count >= 200 }
        let exits = cluster.exits.count
        let victims =
          round % 2 == 0 ? [try cluster.pid(of: try await cluster.leader())] : Array(cluster.runningNodes.values)
        for pid in victims { kill(pid, SIGKILL) }
        #expect(try await load.waitForExit(.seconds(120)) == 0)
        #expect(load.lines.count == numbers.count)
        for (number, line) in zip(numbers, load.lines) where try JSONValue(parsing: line).isOK {
          acknowledged.append(number)
        }
        try await wait(upTo: .seconds(30), "all nodes run again") {
          guard cluster.exits.count >= exits + victims.count else { return false }
          return try await cluster.status().allSatisfy { $0["id"]?.integer != nil }
        }
      }
      try await cluster.waitForEqualNodes()
      let found = try await Finished.run(
        ["sql", "--endpoints", cluster.endpoints()], input: ["SELECT n, count(*) FROM t GROUP BY n ORDER BY n;"])
      let counts = found.lines.map { $0.split(separator: "|").compactMap { Int($0) } }
      #expect(counts.allSatisfy { $0.count == 2 && $0[1] == 1 }, "no row is there twice")
      let there = Set(counts.compactMap(\.first))
      #expect(acknowledged.filter { !there.contains($0) } == [])
      #expect(acknowledged.count > 200 * rounds && there.count <= next)
      Setup.say("\(rounds) kills: \(acknowledged.count) rows acknowledged, \(there.count) of \(next) there, each once")
    }
  }
}
