internal import CFiles
internal import Glibc

// The module leaves this one out, as it is no part of POSIX; it is not the same on every processor.
#if arch(arm64)
  private let O_DIRECT: CInt = 0o200000
#else
  private let O_DIRECT: CInt = 0o40000
#endif

/// The real disk. The only file that calls the system.
package struct PosixDisk: Disk {
  package init() {}

  package func open(_ path: String, for access: FileAccess) throws(DiskError) -> any DiskFile {
    let flags = access == .reading ? O_RDONLY : O_RDWR
    let file = PosixFile(try descriptor("open", path, flags | O_CLOEXEC), path: path)
    if access == .readingAndWriting { file.writesBlocksDirectly() }
    return file
  }

  package func create(_ path: String) throws(DiskError) -> any DiskFile {
    let file = PosixFile(try descriptor("create", path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC), path: path)
    file.writesBlocksDirectly()
    return file
  }

  package func list(_ directory: String) throws(DiskError) -> [String]? {
    guard let stream = opendir(directory) else {
      if errno == ENOENT { return nil }
      throw failure("list", directory)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw failure("list", directory) }
        return names.sorted()
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    if Glibc.rename(from, to) != 0 { throw failure("rename to \(to)", from) }
  }

  package func remove(_ path: String) throws(DiskError) {
    if unlink(path) != 0 { throw failure("remove", path) }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    if mkdir(path, 0o755) != 0 { throw failure("create directory", path) }
  }

  package func removeDirectory(_ path: String) throws(DiskError) {
    guard let names = try list(path) else {
      throw DiskError(
        operation: "remove directory", path: path, reason: .notFound, text: String(cString: strerror(ENOENT)))
    }
    for name in names {
      let entry = "\(path)/\(name)"
      if unlink(entry) == 0 { continue }
      guard errno == EISDIR else { throw failure("remove", entry) }
      try removeDirectory(entry)
    }
    if rmdir(path) != 0 { throw failure("remove directory", path) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    let directory = try descriptor("open directory", path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { Glibc.close(directory) }
    if fsync(directory) != 0 { throw failure("sync directory", path) }
  }

  package func lock(_ path: String, exclusive: Bool) throws(DiskError) -> any DiskLock {
    let flags = exclusive ? O_RDWR | O_CREAT : O_RDONLY
    let file = try descriptor("lock", path, flags | O_CLOEXEC)
    // flock and not fcntl: a record lock would be lost with the first close of any descriptor of the file.
    while flock(file, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      defer { Glibc.close(file) }
      guard errno == EWOULDBLOCK else { throw failure("lock", path) }
      let holder = holder(of: file)
      throw DiskError(
        operation: "lock", path: path, reason: .heldElsewhere(process: holder),
        text: "held by \(holder.map { "process \($0)" } ?? "another process")")
    }
    return PosixLock(file)
  }

  /// The kernel's own list says who holds a lock, as `1: FLOCK  ADVISORY  WRITE 4711 08:01:131074 0 EOF`.
  private func holder(of file: CInt) -> Int? {
    var status = stat()
    guard fstat(file, &status) == 0, let list = fopen("/proc/locks", "re") else { return nil }
    defer { fclose(list) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, CInt(line.count), list) != nil {
      let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
      let words = text.split(separator: " ")
      guard words.count > 5, words[1] == "FLOCK", let process = Int(words[4]), process > 0 else { continue }
      if words[5].hasSuffix(":\(status.st_ino)") { return process }
    }
    return nil
  }

  package func bytes(of path: String) throws(DiskError) -> Int {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw failure("size of", path) }
    guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_size) }
    var bytes = 0
    for name in try list(path) ?? [] {
      do throws(DiskError) { bytes += try self.bytes(of: "\(path)/\(name)") } catch {
        // It has gone since it was listed.
        guard error.reason == .notFound else { throw error }
      }
    }
    return bytes
  }

  package func available(_ directory: String) throws(DiskError) -> Int {
    var status = statvfs()
    guard statvfs(directory, &status) == 0 else { throw failure("space of", directory) }
    let (bytes, isMore) = Int(clamping: status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
    return isMore ? DiskSpace.unlimited : min(bytes, DiskSpace.unlimited)
  }

  private func descriptor(_ operation: String, _ path: String, _ flags: CInt) throws(DiskError) -> CInt {
    while true {
      let file = Glibc.open(path, flags, 0o644)
      if file >= 0 { return file }
      if errno != EINTR { throw failure(operation, path) }
    }
  }
}

