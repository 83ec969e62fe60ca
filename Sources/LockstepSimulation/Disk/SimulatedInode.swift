/// The contents of one file, as three parties see them: the process (`bytes`), the device (`durable`), and, in between,
/// the writes that no sync has covered.
final class SimulatedInode {
  /// When it was made; a copy is made anew.
  var birth: UInt64
  private(set) var bytes: [UInt8] = []
  private(set) var durable: [UInt8] = []
  /// Writes since the last sync, in order.
  private var pending: [(offset: Int, bytes: [UInt8])] = []
  /// Sectors whose last synced version never reached the device: after the next start the older one is read.
  private var stale: [Int] = []

  /// What reaches the device by itself.
  enum Part: Equatable {
    case sector(Int)
    case size
  }

  init(birth: UInt64) { self.birth = birth }

  init(copying other: SimulatedInode) {
    birth = other.birth
    bytes = other.bytes
    durable = other.durable
    pending = other.pending
    stale = other.stale
  }

  var isPending: Bool { !pending.isEmpty }

  /// Zeros to be copied: repeated one by one they took a third of a debug build's time.
  private static let zeros = [UInt8](repeating: 0, count: 64 << 10)

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in file: inout [UInt8]) {
    let end = offset + bytes.count
    while file.count < end { file.append(contentsOf: zeros[..<min(zeros.count, end - file.count)]) }
    bytes.withUnsafeBufferPointer { source in
      file.withUnsafeMutableBufferPointer { target in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        (to + offset).update(from: from, count: source.count)
      }
    }
  }

  func write(_ bytes: [UInt8], at offset: Int) {
    guard !bytes.isEmpty else { return }
    Self.put(bytes[...], at: offset, in: &self.bytes)
    pending.append((offset, bytes))
  }

  /// The device has all of it.
  func sync() {
    for (offset, bytes) in pending { Self.put(bytes[...], at: offset, in: &durable) }
    pending.removeAll(keepingCapacity: true)
  }

  /// The device has what `survives`, and nothing is pending any more. A sector, and the size, has a version for each
  /// write that touched it, and the device gets one after the other: it is asked for each until one does not survive.
  func writeBack(_ survives: (Part) -> Bool) {
    guard !pending.isEmpty else { return }
    var pieces: [(sector: Int, write: Int)] = []
    for (number, write) in pending.enumerated() {
      let end = write.offset + write.bytes.count
      let sectors = write.offset / SimulatedDisk.sectorBytes...(end - 1) / SimulatedDisk.sectorBytes
      for sector in sectors { pieces.append((sector, number)) }
    }
    pieces.sort { ($0.sector, $0.write) < ($1.sector, $1.write) }
    var size = durable.count
    for write in pending where write.offset + write.bytes.count > size {
      guard survives(.size) else { break }
      size = write.offset + write.bytes.count
    }
    var lost = -1
    for (sector, number) in pieces where sector != lost {
      guard survives(.sector(sector)) else {
        lost = sector
        continue
      }
      let write = pending[number]
      let first = max(write.offset, sector * SimulatedDisk.sectorBytes)
      let last = min(write.offset + write.bytes.count, (sector + 1) * SimulatedDisk.sectorBytes)
      Self.put(write.bytes[first - write.offset..<last - write.offset], at: first, in: &durable)
    }
    // What lies beyond the size is not seen, and what lies before it and was never written is zeros.
    if durable.count > size {
      durable.removeSubrange(size...)
    } else {
      durable.append(contentsOf: repeatElement(0, count: size - durable.count))
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// The device loses its power: what it has is all that there is.
  func lose(_ survives: (Part) -> Bool) {
    writeBack(survives)
    stale.removeAll()
    bytes = durable
  }

  /// Syncs all but one sector, drawn by `choose`, of what was written last. False when there is none whose old version
  /// differs; then all is synced.
  func syncButOneSector(_ choose: (_ count: Int) -> Int) -> Bool {
    guard let write = pending.last else { return false }
    let sector = (write.offset + choose(write.bytes.count)) / SimulatedDisk.sectorBytes
    let first = sector * SimulatedDisk.sectorBytes
    let old = Array(durable.dropFirst(first).prefix(SimulatedDisk.sectorBytes))
    sync()
    guard !old.isEmpty, old[...] != durable[first..<first + old.count] else { return false }
    Self.put(old[...], at: first, in: &durable)
    stale.append(sector)
    return true
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

  func flipBit(_ bit: Int, at offset: Int) {
    bytes[offset] ^= 1 << UInt8(bit)
    if offset < durable.count { durable[offset] ^= 1 << UInt8(bit) }
  }
}
