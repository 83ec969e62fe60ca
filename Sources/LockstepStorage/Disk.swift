/// What the log needs of a file system, and no more: a simulator implements it in memory. Every call blocks, so it is
/// made on the disk thread.
package protocol Disk: Sendable {
  /// Opens a file that exists.
  func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile
  /// Makes a file that must not exist yet. Its name is durable after `syncDirectory`.
  func create(_ path: String) throws(DiskError) -> any DiskFile
  /// The names in a directory, sorted; nil when it does not exist.
  func list(_ directory: String) throws(DiskError) -> [String]?
  /// Replaces `to` if it exists, in one step. Durable after `syncDirectory`. A directory keeps what is in it, and nothing
  /// may have its new name.
  func rename(_ from: String, to: String) throws(DiskError)
  func remove(_ path: String) throws(DiskError)
  /// Makes a directory whose parent exists.
  func createDirectory(_ path: String) throws(DiskError)
  /// With all that is in it; a crash leaves any part of that.
  func removeDirectory(_ path: String) throws(DiskError)
  func syncDirectory(_ path: String) throws(DiskError)
  /// Locks a file until `release`, or until the process ends, however it ends. `exclusive` makes the file when there is
  /// none; a shared lock (that of a reader) needs one. Throws `.heldElsewhere` at once when someone else has it.
  func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock
  /// What a file takes, or all files in a directory together, however deep.
  func bytes(of path: String) throws(DiskError) -> Int
  /// What the file system of this directory has left for files in it, in bytes; at most `DiskSpace.unlimited`.
  func available(_ directory: String) throws(DiskError) -> Int
}

package enum FileAccess: Sendable {
  case reading
  case readingAndWriting
}

package protocol DiskFile: AnyObject {
  func size() throws(DiskError) -> Int
  /// Made of when, and as which one, the file was made: nobody can choose that, so no copy has it. Nil where the disk does
  /// not tell.
  func birth() throws(DiskError) -> UInt64?
  /// Fills the buffer from `offset` on; less only at the end of the file. Returns how many bytes were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int
  /// This part will be read soon. A hint: the disk may begin with it now, and nothing that is wrong is said here.
  func prefetch(_ range: Range<Int>)
  /// Writes all of the bytes or throws; after a throw any part of them may have been written. Bytes in whole blocks, in
  /// memory and in the file, may go to the disk without a copy.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError)
  /// Makes this part of the file read as zeros, without writing them where the file system can do that. A first sync of
  /// what is written there has more to do than one over zeros that were written.
  func allocate(_ range: Range<Int>) throws(DiskError)
  /// Contents and size are durable when this returns. When it throws, nothing is known of what was written since the
  /// last one, and a second try proves nothing.
  func sync() throws(DiskError)
  func close()
}

extension DiskFile {
  package func prefetch(_ range: Range<Int>) {}

  /// Writes zeros.
  package func zero(_ range: Range<Int>) throws(DiskError) {
    guard !range.isEmpty else { return }
    let zeros = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(range.count, 1 << 20), alignment: RecordBuffer.block)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    var place = range.lowerBound
    while place < range.upperBound {
      let count = min(zeros.count, range.upperBound - place)
      try write(UnsafeRawBufferPointer(rebasing: zeros[..<count]), at: place)
      place += count
    }
  }
}

package protocol DiskLock: AnyObject {
  func release()
}

/// What went wrong, in which operation, where.
package struct DiskError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Reason: Equatable, Sendable {
    /// By the process with this number, when it is known.
    case heldElsewhere(process: Int?)
    case outOfSpace
    case notFound
    case other
  }

  package let operation: String
  package let path: String
  package let offset: Int?
  package let reason: Reason
  /// The system's words.
  package let text: String

  package init(operation: String, path: String, offset: Int? = nil, reason: Reason, text: String) {
    self.operation = operation
    self.path = path
    self.offset = offset
    self.reason = reason
    self.text = text
  }

  package var description: String {
    "\(operation) \(path)\(offset.map { " at byte \($0)" } ?? ""): \(text)"
  }
}
