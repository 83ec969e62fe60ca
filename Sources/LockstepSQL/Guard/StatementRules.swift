internal import GRDBSQLite

/// What SQLite may do for a statement, asked of it while it prepares one: tables that are read and written, functions,
/// pragmas, files, whatever stands in views, triggers, defaults and constraints.
///
/// Of functions, those are allowed that are known to give the same result on every replica: a list of what is forbidden
/// would forget what a later SQLite brings.
final class StatementRules {
  enum Use {
    /// The machine's own statements.
    case own
    /// From the log, on every replica.
    case execute
    /// On this node alone; nothing may be changed.
    case query
  }

  var use = Use.own
  /// Why the statement that was prepared last was refused, if it was.
  private(set) var refusal: String?

  /// SQLite looks up itself what it drops.
  private var isDrop = false

  /// Asked of all that is prepared on this connection, as long as both are there.
  func judge(_ connection: OpaquePointer) {
    sqlite3_set_authorizer(
      connection,
      { rules, action, first, second, database, within in
        guard let rules else { return SQLITE_DENY }
        return Unmanaged<StatementRules>.fromOpaque(rules).takeUnretainedValue()
          .judge(
            action, first.map { String(cString: $0) }, second.map { String(cString: $0) },
            database: database.map { String(cString: $0) }, isHidden: within != nil)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// A statement is prepared whose first word is this.
  func begin(_ first: SQLToken?) {
    refusal = nil
    isDrop = first?.isWord("drop") ?? false
  }

  /// SQLite's answer to the question what an action is: go on, or the statement is refused. `isHidden`: it is not of the
  /// statement's own text, but of a trigger or a view.
  private func judge(_ action: CInt, _ first: String?, _ second: String?, database: String?, isHidden: Bool) -> CInt {
    guard use != .own else { return SQLITE_OK }
    let (first, second) = (first ?? "", second ?? "")
    let reason =
      temporary(action, first, database)
      ?? (!isDrop || isHidden ? page(action, first, second) : nil) ?? reason(action, first, second)
    guard let reason else { return SQLITE_OK }
    refusal = refusal ?? reason
    return SQLITE_DENY
  }

  /// Also where it is the schema that says so, and not the word TEMP: whatever is made, SQLite notes in the schema's table.
  private func temporary(_ action: CInt, _ first: String, _ database: String?) -> String? {
    let isMade = [SQLITE_CREATE_TABLE, SQLITE_CREATE_VIEW, SQLITE_CREATE_INDEX, SQLITE_CREATE_TRIGGER].contains(action)
    let isNoted =
      action == SQLITE_INSERT && ["sqlite_temp_master", "sqlite_temp_schema"].contains(first.lowercased())
    guard isNoted || isMade && database?.lowercased() == "temp" else { return nil }
    return "TEMP is refused: what is made in the schema temp would be gone on a replica that was started again"
  }

  /// Where a table begins in the file differs between replicas.
  private func page(_ action: CInt, _ first: String, _ second: String) -> String? {
    guard use == .execute, action == SQLITE_READ, second.lowercased() == "rootpage",
      ["sqlite_master", "sqlite_schema"].contains(first.lowercased())
    else { return nil }
    return
      "the column rootpage of \(first) is refused: it tells of this replica's file alone; name the columns that are meant"
  }

  /// Tables of the machine's own begin with it.
  static let ownPrefix = "lockstep_"

  private func reason(_ action: CInt, _ first: String, _ second: String) -> String? {
    switch action {
    case SQLITE_PRAGMA:
      guard use == .query, Self.readingPragmas.contains(first.lowercased()) else {
        return
          "PRAGMA \(first) is refused: \(use == .query ? "here are only those that describe the schema" : "it changes this replica alone, or tells of it")"
      }
      return nil
    case SQLITE_ATTACH, SQLITE_DETACH: return "ATTACH and DETACH are refused: another file is not replicated"
    case SQLITE_TRANSACTION, SQLITE_SAVEPOINT:
      return "\(first) is refused: the statements of one call are a transaction, and none stays open between two calls"
    case SQLITE_ANALYZE: return "ANALYZE is refused: with other statistics rows come in another order"
    case SQLITE_CREATE_VTABLE, SQLITE_DROP_VTABLE:
      return "the virtual table \(first) is refused: extensions keep what replicas cannot compare"
    case SQLITE_CREATE_TEMP_TABLE, SQLITE_CREATE_TEMP_INDEX, SQLITE_CREATE_TEMP_VIEW, SQLITE_CREATE_TEMP_TRIGGER:
      return "TEMP \(first) is refused: it would be gone on a replica that was started again"
    case SQLITE_FUNCTION: return function(second.lowercased())
    case SQLITE_READ: return table(first, isWritten: false)
    // Of its columns, "name" is what RENAME changes.
    case SQLITE_INSERT where first.lowercased() == "sqlite_sequence",
      SQLITE_UPDATE where first.lowercased() == "sqlite_sequence" && second.lowercased() != "name":
      return use == .execute ? "writing to sqlite_sequence is refused: AUTOINCREMENT could come to its end" : nil
    case SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE, SQLITE_CREATE_TABLE, SQLITE_DROP_TABLE, SQLITE_CREATE_VIEW,
      SQLITE_DROP_VIEW:
      return table(first, isWritten: true)
    case SQLITE_ALTER_TABLE, SQLITE_CREATE_INDEX, SQLITE_CREATE_TRIGGER, SQLITE_DROP_INDEX, SQLITE_DROP_TRIGGER:
      return table(second, isWritten: true)
    default: return nil
    }
  }

  private func table(_ name: String, isWritten: Bool) -> String? {
    let name = name.lowercased()
    if name.hasPrefix(Self.ownPrefix) { return "the table \(name) is refused: it is the replication's own" }
    guard use == .execute else { return nil }
    if isWritten, name.hasPrefix("sqlite_stat") {
      return "writing to \(name) is refused: with other statistics rows come in another order"
    }
    if Self.tellingTables.contains(name) || name.hasPrefix("pragma_") {
      return "the table \(name) is refused: it tells of this replica alone"
    }
    return nil
  }

  private func function(_ name: String) -> String? {
    guard use == .execute else { return name == "load_extension" ? "load_extension is refused" : nil }
    return Self.refusal(function: name)
  }

  /// Why a function, in lower case, is not carried out from the log; nil: it is.
  static func refusal(function name: String) -> String? {
    guard !Self.same.contains(name) else { return nil }
    if Self.rounded.contains(name) {
      return "the function \(name) is refused: its last digits differ between processors"
    }
    return "the function \(name) is refused: its result could differ between replicas"
  }

  private static let readingPragmas = [
    "collation_list", "compile_options", "database_list", "encoding", "foreign_key_check", "foreign_key_list",
    "freelist_count", "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "page_count",
    "page_size", "quick_check", "table_info", "table_list", "table_xinfo",
  ]

  private static let tellingTables = ["dbstat", "sqlite_stmt", "bytecode", "tables_used"]

  /// These come out of the C library, which takes the processor's own instructions where it finds them.
  private static let rounded = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "exp", "ln", "log", "log10", "log2",
    "pow",
    "power", "sin", "sinh", "tan", "tanh",
  ]

  /// The same arguments give the same result, or, of the first two lines, the connection has its own: `random` draws from
  /// the log entry, 'now' is its time, and `changes` knows this call alone.
  private static let same = [
    "random", "randomblob", "date", "time", "datetime", "julianday", "strftime", "unixepoch", "current_timestamp",
    "current_date", "current_time", "changes", "last_insert_rowid",
    "->", "->>", "abs", "avg", "ceil", "ceiling", "char", "coalesce", "count", "cume_dist", "degrees", "dense_rank",
    "first_value", "floor", "format", "glob", "group_concat", "hex", "ifnull", "iif", "instr", "json", "json_array",
    "json_array_length", "json_extract", "json_group_array", "json_group_object", "json_insert", "json_object",
    "json_patch", "json_quote", "json_remove", "json_replace", "json_set", "json_type", "json_valid", "lag",
    "last_value", "lead", "length", "like", "likelihood", "likely", "lower", "ltrim", "max", "min", "mod", "nth_value",
    "ntile", "nullif", "percent_rank", "pi", "printf", "quote", "radians", "rank", "replace", "round", "row_number",
    "rtrim", "sign", "soundex", "sqrt", "substr", "substring", "subtype", "sum", "total", "trim", "trunc", "typeof",
    "unicode", "unlikely", "upper", "zeroblob",
    // SQLite calls these itself, where it rewrites a schema for ALTER TABLE.
    "sqlite_rename_column", "sqlite_rename_table", "sqlite_rename_test", "sqlite_drop_column", "sqlite_rename_quotefix",
  ]
}
