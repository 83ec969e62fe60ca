import Glibc
import LockstepExecution
import LockstepRequests

// The machine's directory:
//
//   data.db        the database, with -wal and -shm beside it while it is open
//   copy-….db      a copy that is being read as a snapshot; has no name any more as soon as it is whole
//
// What a crash leaves of a copy, `clear` removes.

/// The files of one database.
struct SQLFiles {
  let directory: String
  var database: String { "\(directory)/data.db" }

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
      guard name.hasPrefix("copy-") else { continue }
      try remove("\(directory)/\(name)")
    }
  }

  /// Synced when this returns; its name is not.
  func restore(from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    let file = Glibc.open(database, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw failure("'\(database)' cannot be made") }
    defer { Glibc.close(file) }
    try fill(file, from: &snapshot)
    guard fsync(file) == 0 else { throw failure("'\(database)' cannot be synced") }
  }

  private func fill(_ file: Int32, from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    do throws(CallStatus) {
      let length = try snapshot.varint()
      var left = length
      while left > 0 {
        let bytes = try snapshot.bytes(min(left, 256 * 1024))
        guard write(bytes, to: file) else {
          throw CallStatus(.resourceExhausted, "'\(database)' cannot be written: \(String(cString: strerror(errno)))")
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

  private func failure(_ what: String) -> StoredMachineFailure {
    StoredMachineFailure(.storage, "\(what): \(String(cString: strerror(errno)))")
  }
}
