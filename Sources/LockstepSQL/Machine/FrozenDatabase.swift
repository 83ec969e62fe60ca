import Foundation
import Glibc
internal import GRDBSQLite
import LockstepExecution
import LockstepRequests
import Synchronization

// The snapshot of a database: the number of its bytes (varint), and the file as SQLite would have it without a -wal.

/// A database as it was, while it goes on to change: a reading transaction keeps what it sees. When it is read first, it is
/// copied, page by page, into a file that has no name any more when it is whole.
struct FrozenDatabase: Snapshot {
  private let source: DatabaseCopy
  private var head: SnapshotBuffer?
  /// In the file.
  private var place = 0

  init(_ path: String, copy: String) throws(SQLFault) { source = try DatabaseCopy(of: path, at: copy) }

  mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]? {
    let (file, length) = try source.file()
    var head = head ?? Self.head(length)
    let piece = head.take(maximumBytes)
    self.head = head
    if let piece { return piece }
    guard place < length else { return nil }
    var bytes = [UInt8](repeating: 0, count: min(maximumBytes, length - place))
    let count = pread(file, &bytes, bytes.count, off_t(place))
    guard count > 0 else {
      throw CallStatus(.internal, "the copy of the database cannot be read: \(String(cString: strerror(errno)))")
    }
    place += count
    return count == bytes.count ? bytes : Array(bytes[..<count])
  }

  private static func head(_ length: Int) -> SnapshotBuffer {
    var buffer = SnapshotBuffer()
    buffer.append(varint: UInt64(length))
    return buffer
  }
}

/// A copy that is made when it is asked for, once, and is gone with this object.
final class DatabaseCopy: Sendable {
  private struct State {
    /// Keeps what is to be copied; nil when it is.
    var source: ReadingConnection?
    var copied: (file: Int32, length: Int)?
  }

  /// Pages that are copied at once. Then it rests for as long, so that commands do not feel it.
  private static let pages: CInt = 256
  private let path: String
  private let state: Mutex<State>

  init(of database: String, at path: String) throws(SQLFault) {
    self.path = path
    let source = try ReadingConnection(database, label: "lockstep.sql.snapshot")
    // A transaction sees what was there when it first looked.
    try source.run("BEGIN")
    try source.run("SELECT last FROM lockstep_state")
    // Unsafe: a connection is of one thread at a time. From here on only the state has it, and uses it under its lock.
    nonisolated(unsafe) let handedOver = source
    state = Mutex(State(source: handedOver))
  }

  deinit { state.withLock { if let copied = $0.copied { close(copied.file) } } }

  func file() throws(CallStatus) -> (file: Int32, length: Int) {
    let path = path
    return try state.withLock { state throws(CallStatus) in
      if let copied = state.copied { return copied }
      guard let source = state.source else {
        throw CallStatus(.internal, "an earlier try to copy the database has failed")
      }
      state.source = nil
      defer { unlink(path) }
      try Self.copy(source, to: path)
      let file = open(path, O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { throw Self.failure(path, String(cString: strerror(errno))) }
      let length = lseek(file, 0, SEEK_END)
      state.copied = (file, Int(length))
      return (file, Int(length))
    }
  }

  private static func copy(_ source: ReadingConnection, to path: String) throws(CallStatus) {
    var target: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
    var code = sqlite3_open_v2(path, &target, flags, nil)
    defer { sqlite3_close(target) }
    // Nobody ever opens it after a crash.
    if code == SQLITE_OK {
      code = sqlite3_exec(target, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", nil, nil, nil)
    }
    guard code == SQLITE_OK, let backup = sqlite3_backup_init(target, "main", source.handle, "main") else {
      throw failure(path, String(cString: sqlite3_errmsg(target)))
    }
    repeat {
      let start = ContinuousClock.now
      code = sqlite3_backup_step(backup, pages)
      if code == SQLITE_OK { Thread.sleep(forTimeInterval: (ContinuousClock.now - start) / .seconds(1)) }
    } while code == SQLITE_OK
    sqlite3_backup_finish(backup)
    guard code == SQLITE_DONE else { throw failure(path, String(cString: sqlite3_errmsg(target))) }
  }

  private static func failure(_ path: String, _ message: String) -> CallStatus {
    CallStatus(.internal, "the database cannot be copied to '\(path)': \(message)")
  }
}
