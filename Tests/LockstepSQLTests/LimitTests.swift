import LockstepExecution
import LockstepRequests
import Testing

@testable import LockstepSQL

/// What takes too long, or writes too much, for all replicas to stand still meanwhile.
@Suite("SQL: what one call may do")
struct LimitTests {
  @Test("a call without an end is refused on all replicas alike, and the others of its batch are carried out")
  func endless() throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply("CREATE TABLE t(a)")
    let loop = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    let replies = try machine.apply(
      "INSERT INTO t VALUES (1)", "\(loop) INSERT INTO t SELECT x FROM c WHERE x < 0", "INSERT INTO t VALUES (2)",
      "\(loop) SELECT count(*) FROM c", "INSERT INTO t VALUES (3)")
    for place in [1, 3] {
      guard case .failure(let status) = replies[place], status.code == .resourceExhausted else {
        Issue.record("\(String(describing: replies[place]))")
        continue
      }
      #expect(status.message.contains("steps of SQLite"))
    }
    #expect(try machine.query("SELECT a FROM t ORDER BY a").rows == ["1", "2", "3"])
    #expect(machine.last == 6)
  }

  static let large = [
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) INSERT INTO t SELECT zeroblob(500000) FROM c",
    "UPDATE t SET a = zeroblob(14000000)", "UPDATE t SET a = replace(hex(zeroblob(4000)), '0', hex(zeroblob(1000)))",
    "INSERT INTO t SELECT zeroblob(7000000) FROM t AS x, t AS y", "INSERT INTO many VALUES (1)",
  ]

  @Test(
    "a call that writes more than its share is refused, whatever it writes, and nothing of it stays; deleting is not writing",
    arguments: large)
  func writesTooMuch(sql: String) throws {
    let directory = try TemporaryDirectory()
    let machine = try Machine(directory.path)
    defer { machine.state.close() }
    try machine.apply(
      "CREATE TABLE t(a)", "CREATE TABLE many(a)",
      "CREATE TRIGGER r AFTER INSERT ON many BEGIN UPDATE t SET a = zeroblob(15000000); END",
      "INSERT INTO t VALUES (1), (2), (3), (4), (5), (6)")
    let before = try machine.query("SELECT * FROM t ORDER BY a").rows
    let replies = try machine.apply("INSERT INTO t VALUES (6.5)", sql, "INSERT INTO t VALUES (7)")
    guard case .failure(let status) = replies[1] else {
      Issue.record("it was carried out")
      return
    }
    #expect(status.code == .resourceExhausted && status.message.contains("bytes of rows"))
    #expect(try machine.query("SELECT * FROM t ORDER BY a").rows == before + ["6.5", "7"])
    for _ in 0..<6 { try machine.apply("INSERT INTO t VALUES (zeroblob(15000000))") }
    if case .failure(let status)? = try machine.apply("DELETE FROM t").first { Issue.record("\(status)") }
    #expect(try machine.query("SELECT count(*) FROM t").rows == ["0"])
  }
}
