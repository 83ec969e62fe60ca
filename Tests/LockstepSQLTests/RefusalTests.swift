import LockstepConsensus
import LockstepExecution
import LockstepRequests
import SwiftProtobuf
import Testing

@testable import LockstepSQL

/// What could come out differently on two replicas, each by its name.
@Suite("SQL: refused by name")
struct RefusalTests {
  private static let schema = [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT)", "INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y')",
  ]

  private func refusal(_ sql: String, _ parameters: [Lockstep_Sql_V1_Value] = []) throws -> CallStatus? {
    let database = try Database()
    try database.execute(Self.schema[0], Self.schema[1])
    let before = (database.connection.digest.value, try database.rows("SELECT * FROM t ORDER BY id"))
    do {
      _ = try database.execute([("INSERT INTO t VALUES (3, 30, 'z')", []), (sql, parameters)])
      return nil
    } catch let status as CallStatus {
      #expect(database.connection.digest.value == before.0, "\(sql)")
      #expect(try database.rows("SELECT * FROM t ORDER BY id") == before.1, "\(sql): all of a call or nothing")
      return status
    }
  }

  @Test("SQL: a client that knows the text of a statement of the machine's own cannot have it")
  func own() throws {
    let directory = try TemporaryDirectory()
    let state = try SQLState(directory.path)
    defer { state.close() }
    let mark = StoredMark(last: EntryID(term: Term(1), index: LogIndex(7)), time: 3)
    try state.commit(mark, [SessionRecord(session: 4, sequence: 1, bytes: [1])])
    let own = [
      ("UPDATE lockstep_state SET last = ?, term = ?, time = ?, digest = ?", 4),
      ("REPLACE INTO lockstep_sessions VALUES (?, ?, ?)", 3), ("DELETE FROM lockstep_sessions WHERE session = ?", 1),
    ]
    for (sql, count) in own {
      let request = Lockstep_Sql_V1_ExecuteRequest.with {
        $0.statements = [
          .with {
            $0.sql = sql
            $0.parameters = Array(repeating: .with { $0.integer = 99 }, count: count)
          }
        ]
      }
      let bytes: [UInt8] = try request.serializedBytes()
      let reply = try Array("lockstep.sql.v1.Sql/Execute".utf8).withUnsafeBytes { method in
        try bytes.withUnsafeBytes { bytes in
          let context = ApplyContext(group: .first, index: LogIndex(8), term: Term(1), time: 4, session: nil)
          let waiting = CommandBatch.Waiting(context: context, method: method, request: bytes)
          var replies = Replies(areWanted: true, count: 1)
          try state.apply(CommandBatch([waiting][...]), into: &replies)
          return replies.all[0]
        }
      }
      try state.commit(mark, [])
      guard case .failure(let status) = reply else { throw CallStatus(.internal, "\(sql) is carried out") }
      #expect(status.code == .invalidArgument && status.message.contains("lockstep_"), "\(status)")
    }
    #expect(try state.sessionRecords() == [SessionRecord(session: 4, sequence: 1, bytes: [1])])
  }

  static let refused: [(sql: String, name: String)] = [
    ("BEGIN", "BEGIN"), ("COMMIT", "COMMIT"), ("END", "END"), ("ROLLBACK", "ROLLBACK"), ("SAVEPOINT s", "SAVEPOINT"),
    ("RELEASE s", "RELEASE"), ("/* x */ -- y\n begin exclusive", "BEGIN"),
    ("PRAGMA user_version = 3", "PRAGMA"), ("PRAGMA table_info(t)", "PRAGMA"),
    ("SELECT * FROM pragma_table_info('t') ORDER BY 1", "pragma_table_info"),
    ("ATTACH 'other.db' AS other", "ATTACH"), ("DETACH other", "DETACH"), ("VACUUM", "VACUUM"),
    ("VACUUM INTO 'copy.db'", "VACUUM"), ("ANALYZE", "ANALYZE"), ("EXPLAIN SELECT 1", "EXPLAIN"),
    ("CREATE TEMP TABLE u(a)", "TEMP"), ("CREATE TEMPORARY VIEW v AS SELECT 1", "TEMP"),
    ("CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "TEMP"),
    ("CREATE VIRTUAL TABLE f USING fts5(a)", "virtual table"),
    ("SELECT load_extension('x')", "load_extension"), ("INSERT INTO t(a) VALUES (sqlite_version())", "sqlite_version"),
    ("UPDATE t SET a = sqlite_source_id()", "sqlite_source_id"), ("SELECT total_changes()", "total_changes"),
    ("INSERT INTO t(a) VALUES (sin(1))", "sin"), ("UPDATE t SET a = pow(a, 0.3)", "pow"),
    ("UPDATE t SET a = sqlite_compileoption_used('X')", "sqlite_compileoption_used"),
    ("DELETE FROM t LIMIT 1", "LIMIT without ORDER BY"), ("UPDATE t SET a = 1 LIMIT 1", "LIMIT without ORDER BY"),
    ("INSERT INTO t(a) SELECT a FROM t LIMIT 1", "LIMIT without ORDER BY"),
    ("UPDATE t SET a = (SELECT a FROM t LIMIT 1)", "LIMIT without ORDER BY"),
    ("DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 1) LIMIT 1", "LIMIT without ORDER BY"),
    ("INSERT INTO t(a) SELECT a FROM (SELECT a FROM t ORDER BY a) LIMIT 1", "LIMIT without ORDER BY"),
    ("CREATE VIEW v AS SELECT a FROM t LIMIT 1", "LIMIT without ORDER BY"),
    (
      "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT a FROM t ORDER BY a; DELETE FROM t LIMIT 1; END",
      "LIMIT without ORDER BY"
    ),
    ("INSERT OR ROLLBACK INTO t VALUES (1, 1, 'x')", "ROLLBACK"),
    ("CREATE TABLE u(a UNIQUE ON CONFLICT ROLLBACK)", "ROLLBACK"),
    ("CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "ROLLBACK"),
    ("UPDATE t SET b = datetime('now', 'localtime')", "localtime"),
    ("UPDATE t SET b = datetime(b, 'UTC')", "utc"), ("SELECT strftime('%H', 'now', \"LocalTime\")", "localtime"),
    ("SELECT * FROM lockstep_state", "lockstep_state"), ("CREATE TABLE Lockstep_x(a)", "lockstep_x"),
    ("SELECT count(*) FROM sqlite_stmt", "sqlite_stmt"), ("SELECT count(*) FROM dbstat", "dbstat"),
    ("UPDATE sqlite_sequence SET seq = 9223372036854775807", "sqlite_sequence"),
    ("INSERT INTO t(id) VALUES (9223372036854775807)", "9223372036854775807"),
    ("UPDATE t SET id = 9223372036854775807 WHERE id = 1", "9223372036854775807"),
    ("SELECT 1; SELECT 2", "followed by another"), ("", "empty"), (" -- nothing\n;", "empty"), (";;", "empty"),
    ("SELECT ?", "1 parameters"), ("SELECT nonsense(", "incomplete input"), ("SELECT * FROM missing", "missing"),
    ("SELECT randomblob(1000000000)", "too big"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", "bytes of rows"),
  ]

  @Test("each is refused, says its name, and leaves nothing behind", arguments: refused)
  func each(sql: String, name: String) throws {
    if sql.contains("sqlite_sequence") {
      // There is one only where there is AUTOINCREMENT.
      let database = try Database()
      try database.execute("CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT)")
      let status = #expect(throws: CallStatus.self) { try database.execute(sql) }
      #expect(status?.message.contains(name) == true)
      return
    }
    let status = try #require(try refusal(sql), "\(sql) was carried out")
    #expect(status.message.contains(name), "\(status)")
    #expect([.invalidArgument, .outOfRange, .resourceExhausted].contains(status.code))
  }

  static let allowed = [
    "DELETE FROM t ORDER BY id LIMIT 1", "UPDATE t SET a = 1 ORDER BY id LIMIT 1 OFFSET 1",
    "INSERT INTO t(a) SELECT a FROM t ORDER BY id LIMIT 1",
    "UPDATE t SET a = (SELECT a FROM t ORDER BY id LIMIT 1)",
    "SELECT a AS \"limit\", 'LIMIT', [limit] FROM (SELECT a, a AS [limit] FROM t) ORDER BY 1 -- LIMIT\n LIMIT 5",
    "CREATE INDEX i ON t(date(b))", "CREATE TABLE u(a CHECK (date(a) IS NOT NULL), b AS (abs(a)) STORED)",
    "CREATE TABLE u(id INTEGER PRIMARY KEY AUTOINCREMENT, at DEFAULT CURRENT_TIMESTAMP)",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = 1 WHERE id = 1; SELECT RAISE(IGNORE); END",
    "ALTER TABLE t RENAME COLUMN a TO c", "ALTER TABLE t ADD COLUMN c DEFAULT 5", "ALTER TABLE t DROP COLUMN b",
    "ALTER TABLE t RENAME TO u", "REINDEX", "DROP TABLE t", "REPLACE INTO t VALUES (1, 1, 'z')",
    "INSERT INTO t VALUES (1, 1, 'q') ON CONFLICT(id) DO UPDATE SET a = excluded.a RETURNING *",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100) INSERT INTO t(a) SELECT x FROM c",
    "SELECT json_extract('{\"a\": [1]}', '$.a[0]'), upper('a'), round(2.5), 'localtime';",
    "CREATE TABLE without(a PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO t VALUES (9223372036854775806, 1, NULL)",
    "SELECT datetime('2020-01-01', '+' || max(1, 2) || ' day'), 'utc', 'localtime'",
  ]

  @Test("what is the same everywhere is carried out", arguments: allowed)
  func carriedOut(sql: String) throws {
    let refusal = try refusal(sql)
    #expect(refusal == nil)
  }

  static let local = [
    ("CREATE TABLE temp.u(x)", "TEMP"), ("CREATE TABLE \"TEMP\".u AS SELECT 1", "TEMP"),
    ("CREATE VIEW temp.v AS SELECT 1", "TEMP"), ("CREATE VIEW [Temp].v AS SELECT 1", "TEMP"),
    ("CREATE TRIGGER temp.r AFTER INSERT ON t BEGIN INSERT INTO t(a) VALUES (1); END", "TEMP"),
    ("CREATE TRIGGER temp.r AFTER INSERT ON main.t BEGIN INSERT INTO t(a) VALUES (1); END", "TEMP"),
    ("CREATE TEMPORARY TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "TEMP"),
    ("CREATE TABLE IF NOT EXISTS temp.u(x)", "TEMP"),
    ("INSERT INTO t(a) SELECT rootpage FROM sqlite_schema", "rootpage"),
    ("INSERT INTO t(a) SELECT RootPage FROM main.sqlite_master", "rootpage"),
    ("CREATE TABLE u AS SELECT * FROM sqlite_schema", "rootpage"),
    ("UPDATE t SET a = (SELECT max(s.rootpage) FROM sqlite_schema AS s)", "rootpage"),
  ]

  @Test(
    "what this replica alone has: the schema temp by whichever name, and where a table begins in the file",
    arguments: local)
  func ofThisReplica(sql: String, name: String) throws {
    let status = try #require(try refusal(sql))
    #expect(status.code == .invalidArgument && status.message.contains(name), "\(status)")
  }

  @Test("the schema is read without its pages, and what is dropped SQLite finds itself")
  func schemaWithoutPages() throws {
    let database = try Database()
    try database.execute(Self.schema[0], "CREATE INDEX i ON t(a)", "CREATE VIEW v AS SELECT a FROM t")
    try database.execute("CREATE TABLE u AS SELECT type, name, tbl_name FROM sqlite_schema ORDER BY name")
    try database.execute("DROP INDEX i", "DROP VIEW v", " ; DROP TABLE t", "DROP TABLE IF EXISTS none")
    #expect(try database.rows("SELECT name FROM sqlite_schema").count == 1)
  }

  @Test("'now' may not stand where SQLite itself forbids it: an index would differ from its rows")
  func index() throws {
    let status = try #require(try refusal("CREATE INDEX i ON t(random())"))
    #expect(status.message.contains("non-deterministic functions prohibited"))
    let other = try #require(try refusal("CREATE TABLE u(a, b AS (a || CURRENT_TIMESTAMP) STORED)"))
    #expect(other.message.contains("non-deterministic"))
  }

  static let hidden = [
    ("CREATE VIEW v AS SELECT exp(1) AS x", "SELECT x FROM v", "exp"),
    ("CREATE TABLE u(a, b DEFAULT (total_changes()))", "INSERT INTO u(a) VALUES (1)", "total_changes"),
    ("CREATE TABLE u(a CHECK (a <> sqlite_version()))", "INSERT INTO u(a) VALUES (1)", "sqlite_version"),
    (
      "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = total_changes(); END", "INSERT INTO t(a) VALUES (1)",
      "total_changes"
    ),
    ("CREATE VIEW v AS SELECT rootpage FROM sqlite_schema", "INSERT INTO t(a) SELECT rootpage FROM v", "rootpage"),
  ]

  @Test("what stands in a schema is refused at the latest when it is used", arguments: hidden)
  func inSchema(schema: String, use: String, name: String) throws {
    let database = try Database()
    try database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    let status = #expect(throws: CallStatus.self) {
      try database.execute(schema)
      try database.execute(use)
    }
    #expect(status?.message.contains("\(name) ") == true && status?.message.contains(" is refused") == true)
  }

  @Test("rows that are not allowed give SQLite's own words, and the code says which kind it is")
  func constraints() throws {
    let double = try #require(try refusal("INSERT INTO t VALUES (1, 1, 'x')"))
    #expect(double == CallStatus(.alreadyExists, "statement 2: UNIQUE constraint failed: t.id"))
    let database = try Database()
    try database.execute("CREATE TABLE u(a CHECK (a > 0))")
    let status = #expect(throws: CallStatus.self) { try database.execute("INSERT INTO u VALUES (0)") }
    #expect(status == CallStatus(.failedPrecondition, "the statement: CHECK constraint failed: a > 0"))
  }
}
