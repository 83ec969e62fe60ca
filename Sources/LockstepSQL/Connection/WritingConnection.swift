import Foundation
internal import GRDB
internal import GRDBSQLite
import LockstepExecution
import LockstepRequests

/// The one connection that changes a database. Of the thread that has it.
final class WritingConnection {
  /// Of one call, in steps of SQLite's virtual machine, about a second or two: the same number on every replica, so that
  /// all of them refuse the same.
  static let maximumSteps = 200_000_000
  /// And of rows that it writes: what a call has written stands in the -wal until it is done, and in memory in part. In bytes.
  static let maximumWrittenBytes = 64 << 20
  private static let stepsAtOnce = 1000
  /// Of one text or blob, and so of what a statement can ask to have made.
  private static let maximumValueBytes = 16 * 1024 * 1024
  private static let keptStatements = 256

  let path: String
  let rules = StatementRules()
  let digest: StateDigest
  let handle: OpaquePointer
  private let clock: LogClock
  private let source = EntrySource()
  private let work = Work()
  // The last one to go: the others are of its connection.
  private let queue: DatabaseQueue
  /// By their text. Looked up, and never gone through. Those of clients have been judged, and the machine's own have not: a
  /// client that knows the text of one must not get it.
  private var kept: [String: SQLStatement] = [:]
  private var own: [String: SQLStatement] = [:]
  /// Whether the schema has triggers; nil: it may have changed since that was looked up.
  private var triggers: Bool?

  private final class Work {
    var steps = 0
    var isCounting = false
  }

