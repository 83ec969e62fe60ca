import Foundation
internal import GRDBSQLite
import LockstepRequests

/// A prepared statement; of the thread that has the connection.
final class SQLStatement {
  let handle: OpaquePointer
  private let connection: OpaquePointer
  /// How errors call it.
  var name: String
  let columnCount: Int
  let parameterCount: Int
  let isReading: Bool
  /// CREATE, DROP or ALTER.
  let changesSchema: Bool

  /// `isKept`: it will be carried out many times.
  init(_ sql: String, on connection: OpaquePointer, rules: StatementRules, name: String, isKept: Bool) throws(SQLFault)
  {
    self.connection = connection
    self.name = name
    let first = SQLTokens(sql).first { !$0.isSymbol(";") }
    rules.begin(first)
    var sql = sql
    let (code, handle, rest) = sql.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { text -> (CInt, OpaquePointer?, Int) in
        var (handle, tail): (OpaquePointer?, UnsafePointer<CChar>?)
        let flags = isKept ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
        let code = sqlite3_prepare_v3(connection, text.baseAddress, CInt(text.count), flags, &handle, &tail)
        return (code, handle, tail.flatMap { tail in text.baseAddress.map { tail - $0 } } ?? text.count)
      }
    }
    guard code == SQLITE_OK else {
      if let refusal = rules.refusal { throw .refused(CallStatus(.invalidArgument, "\(name): \(refusal)")) }
      throw SQLFault(code, connection, name)
    }
    guard let handle else { throw .refused(CallStatus(.invalidArgument, "\(name) is empty")) }
    self.handle = handle
    columnCount = Int(sqlite3_column_count(handle))
    parameterCount = Int(sqlite3_bind_parameter_count(handle))
    isReading = sqlite3_stmt_readonly(handle) != 0
    changesSchema = first.map { Self.schemaWords.contains($0.text) } ?? false
    let others = SQLTokens(String(decoding: Array(sql.utf8.dropFirst(rest)), as: UTF8.self)).first { !$0.isSymbol(";") }
    guard others == nil else {
      throw .refused(CallStatus(.invalidArgument, "\(name) is followed by another one: each has a place of its own"))
    }
  }

  private static let schemaWords = ["create", "drop", "alter", "reindex"]

  deinit { sqlite3_finalize(handle) }

  func bind(_ parameters: [Lockstep_Sql_V1_Value]) throws(SQLFault) {
    guard parameters.count == parameterCount else {
      throw .refused(
        CallStatus(.invalidArgument, "\(name) has \(parameterCount) parameters, and \(parameters.count) are given"))
    }
    for (offset, parameter) in parameters.enumerated() {
      let code = bind(parameter.kind, at: CInt(offset + 1))
      guard code == SQLITE_OK else { throw SQLFault(code, connection, name) }
    }
  }

  private func bind(_ value: Lockstep_Sql_V1_Value.OneOf_Kind?, at place: CInt) -> CInt {
    // SQLite copies what it is given.
    let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    switch value {
    case nil, .null: return sqlite3_bind_null(handle, place)
    case .integer(let number): return sqlite3_bind_int64(handle, place, number)
    case .real(let number): return sqlite3_bind_double(handle, place, number)
    case .text(var text):
      return text.withUTF8 { bytes in
        // A null pointer would be NULL.
        bytes.withMemoryRebound(to: CChar.self) {
          $0.count == 0
            ? sqlite3_bind_text(handle, place, "", 0, copied)
            : sqlite3_bind_text(handle, place, $0.baseAddress, CInt($0.count), copied)
        }
      }
    case .blob(let bytes):
      return bytes.withUnsafeBytes {
        $0.count == 0
          ? sqlite3_bind_zeroblob(handle, place, 0)
          : sqlite3_bind_blob(handle, place, $0.baseAddress, CInt($0.count), copied)
      }
    }
  }

  /// Is there a row?
  func step() throws(SQLFault) -> Bool {
    let code = sqlite3_step(handle)
    switch code {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    default: throw SQLFault(code, connection, name)
    }
  }

  /// Ready to be carried out again.
  func reset() {
    sqlite3_reset(handle)
    sqlite3_clear_bindings(handle)
    // What it has done so far is not counted against the next time.
    _ = sqlite3_stmt_status(handle, CInt(SQLITE_STMTSTATUS_VM_STEP), 1)
  }

  func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(handle, column) }

  func bytes(_ column: CInt) -> [UInt8] {
    guard let start = sqlite3_column_blob(handle, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }
}
