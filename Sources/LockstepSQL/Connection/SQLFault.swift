internal import GRDB
internal import GRDBSQLite
import LockstepRequests

/// Why a statement has not been carried out.
enum SQLFault: Error {
  /// It is wrong, or the rows do not allow it: the same on every replica, and so the recorded reply.
  case refused(CallStatus)
  /// It took more than it may. SQLite may have undone all that was not committed.
  case interrupted
  /// It is refused, and part of it is done: the transaction is to be undone, and the call carried out so that it can be.
  case halfDone
  /// What is in the file is not what SQLite has written.
  case damaged(String)
  /// The file, the disk or the memory of this replica: nothing that a client could be told as a reply.
  case broken(String)

  /// What SQLite says of its last call on this connection. `name` is how the errors call the statement.
  init(_ code: CInt, _ connection: OpaquePointer, _ name: String) {
    let message = String(cString: sqlite3_errmsg(connection))
    switch code & 0xff {
    case SQLITE_CONSTRAINT:
      // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE and _ROWID: composed by macros, which Swift does not see.
      let isDouble = [6, 8, 10].contains(code >> 8)
      self = .refused(CallStatus(isDouble ? .alreadyExists : .failedPrecondition, "\(name): \(message)"))
    case SQLITE_ERROR, SQLITE_AUTH, SQLITE_MISMATCH, SQLITE_RANGE:
      self = .refused(CallStatus(.invalidArgument, "\(name): \(message)"))
    case SQLITE_TOOBIG: self = .refused(CallStatus(.resourceExhausted, "\(name): \(message)"))
    case SQLITE_INTERRUPT: self = .interrupted
    case SQLITE_CORRUPT, SQLITE_NOTADB: self = .damaged(message)
    default: self = .broken("\(message) (SQLite's code \(code))")
    }
  }

  /// Of opening a file.
  init(opening error: any Error) {
    guard let error = error as? DatabaseError else {
      self = .broken("\(error)")
      return
    }
    let message = error.message ?? "it cannot be opened"
    switch error.resultCode {
    case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(message)
    default: self = .broken("\(message) (SQLite's code \(error.extendedResultCode.rawValue))")
    }
  }
}