private func failure(_ operation: String, _ path: String, at offset: Int? = nil) -> DiskError {
  let code = errno
  let reason: DiskError.Reason =
    switch code {
    case ENOSPC, EDQUOT, EFBIG: .outOfSpace
    case ENOENT: .notFound
    default: .other
    }
  return DiskError(
    operation: operation, path: path, offset: offset, reason: reason, text: String(cString: strerror(code)))
}

private final class PosixFile: DiskFile {
  private var file: CInt
  /// The same file, written past the page cache; -1 where the file system does not have that, as tmpfs on older kernels.
  private var direct: CInt = -1
  private let path: String

  init(_ file: CInt, path: String) {
    self.file = file
    self.path = path
  }

  deinit { close() }

  /// From now on, whole blocks go to the disk without a copy in the page cache: a tenth less time for a batch of the
  /// log, and less work for the kernel. Everything else is written as before; the kernel keeps the two in step.
  func writesBlocksDirectly() { direct = Glibc.open(path, O_RDWR | O_DIRECT | O_CLOEXEC) }

  /// The descriptor for this write.
  private func descriptor(for bytes: UnsafeRawBufferPointer, at offset: Int) -> CInt {
    let mask = RecordBuffer.block - 1
    let isInBlocks = (Int(bitPattern: bytes.baseAddress) | bytes.count | offset) & mask == 0
    return isInBlocks && direct >= 0 ? direct : file
  }

  func size() throws(DiskError) -> Int {
    var status = stat()
    guard fstat(file, &status) == 0 else { throw failure("size of", path) }
    return Int(status.st_size)
  }

  func birth() throws(DiskError) -> UInt64? {
    let birth = lockstep_file_birth(file)
    return birth == 0 ? nil : birth
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    var done = 0
    while done < buffer.count {
      let count = pread(file, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
      if count == 0 { break }
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw failure("read", path, at: offset + done)
      }
    }
    return done
  }

  func prefetch(_ range: Range<Int>) {
    _ = posix_fadvise(file, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_WILLNEED)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let descriptor = descriptor(for: rest, at: offset + done)
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count < 0, errno == EINVAL, descriptor == direct {
        // Refused before anything was written: this disk has larger blocks.
        Glibc.close(direct)
        direct = -1
      } else if count == 0 || errno != EINTR {
        throw failure("write", path, at: offset + done)
      }
    }
  }

  func allocate(_ range: Range<Int>) throws(DiskError) {
    guard !range.isEmpty else { return }
    while true {
      // It returns the error, and does not set it.
      errno = posix_fallocate(file, off_t(range.lowerBound), off_t(range.count))
      if errno == 0 { return }
      if errno != EINTR { throw failure("allocate", path, at: range.lowerBound) }
    }
  }

  func sync() throws(DiskError) {
    // Not repeated, not even after EINTR: what a failed sync has left undone, a second one does not say.
    if fdatasync(file) != 0 { throw failure("sync", path) }
  }

  func close() {
    if file >= 0 { Glibc.close(file) }
    if direct >= 0 { Glibc.close(direct) }
    (file, direct) = (-1, -1)
  }
}

private final class PosixLock: DiskLock {
  private var file: CInt
  init(_ file: CInt) { self.file = file }
  deinit { release() }

  func release() {
    guard file >= 0 else { return }
    // A child that has been forked and is about to start its program still has the descriptor: closing alone would
    // leave the directory locked until then.
    flock(file, LOCK_UN)
    Glibc.close(file)
    file = -1
  }
}
