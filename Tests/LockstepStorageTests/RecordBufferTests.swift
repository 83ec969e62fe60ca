import DiskTesting
import Testing

@testable import LockstepStorage

@Suite("records in whole blocks")
struct RecordBufferTests {
  @Test("records of any length, one behind the other: the file is what they are, and ends where it did")
  func anyLength() throws {
    let disk = MemoryDisk()
    let extent = 64 * 1024 - 64
    let file = try disk.create("log")
    try file.zero(0..<extent)
    var buffer = RecordBuffer(capacity: 64)
    var expected = [UInt8](repeating: 0, count: extent)
    var offset = 0
    for (number, count) in [64, 4032, 64, 4096, 128, 9000 / 64 * 64, 64, 20_480, 4032].enumerated() {
      buffer.reserve(count)
      buffer.base.initializeMemory(as: UInt8.self, repeating: UInt8(number + 1), count: count)
      try buffer.write(count, to: file, at: offset, extent: extent)
      expected.replaceSubrange(offset..<offset + count, with: repeatElement(UInt8(number + 1), count: count))
      #expect(try contents(of: file) == expected, "after record \(number)")
      buffer.advance(by: count)
      offset += count
    }
    // The last one that fits: its block is longer than the file.
    let rest = extent - offset
    buffer.reserve(rest)
    buffer.base.initializeMemory(as: UInt8.self, repeating: 77, count: rest)
    try buffer.write(rest, to: file, at: offset, extent: extent)
    expected.replaceSubrange(offset..., with: repeatElement(77, count: rest))
    #expect(try contents(of: file) == expected)
  }

  @Test("a record that is written again, and one after a restart, keep what stands before them in their block")
  func keepsTheBlock() throws {
    let file = try MemoryDisk().create("log")
    try file.zero(0..<8192)
    try [UInt8](repeating: 1, count: 4096 + 192).withUnsafeBytes { try file.write($0, at: 0) }
    var buffer = RecordBuffer()
    try buffer.begin(at: 4096 + 192, of: file)
    for value in [UInt8(2), 3] {
      buffer.base.initializeMemory(as: UInt8.self, repeating: value, count: 64)
      try buffer.write(64, to: file, at: 4096 + 192, extent: 8192)
      let found = try contents(of: file)
      #expect(found[..<4288].allSatisfy { $0 == 1 } && found[4288..<4352].allSatisfy { $0 == value })
      #expect(found[4352...].allSatisfy { $0 == 0 } && found.count == 8192)
    }
  }

  private func contents(of file: any DiskFile) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: try file.size())
    _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    return bytes
  }
}
