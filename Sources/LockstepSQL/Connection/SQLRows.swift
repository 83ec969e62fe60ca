import Foundation
internal import GRDBSQLite
import LockstepRequests

/// The rows that a statement gives, up to a number of bytes.
struct SQLRows {
  /// Of one reply. It has to fit in a frame, and, for a command, into the memory of every replica.
  static let maximumBytes = 768 * 1024

  private(set) var columns: [Lockstep_Sql_V1_Column] = []
  private(set) var rows: [Lockstep_Sql_V1_Row] = []
  private(set) var bytes = 0

  /// Carries the statement out to its end. Unless the rows are wanted, they are counted all the same, so that all replicas
  /// refuse the same.
  mutating func fill(from statement: SQLStatement, areWanted: Bool) throws(SQLFault) {
    guard try statement.step() else {
      if areWanted { name(statement, hasRow: false) }
      return
    }
    if areWanted { name(statement, hasRow: true) }
    repeat {
      bytes += 4
      for column in 0..<CInt(statement.columnCount) { bytes += Self.size(statement.handle, column) }
      guard bytes <= Self.maximumBytes else {
        throw .refused(
          CallStatus(
            .resourceExhausted, "\(statement.name) gives more than \(Self.maximumBytes) bytes of rows; ask with a LIMIT"
          ))
      }
      if areWanted {
        var row = Lockstep_Sql_V1_Row()
        row.values.reserveCapacity(statement.columnCount)
        for column in 0..<CInt(statement.columnCount) { row.values.append(Self.value(statement.handle, column)) }
        rows.append(row)
      }
    } while try statement.step()
  }

  private mutating func name(_ statement: SQLStatement, hasRow: Bool) {
    columns = (0..<CInt(statement.columnCount)).map { place in
      var column = Lockstep_Sql_V1_Column()
      column.name = sqlite3_column_name(statement.handle, place).map { String(cString: $0) } ?? ""
      if let declared = sqlite3_column_decltype(statement.handle, place) {
        column.type = String(cString: declared)
      } else if hasRow {
        column.type = Self.typeName(sqlite3_column_type(statement.handle, place))
      }
      return column
    }
  }

  private static func typeName(_ type: CInt) -> String {
    switch type {
    case SQLITE_INTEGER: "INTEGER"
    case SQLITE_FLOAT: "REAL"
    case SQLITE_TEXT: "TEXT"
    case SQLITE_BLOB: "BLOB"
    default: ""
    }
  }

  private static func size(_ statement: OpaquePointer, _ column: CInt) -> Int {
    switch sqlite3_column_type(statement, column) {
    case SQLITE_TEXT, SQLITE_BLOB: 8 + Int(sqlite3_column_bytes(statement, column))
    default: 12
    }
  }

  private static func value(_ statement: OpaquePointer, _ column: CInt) -> Lockstep_Sql_V1_Value {
    var value = Lockstep_Sql_V1_Value()
    switch sqlite3_column_type(statement, column) {
    case SQLITE_INTEGER: value.integer = sqlite3_column_int64(statement, column)
    case SQLITE_FLOAT: value.real = sqlite3_column_double(statement, column)
    case SQLITE_TEXT:
      let start = sqlite3_column_text(statement, column)
      let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
      value.text = String(decoding: bytes, as: UTF8.self)
    case SQLITE_BLOB:
      let count = Int(sqlite3_column_bytes(statement, column))
      value.blob = sqlite3_column_blob(statement, column).map { Data(bytes: $0, count: count) } ?? Data()
    default: value.null = true
    }
    return value
  }
}
