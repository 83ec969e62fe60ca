/// The contents of one file, as three parties see them: the process (`bytes`), the device (`durable`), and, in between,
/// the writes that no sync has covered.
final class SimulatedInode {
  /// When it was made; a copy is made anew.
  var birth: UInt64
  private(set) var bytes: [UInt8] = []
  private(set) var durable: [UInt8] = []
  /// Writes since the last sync, in order.
  private var pending: [PendingWrite] = []
  /// Those without bytes of their own.
  private var unsaved: [Int] = []
  /// What the file says is what the device has, with the writes since: nothing was lost or damaged on the way.
  private var isAsWritten = true
  /// Sectors whose last synced version never reached the device: after the next start the older one is read.
  private var stale: [Int] = []

  private struct PendingWrite {
    let range: Range<Int>
    /// Nil while the file still says the same there.
    var bytes: [UInt8]?
  }

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
    unsaved = other.unsaved
    isAsWritten = other.isAsWritten
    stale = other.stale
  }

  var isPending: Bool { !pending.isEmpty }

  /// Zeros to be copied: repeated one by one they took a third of a debug build's time.
  private static let zeros = [UInt8](repeating: 0, count: 64 << 10)

  private static func put(_ bytes: UnsafeRawBufferPointer, at offset: Int, in file: inout [UInt8]) {
    while file.count < offset { file.append(contentsOf: zeros[..<min(zeros.count, offset - file.count)]) }
    let inside = min(bytes.count, file.count - offset)
    file.withUnsafeMutableBytes { target in
      UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + inside])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<inside]))
    }
    if inside < bytes.count { file.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[inside...])) }
  }

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, in file: inout [UInt8]) {
    bytes.withUnsafeBytes { put($0, at: offset, in: &file) }
  }

  func write(_ new: UnsafeRawBufferPointer, at offset: Int) {
    guard !new.isEmpty else { return }
    let range = offset..<offset + new.count
    willChange(range)
    Self.put(new, at: offset, in: &bytes)
    unsaved.append(pending.count)
    pending.append(PendingWrite(range: range, bytes: nil))
  }

  /// What was written there, and is pending, is kept for itself.
  private func willChange(_ range: Range<Int>) {
    unsaved.removeAll { number in
      guard pending[number].range.overlaps(range) else { return false }
      pending[number].bytes = Array(bytes[pending[number].range])
      return true
    }
  }

  private func written(_ write: PendingWrite) -> ArraySlice<UInt8> { write.bytes?[...] ?? bytes[write.range] }

  /// The device has all of it.
  func sync() {
    if durable.isEmpty, isAsWritten {
      durable = bytes
    } else {
      for write in pending { Self.put(written(write), at: write.range.lowerBound, in: &durable) }
    }
    nothingIsPending()
  }

  private func nothingIsPending() {
    pending.removeAll(keepingCapacity: true)
    unsaved.removeAll(keepingCapacity: true)
  }

  /// The device has what `survives`, and nothing is pending any more. A sector, and the size, has a version for each
  /// write that touched it, and the device gets one after the other: it is asked for each until one does not survive.
  func writeBack(_ survives: (Part) -> Bool) {
    guard !pending.isEmpty else { return }
    isAsWritten = false
    var pieces: [(sector: Int, write: Int)] = []
    for (number, write) in pending.enumerated() {
      let sectors =
        write.range.lowerBound / SimulatedDisk.sectorBytes...(write.range.upperBound - 1) / SimulatedDisk.sectorBytes
      for sector in sectors { pieces.append((sector, number)) }
    }
    pieces.sort { ($0.sector, $0.write) < ($1.sector, $1.write) }
    var size = durable.count
    for write in pending where write.range.upperBound > size {
      guard survives(.size) else { break }
      size = write.range.upperBound
    }
    var lost = -1
    for (sector, number) in pieces where sector != lost {
      guard survives(.sector(sector)) else {
        lost = sector
        continue
      }
      let write = pending[number]
      let first = max(write.range.lowerBound, sector * SimulatedDisk.sectorBytes)
      let last = min(write.range.upperBound, (sector + 1) * SimulatedDisk.sectorBytes)
      let start = written(write).startIndex - write.range.lowerBound
      Self.put(written(write)[start + first..<start + last], at: first, in: &durable)
    }
    // What lies beyond the size is not seen, and what lies before it and was never written is zeros.
    if durable.count > size {
      durable.removeSubrange(size...)
    } else {
      durable.append(contentsOf: repeatElement(0, count: size - durable.count))
    }
    nothingIsPending()
  }

  /// The device loses its power: what it has is all that there is.
  func lose(_ survives: (Part) -> Bool) {
    writeBack(survives)
    stale.removeAll()
    bytes = durable
    isAsWritten = true
  }

  /// Syncs all but one sector, drawn by `choose`, of what was written last. False when there is none whose old version
  /// differs; then all is synced.
  func syncButOneSector(_ choose: (_ count: Int) -> Int) -> Bool {
    guard let write = pending.last else { return false }
    let sector = (write.range.lowerBound + choose(write.range.count)) / SimulatedDisk.sectorBytes
    let first = sector * SimulatedDisk.sectorBytes
    let old = Array(durable.dropFirst(first).prefix(SimulatedDisk.sectorBytes))
    sync()
    guard !old.isEmpty, old[...] != durable[first..<first + old.count] else { return false }
    Self.put(old[...], at: first, in: &durable)
    isAsWritten = false
    stale.append(sector)
    return true
  }

  /// The process starts anew and reads what the device has, where that differs from what was cached.
  func dropStaleSectors() {
    for sector in stale {
      let first = sector * SimulatedDisk.sectorBytes
      let last = min(first + SimulatedDisk.sectorBytes, durable.count, bytes.count)
      guard first < last else { continue }
      willChange(first..<last)
      isAsWritten = false
      bytes.replaceSubrange(first..<last, with: durable[first..<last])
    }
    stale.removeAll()
  }

  func flipBit(_ bit: Int, at offset: Int) {
    willChange(offset..<offset + 1)
    isAsWritten = false
    bytes[offset] ^= 1 << UInt8(bit)
    if offset < durable.count { durable[offset] ^= 1 << UInt8(bit) }
  }
}
