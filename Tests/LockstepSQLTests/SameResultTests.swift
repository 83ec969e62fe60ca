import Foundation
import LockstepRequests
import SwiftProtobuf
import Testing

@testable import LockstepSQL

/// What is rewritten: time and chance come from the log entry.
@Suite("SQL: the same on every replica")
struct SameResultTests {
  static let statements = [
    "SELECT random(), random()", "SELECT hex(randomblob(20)), hex(randomblob(0)), length(randomblob(100))",
    "SELECT datetime('now'), date('now'), time('now'), julianday('now'), unixepoch('now')",
    "SELECT datetime(), date(), time(), julianday(), unixepoch(), strftime('%s %f'), strftime('%J', 'NOW')",
    "SELECT CURRENT_TIMESTAMP, current_date, CURRENT_TIME", "SELECT datetime('now', '-1 day', 'start of month')",
    "SELECT changes(), last_insert_rowid()",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20) SELECT x FROM c ORDER BY random()",
  ]

  @Test(
    "two databases that were opened at different times, and have done different things before", arguments: statements)
  func equal(sql: String) throws {
    let (first, second) = (try Database(), try Database())
    // Other statements, calls refused, entries of the connection before: what a connection remembers must not show.
    try first.execute("CREATE TABLE t(a)")
    try second.execute("CREATE TABLE u(a)", time: 5)
    try first.execute("INSERT INTO t VALUES (1), (2), (3)")
    #expect(throws: CallStatus.self) { try second.execute("SELECT random()", "SELECT missing") }
    #expect(try first.rows(sql) == second.rows(sql))
  }

  @Test("'now' is the time of the log entry, and not of a clock")
  func time() throws {
    let database = try Database()
    #expect(try database.rows("SELECT datetime('now'), unixepoch()") == ["2023-11-14 22:13:20|1700000000"])
    #expect(try database.rows("SELECT strftime('%f', 'now')", time: 1_700_000_000_250_000_000) == ["20.250"])
    try database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, at DEFAULT CURRENT_TIMESTAMP)")
    #expect(
      try database.rows("INSERT INTO t(id) VALUES (1) RETURNING at", time: 86_400_000_000_000)
        == ["1970-01-02 00:00:00"])
    #expect(try database.rows("SELECT datetime()", time: .max) == ["2554-07-21 23:34:33"])
  }

  @Test("a time zone that is asked for by a value, which no text shows, is that of Greenwich on every machine")
  func zone() throws {
    let database = try Database()
    setenv("TZ", "America/New_York", 1)
    tzset()
    let other = try Database()
    for database in [database, other] {
      let reply = try database.execute([("SELECT datetime('now', ?)", [.with { $0.text = "localtime" }])])
      #expect(reply.results.first?.rows.first?.values.first?.text == "2023-11-14 22:13:20")
    }
  }

  @Test("chance is another in each entry, and goes on within one")
  func chance() throws {
    let database = try Database()
    let values = try (0..<3).flatMap { _ in try database.rows("SELECT random() UNION ALL SELECT random()") }
    #expect(Set(values).count == 6)
  }

  @Test("changes and last_insert_rowid know this call alone")
  func counters() throws {
    let database = try Database()
    try database.execute("CREATE TABLE t(a)")
    try database.execute("INSERT INTO t VALUES (1), (2), (3)")
    #expect(try database.rows("SELECT changes(), last_insert_rowid()") == ["0|0"])
    #expect(try database.rows("INSERT INTO t VALUES (4), (5)", "SELECT changes(), last_insert_rowid()") == ["2|5"])
    let reply = try database.execute("UPDATE t SET a = a + 1 WHERE a > 3", "CREATE TABLE u(a)", "SELECT 1")
    #expect(reply.results.map(\.rowsAffected) == [2, 0, 0] && reply.results.map(\.lastInsertRowid) == [0, 0, 0])
  }

  @Test("the digest is of the rows: whatever way led to them, and in whatever order they changed")
  func digest() throws {
    let (first, second) = (try Database(), try Database())
    for database in [first, second] { try database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, r REAL)") }
    let empty = first.connection.digest.value
    try first.execute("INSERT INTO t VALUES (1, 'a', 1.0), (2, x'00', 2.5), (3, NULL, 7)")
    try second.execute("INSERT INTO t VALUES (3, 'q', 1e300)")
    #expect(first.connection.digest.value != second.connection.digest.value)
    try second.execute("REPLACE INTO t VALUES (3, NULL, 7)", "INSERT INTO t VALUES (2, 5, 5)")
    try second.execute("UPDATE t SET a = x'00', r = 2.5 WHERE id = 2", "INSERT INTO t VALUES (9, 'a', 1)")
    try second.execute("UPDATE t SET id = 1 WHERE id = 9")
    #expect(first.connection.digest.value == second.connection.digest.value)
    try first.execute("DELETE FROM t")
    #expect(first.connection.digest.value == empty, "deleting all rows at once is seen as well")
    try first.execute("CREATE TABLE u(a)")
    #expect(first.connection.digest.value != empty, "so is the schema")
  }

  @Test("a call that is refused half way leaves digest and rows as they were")
  func refused() throws {
    let database = try Database()
    try database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    let before = database.connection.digest.value
    #expect(throws: CallStatus.self) {
      try database.execute("INSERT INTO t VALUES (1), (2)", "CREATE TABLE u(a)", "INSERT INTO t VALUES (3), (1)")
    }
    #expect(database.connection.digest.value == before)
    #expect(try database.rows("SELECT count(*) FROM t") == ["0"])
    try database.execute("CREATE TABLE u(a)")
  }

  @Test("values of all kinds come back as they went in, with the columns' names and types")
  func values() throws {
    let database = try Database()
    try database.execute("CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB, n)")
    let values: [Lockstep_Sql_V1_Value] = [
      .with { $0.integer = .min }, .with { $0.real = -0.5 }, .with { $0.text = "" },
      .with { $0.blob = Data([0, 255]) },
      .with { $0.null = true },
    ]
    let reply = try database.execute([("INSERT INTO t VALUES (?, ?, ?, ?, ?) RETURNING *, i + 1", values)])
    let result = try #require(reply.results.first)
    #expect(result.rows.first?.values.prefix(5) == values[...] && result.rowsAffected == 1)
    #expect(result.columns.map(\.name) == ["i", "r", "s", "b", "n", "i + 1"])
    #expect(result.columns.map(\.type) == ["INTEGER", "REAL", "TEXT", "BLOB", "", "INTEGER"])
  }
}
