/// Why the log or the directory does not go on. None of these is answered by trying again in the same process.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
  case disk(DiskError)
  case outOfSpace(DiskError)
  /// Another process works in this directory.
  case locked(path: String, process: Int?)
  /// Bytes that were durable have changed. `offset` is where in the file the first thing that does not hold stands.
  case damaged(file: String, offset: Int, reason: String)
  /// What was durable is not there any more: a file, or the end of one.
  case lost(path: String, reason: String)
  /// The directory is sound and is not what the caller takes it for.
  case refused(path: String, reason: String)
  /// The caller asked for a write that would break the log; nothing was written.
  case invalidWrite(String)
  /// An earlier failure, after which nothing is known of the disk; or the log was closed.
  case stopped(String)

  init(_ error: DiskError) {
    switch error.reason {
    case .heldElsewhere(let process): self = .locked(path: error.path, process: process)
    case .outOfSpace: self = .outOfSpace(error)
    case .notFound, .other: self = .disk(error)
    }
  }

  package var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .outOfSpace(let error): "out of space: \(error)"
    case .locked(let path, let process):
      "\(path) is held by \(process.map { "process \($0)" } ?? "another process"): one node to a directory"
    case .damaged(let file, let offset, let reason): "\(file) is damaged at byte \(offset): \(reason)"
    case .lost(let path, let reason), .refused(let path, let reason): "\(path): \(reason)"
    case .invalidWrite(let reason): "refused to write: \(reason)"
    case .stopped(let reason): "the log has stopped: \(reason)"
    }
  }
}

/// Runs disk operations, so that their errors come out as the log's.
@inline(__always)
package func onDisk<Result>(_ body: () throws(DiskError) -> Result) throws(StorageError) -> Result {
  do throws(DiskError) { return try body() } catch { throw StorageError(error) }
}
