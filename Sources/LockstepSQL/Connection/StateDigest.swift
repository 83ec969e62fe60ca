internal import CSQLiteHooks
import Glibc
internal import GRDBSQLite
import LockstepServices

/// A number that follows every row as it changes: the sum over all rows of what stands in them, kept by taking away what a
/// row was and adding what it becomes. The order in which rows change makes no difference, and reading all of them is never
/// necessary. Rows of SQLite's own tables are not in it; a change of the schema is, by its text.
///
/// Equal on all replicas that have carried out the same commands; a row that differs shows in it until it is gone.
final class StateDigest {
  /// As of the last change.
  var value: UInt64 = 0
  /// A row got the highest number that there is: for the one after it SQLite would draw a number by chance.
  private(set) var hasHighestRow = false
  /// Of the rows that this call has written, those of its triggers and the later replaced ones among them.
  private(set) var writtenBytes = 0
  private let connection: OpaquePointer
  /// The last table's name and its hash: mostly one table is changed over and over.
  private var table: [CChar] = []
  private var tableHash: UInt64 = 0

  /// Hears of the connection's changes as long as both are there.
  init(_ connection: OpaquePointer) {
    self.connection = connection
    _ = sqlite3_preupdate_hook(
      connection,
      { context, _, operation, _, table, old, new in
        guard let context, let table else { return }
        Unmanaged<StateDigest>.fromOpaque(context).takeUnretainedValue().change(operation, table, old, new)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  func stop() { _ = sqlite3_preupdate_hook(connection, nil, nil) }

  func begin() { (hasHighestRow, writtenBytes) = (false, 0) }

  func changeSchema(_ sql: String) {
    var hasher = StableHasher()
    hasher.combine(sql)
    value &+= hasher.finish()
  }

  private func change(_ operation: CInt, _ name: UnsafePointer<CChar>, _ old: Int64, _ new: Int64) {
    note(name)
    // The machine's own rows are what it says of itself, and differ between replicas.
    guard tableHash != 0 else { return }
    if operation != SQLITE_INSERT { value &-= hash(old, sqlite3_preupdate_old).digest }
    guard operation != SQLITE_DELETE else { return }
    let row = hash(new, sqlite3_preupdate_new)
    value &+= row.digest
    writtenBytes += row.bytes
    if writtenBytes > WritingConnection.maximumWrittenBytes { sqlite3_interrupt(connection) }
    if new == .max { hasHighestRow = true }
  }

  private func note(_ name: UnsafePointer<CChar>) {
    let isSame = table.withUnsafeBufferPointer { known in
      known.baseAddress.map { strcmp($0, name) == 0 } ?? false
    }
    if isSame { return }
    table = Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1))
    let text = String(cString: name)
    var hasher = StableHasher()
    hasher.combine(text)
    tableHash = text.hasPrefix(StatementRules.ownPrefix) ? 0 : max(1, hasher.finish())
  }

  private func hash(
    _ rowid: Int64, _ column: (OpaquePointer?, CInt, UnsafeMutablePointer<OpaquePointer?>?) -> CInt
  ) -> (digest: UInt64, bytes: Int) {
    var bytesOfRow = 8
    var hasher = StableHasher()
    hasher.combine(tableHash)
    hasher.combine(UInt64(bitPattern: rowid))
    for place in 0..<sqlite3_preupdate_count(connection) {
      var found: OpaquePointer?
      guard column(connection, place, &found) == SQLITE_OK, let found else { continue }
      var type = sqlite3_value_type(found)
      // A whole number in a column of REAL is stored as an integer, and comes as the one before and as the other after.
      if type == SQLITE_FLOAT, Int64(exactly: sqlite3_value_double(found)) != nil { type = SQLITE_INTEGER }
      hasher.combine(UInt64(type))
      switch type {
      case SQLITE_INTEGER: hasher.combine(UInt64(bitPattern: sqlite3_value_int64(found)))
      case SQLITE_FLOAT: hasher.combine(sqlite3_value_double(found).bitPattern)
      case SQLITE_TEXT, SQLITE_BLOB:
        let count = Int(sqlite3_value_bytes(found))
        bytesOfRow += count
        let bytes = UnsafeRawBufferPointer(start: count > 0 ? sqlite3_value_blob(found) : nil, count: count)
        hasher.combine(bytes: RawSpan(_unsafeBytes: bytes))
      default: break
      }
    }
    return (hasher.finish(), bytesOfRow)
  }
}
