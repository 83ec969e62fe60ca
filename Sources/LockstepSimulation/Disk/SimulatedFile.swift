import LockstepStorage

/// An open file of a simulated disk. It is dead once the process that opened it is.
final class SimulatedFile: DiskFile {
  private let disk: SimulatedDisk
  private let path: String
  private let inode: SimulatedInode
  private let process: Int
  private let access: FileAccess
  private var isOpen = true

  init(disk: SimulatedDisk, path: String, inode: SimulatedInode, access: FileAccess) {
    self.disk = disk
    self.path = path
    self.inode = inode
    self.access = access
    process = disk.process
  }

  private func check(_ operation: String, isAllowed: Bool = true) throws(DiskError) {
    try disk.checkAlive(process, operation, path)
    guard isOpen, isAllowed else {
      throw DiskError(operation: operation, path: path, reason: .other, text: "Bad file descriptor")
    }
  }

  func size() throws(DiskError) -> Int {
    try check("size")
    return inode.bytes.count
  }

  func birth() throws(DiskError) -> UInt64? {
    try check("birth")
    return inode.birth
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    try check("read")
    try disk.beginRead(path, offset)
    let count = max(0, min(buffer.count, inode.bytes.count - offset))
    guard count > 0 else { return 0 }
    inode.bytes.withUnsafeBytes { bytes in
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
    }
    return count
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
    try check("write", isAllowed: access == .readingAndWriting)
    try disk.write(bytes, at: offset, path, inode)
  }

  func allocate(_ range: Range<Int>) throws(DiskError) { try zero(range) }

  func sync() throws(DiskError) {
    try check("sync")
    try disk.sync(path, inode)
  }

  func close() { isOpen = false }
}
