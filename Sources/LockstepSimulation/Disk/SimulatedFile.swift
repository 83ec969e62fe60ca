import LockstepStorage

/// The contents of one file, as three parties see them: the process (`bytes`), the device (`durable`), and, in between,
/// the writes that no sync has covered, sector by sector.
final class SimulatedInode {
  var bytes: [UInt8] = []
  var durable: [UInt8] = []
  /// Writes since the last sync, in order.
  var pending: [(offset: Int, bytes: [UInt8])] = []
  /// Sectors whose last synced version never reached the device: after the next start the older one is read.
  var stale: [Int] = []

  init() {}

  init(copying other: SimulatedInode) {
    bytes = other.bytes
    durable = other.durable
    pending = other.pending
    stale = other.stale
  }

  static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in file: inout [UInt8]) {
    let end = offset + bytes.count
    if file.count < end { file.append(contentsOf: repeatElement(0, count: end - file.count)) }
    bytes.withUnsafeBufferPointer { source in
      file.withUnsafeMutableBufferPointer { target in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        (to + offset).update(from: from, count: source.count)
      }
    }
  }

  func write(_ bytes: [UInt8], at offset: Int) {
    Self.put(bytes[...], at: offset, in: &self.bytes)
    pending.append((offset, bytes))
  }

  /// The device has all of it.
  func sync() {
    for (offset, bytes) in pending { Self.put(bytes[...], at: offset, in: &durable) }
    pending.removeAll(keepingCapacity: true)
  }

  /// What the device has is all that there is: of each pending sector `survives` says whether it got there.
  func lose(_ survives: (_ sector: Int) -> Bool) {
    for (offset, bytes) in pending {
      var place = 0
      while place < bytes.count {
        let sector = (offset + place) / SimulatedDisk.sectorBytes
        let next = min(bytes.count, (sector + 1) * SimulatedDisk.sectorBytes - offset)
        if survives(sector) { Self.put(bytes[place..<next], at: offset + place, in: &durable) }
        place = next
      }
    }
    pending.removeAll(keepingCapacity: true)
    stale.removeAll()
    bytes = durable
  }

  /// The process starts anew and reads what the device has, where that differs from what was cached.
  func dropStaleSectors() {
    for sector in stale {
      let first = sector * SimulatedDisk.sectorBytes
      let last = min(first + SimulatedDisk.sectorBytes, durable.count, bytes.count)
      if first < last { bytes.replaceSubrange(first..<last, with: durable[first..<last]) }
    }
    stale.removeAll()
  }
}

/// An open file of a simulated disk. It is dead once the process that opened it is.
final class SimulatedFile: DiskFile {
  private let disk: SimulatedDisk
  private let path: String
  private let inode: SimulatedInode
  private let process: Int

  init(disk: SimulatedDisk, path: String, inode: SimulatedInode) {
    self.disk = disk
    self.path = path
    self.inode = inode
    process = disk.process
  }

  func size() throws(DiskError) -> Int {
    try disk.checkAlive(process, "size", path)
    return inode.bytes.count
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    try disk.checkAlive(process, "read", path)
    try disk.beginRead(path, offset)
    let count = max(0, min(buffer.count, inode.bytes.count - offset))
    guard count > 0 else { return 0 }
    inode.bytes.withUnsafeBytes { bytes in
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
    }
    return count
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
    try disk.checkAlive(process, "write", path)
    try disk.write([UInt8](bytes), at: offset, path, inode)
  }

  func sync() throws(DiskError) {
    try disk.checkAlive(process, "sync", path)
    try disk.sync(path, inode)
  }

  func close() {}
}
