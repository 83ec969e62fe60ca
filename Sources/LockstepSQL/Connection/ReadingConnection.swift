internal import GRDB
internal import GRDBSQLite

/// A connection that changes nothing, beside the one that does: it sees what was committed when it began to read.
final class ReadingConnection {
  let handle: OpaquePointer
  let rules = StatementRules()
  private let queue: DatabaseQueue

  init(_ path: String, label: String) throws(SQLFault) {
    var configuration = Configuration()
    configuration.label = label
    configuration.readonly = true
    configuration.acceptsDoubleQuotedStringLiterals = true
    // A reading transaction stays open while a copy is made.
    configuration.allowsUnsafeTransactions = true
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
      handle = try queue.unsafeReentrantRead { db in
        guard let handle = db.sqliteConnection else { throw DatabaseError(resultCode: .SQLITE_MISUSE) }
        return handle
      }
    } catch { throw SQLFault(opening: error) }
    sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0)
    rules.judge(handle)
  }

  func run(_ sql: String) throws(SQLFault) {
    let statement = try SQLStatement(sql, on: handle, rules: rules, name: sql, isKept: false)
    while try statement.step() {}
  }

  /// Statements that run here are given up when `isLate` says so, which is asked now and then.
  func withLimit<Result>(
    _ isLate: () -> Bool, _ body: () throws(SQLFault) -> Result
  ) throws(SQLFault) -> Result {
    try withoutActuallyEscaping(isLate) { isLate throws(SQLFault) in
      let limit = Limit(isLate)
      sqlite3_progress_handler(
        handle, 10_000,
        { limit in
          guard let limit else { return 0 }
          return Unmanaged<Limit>.fromOpaque(limit).takeUnretainedValue().isLate() ? 1 : 0
        }, Unmanaged.passUnretained(limit).toOpaque())
      defer {
        sqlite3_progress_handler(handle, 0, nil, nil)
        _ = limit
      }
      return try body()
    }
  }

  private final class Limit {
    let isLate: () -> Bool
    init(_ isLate: @escaping () -> Bool) { self.isLate = isLate }
  }
}