  /// Opens the database, or makes it.
  init(_ path: String) throws(SQLFault) {
    // What a text from a table or a parameter may ask for: the time of a machine's own zone is that of Greenwich.
    setenv("TZ", "UTC0", 1)
    tzset()
    guard let clock = LogClock() else { throw .broken("SQLite knows no file system") }
    self.path = path
    self.clock = clock
    var configuration = Configuration()
    configuration.label = "lockstep.sql"
    // As in the sqlite3 shell.
    configuration.foreignKeysEnabled = false
    configuration.acceptsDoubleQuotedStringLiterals = true
    configuration.allowsUnsafeTransactions = true
    let source = source
    configuration.prepareDatabase { db in
      // After a loss of power the last transactions may be missing, and nothing else is wrong: the log has them, and the
      // number of the last entry is part of each. So a commit does not wait for the disk a second time.
      try db.execute(
        sql: """
          PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;
          -- What one large transaction has made it is not kept for ever.
          PRAGMA journal_size_limit = 16777216;
          """)
      Self.prepare(db, source)
      try Self.forbid(db)
    }
    do {
      queue = try DatabaseQueue(path: try Self.address(path, clock.name), configuration: configuration)
      // All that follows is on one thread at a time, which this class is of as well.
      handle = try queue.unsafeReentrantWrite { db in
        guard let handle = db.sqliteConnection else { throw DatabaseError(resultCode: .SQLITE_MISUSE) }
        return handle
      }
    } catch { throw SQLFault(opening: error) }
    digest = StateDigest(handle)
    // GRDB's own observers, which nobody asks.
    _ = sqlite3_commit_hook(handle, nil, nil)
    _ = sqlite3_rollback_hook(handle, nil, nil)
    try checkClock()
    sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, CInt(Self.maximumValueBytes))
    sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024)
    sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0)
    rules.judge(handle)
    sqlite3_progress_handler(
      handle, CInt(Self.stepsAtOnce),
      { work in
        guard let work else { return 0 }
        let counter = Unmanaged<Work>.fromOpaque(work).takeUnretainedValue()
        guard counter.isCounting else { return 0 }
        counter.steps += WritingConnection.stepsAtOnce
        return counter.steps > WritingConnection.maximumSteps ? 1 : 0
      }, Unmanaged.passUnretained(work).toOpaque())
  }

  /// The connection is closed when nobody has this object any more, or now.
  func close() {
    (kept, own) = ([:], [:])
    digest.stop()
    // What cannot be closed now is closed with the process.
    try? queue.close()
  }

  private static func address(_ path: String, _ system: String) throws -> String {
    let allowed = CharacterSet(charactersIn: "?#%").inverted
    guard let path = path.addingPercentEncoding(withAllowedCharacters: allowed) else {
      throw DatabaseError(resultCode: .SQLITE_CANTOPEN, message: "the path '\(path)' is no text")
    }
    return "file:\(path)?vfs=\(system)"
  }

  /// Is time what the log says? An SQLite that was built without URIs has opened another file, with the usual clock.
  private func checkClock() throws(SQLFault) {
    clock.set(86_400_000_000_000)
    guard try one("SELECT unixepoch('now')") == 86_400 else {
      throw .broken(
        "SQLite \(String(cString: sqlite3_libversion())) does not open files by URI: the log's time cannot be given to it"
      )
    }
  }

  /// What GRDB adds to a connection is not SQLite's, and depends on the system; what chance gives comes from the log.
  private static func prepare(_ db: Database, _ source: EntrySource) {
    for function in [
      DatabaseFunction.capitalize, .lowercase, .uppercase, .localizedCapitalize, .localizedLowercase,
      .localizedUppercase,
    ] { db.remove(function: function) }
    for collation in [
      DatabaseCollation.unicodeCompare, .caseInsensitiveCompare, .localizedCaseInsensitiveCompare, .localizedCompare,
      .localizedStandardCompare,
    ] { db.remove(collation: collation) }
    db.add(
      function: DatabaseFunction("random", argumentCount: 0) { _ in Int64(bitPattern: source.nextRandom()) })
    db.add(
      function: DatabaseFunction("randomblob", argumentCount: 1) { values in
        let asked = Int64.fromDatabaseValue(values[0]) ?? 1
        guard asked <= Int64(maximumValueBytes) else {
          throw DatabaseError(resultCode: .SQLITE_TOOBIG, message: "string or blob too big")
        }
        return source.randomBytes(max(1, Int(asked)))
      })
    db.add(function: DatabaseFunction("changes", argumentCount: 0) { _ in source.changes })
  }

  /// SQLite does not ask of functions in the DEFAULT of a column: so those that are refused are not there, either.
  private static func forbid(_ db: Database) throws {
    let rows = try Row.fetchAll(db, sql: "SELECT DISTINCT name, narg FROM pragma_function_list")
    for row in rows {
      let (name, count): (String, Int) = (row[0], row[1])
      guard let refusal = StatementRules.refusal(function: name.lowercased()) else { continue }
      db.add(
        function: DatabaseFunction(name, argumentCount: count < 0 ? nil : count) { _ in
          throw DatabaseError(resultCode: .SQLITE_ERROR, message: refusal)
        })
    }
  }

  // MARK: One call

  /// Statements are those of this log entry.
  func begin(_ context: ApplyContext) {
    source.begin(context)
    clock.set(context.time)
    work.steps = 0
    digest.begin()
    sqlite3_set_last_insert_rowid(handle, 0)
  }

  /// What a statement does is more than what stands in it.
  func hasTriggers() throws(SQLFault) -> Bool {
    if let triggers { return triggers }
    let found = try one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") != 0
    triggers = found
    return found
  }

  func schemaHasChanged() { triggers = nil }

  func noteChanges(_ count: Int64) { source.changes = count }

  /// What is done here counts as the call's work.
  func counting<Result>(_ body: () throws(SQLFault) -> Result) throws(SQLFault) -> Result {
    work.isCounting = true
    defer { work.isCounting = false }
    return try body()
  }

  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }
  var changes: Int64 { Int64(sqlite3_changes64(handle)) }
  var totalChanges: Int64 { Int64(sqlite3_total_changes64(handle)) }
  var lastInsertRowid: Int64 { sqlite3_last_insert_rowid(handle) }

  // MARK: Statements

  /// A client's; `name` is how its errors call it.
  func statement(_ sql: String, _ name: String) throws(SQLFault) -> SQLStatement {
    if let statement = kept[sql] {
      statement.name = name
      return statement
    }
    rules.use = .execute
    defer { rules.use = .own }
    let statement = try SQLStatement(sql, on: handle, rules: rules, name: name, isKept: true)
    if kept.count >= Self.keptStatements { kept = [:] }
    kept[sql] = statement
    return statement
  }

  /// A client's statement that is kept has been looked at.
  func isKept(_ sql: String) -> Bool { kept[sql] != nil }

  /// The machine's own, of which there are few.
  func run(_ sql: String, _ values: [Lockstep_Sql_V1_Value] = []) throws(SQLFault) {
    let statement: SQLStatement
    if let kept = own[sql] {
      statement = kept
    } else {
      statement = try SQLStatement(sql, on: handle, rules: rules, name: sql, isKept: true)
      own[sql] = statement
    }
    defer { statement.reset() }
    try statement.bind(values)
    while try statement.step() {}
  }

  func forEach(_ sql: String, _ body: (SQLStatement) -> Void) throws(SQLFault) {
    let statement = try SQLStatement(sql, on: handle, rules: rules, name: sql, isKept: false)
    while try statement.step() { body(statement) }
  }

  /// Of the first row; none when there is none.
  func integers(_ sql: String) throws(SQLFault) -> [Int64] {
    var row: [Int64] = []
    try forEach(sql) { statement in
      if row.isEmpty { row = (0..<CInt(statement.columnCount)).map { statement.integer($0) } }
    }
    return row
  }

  func one(_ sql: String) throws(SQLFault) -> Int64? {
    try integers(sql).first
  }
}

/// What a connection's own functions know of the log entry that is carried out.
final class EntrySource: @unchecked Sendable {
  // Unchecked: of the thread that has the connection, as all that SQLite calls.
  private var context: ApplyContext?
  /// By the last statement of this call.
  var changes: Int64 = 0

  func begin(_ context: ApplyContext) {
    self.context = context
    changes = 0
  }

  func nextRandom() -> UInt64 { context?.nextRandom() ?? 0 }

  func randomBytes(_ count: Int) -> Data {
    var bytes = Data(capacity: count + 8)
    while bytes.count < count { withUnsafeBytes(of: nextRandom().littleEndian) { bytes.append(contentsOf: $0) } }
    return bytes.prefix(count)
  }
}
