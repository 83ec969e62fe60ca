import Glibc
import LockstepExecution
import LockstepRequests

// The machine's directory:
//
//   data.db        the database, with -wal and -shm beside it while it is open
//   new.db         a database that is being made of a snapshot; whole and synced before it is renamed to data.db
//   copy-….db      a copy that is being read as a snapshot; has no name any more as soon as it is whole
//
// A crash leaves new.db, or no data.db: then the machine is as before the first command, which the log's beginning tells from
// a gap, and the snapshot is taken again. What ends a crash, `clear` removes.

/// The files of one database.
struct SQLFiles {
  let directory: String
  var database: String { "\(directory)/data.db" }
  private var new: String { "\(directory)/new.db" }

  init(_ directory: String) { self.directory = directory }

  func copy(_ number: Int) -> String { "\(directory)/copy-\(number).db" }

  /// Removes what is not the database.
  func clear() throws(StoredMachineFailure) {
    guard let list = opendir(directory) else { throw failure("'\(directory)' cannot be read") }
    defer { closedir(list) }
    while let entry = readdir(list) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
      }
      guard name.hasPrefix("new.db") || name.hasPrefix("copy-") else { continue }
      try remove("\(directory)/\(name)")
    }
  }

  func replace(by snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    let file = Glibc.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw failure("'\(new)' cannot be made") }
    do throws(StoredMachineFailure) {
      try fill(file, from: &snapshot)
      guard fsync(file) == 0 else { throw failure("'\(new)' cannot be synced") }
      Glibc.close(file)
    } catch {
      Glibc.close(file)
      throw error
    }
    // Another file's log must not be read for this one's.
    for name in [database, "\(database)-wal", "\(database)-shm"] { try remove(name) }
    guard rename(new, database) == 0 else { throw failure("'\(new)' cannot be renamed") }
    try syncDirectory()
  }

  private func fill(_ file: Int32, from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    do throws(Status) {
      let length = try snapshot.varint()
      var left = length
      while left > 0 {
        let bytes = try snapshot.bytes(min(left, 256 * 1024))
        guard write(bytes, to: file) else {
          throw Status(.resourceExhausted, "'\(new)' cannot be written: \(String(cString: strerror(errno)))")
        }
        left -= UInt64(bytes.count)
      }
      try snapshot.end()
    } catch {
      throw StoredMachineFailure(error.code == .dataLoss ? .damaged : .storage, error.message)
    }
  }

  private func write(_ bytes: [UInt8], to file: Int32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var place = 0
      while place < bytes.count {
        let count = Glibc.write(file, bytes.baseAddress.map { $0 + place }, bytes.count - place)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        place += count
      }
      return true
    }
  }

  private func remove(_ path: String) throws(StoredMachineFailure) {
    guard unlink(path) == 0 || errno == ENOENT else { throw failure("'\(path)' cannot be removed") }
  }

  private func syncDirectory() throws(StoredMachineFailure) {
    let file = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw failure("'\(directory)' cannot be opened") }
    defer { Glibc.close(file) }
    guard fsync(file) == 0 else { throw failure("'\(directory)' cannot be synced") }
  }

  private func failure(_ what: String) -> StoredMachineFailure {
    StoredMachineFailure(.storage, "\(what): \(String(cString: strerror(errno)))")
  }
}
