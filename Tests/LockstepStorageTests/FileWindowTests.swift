import Testing

@testable import LockstepStorage

@Suite("a window on a file")
struct FileWindowTests {
  private static let window = 1 << 20

  /// Reads `count` bytes at each of these, and says what the disk was told of.
  private func announced(size: Int, reading offsets: [Int], count: Int) throws -> [Range<Int>] {
    let file = AnnouncedFile(size: size)
    let window = try FileWindow(file, step: Self.window)
    for offset in offsets { #expect(try window.bytes(at: offset, count: count)?.count == count) }
    return file.announced
  }

  @Test("read from its beginning to its end: the disk is told of what comes, each byte once, none behind the end")
  func sequential() throws {
    let size = 20 * Self.window + 4096
    let announced = try announced(size: size, reading: Array(stride(from: 0, to: size, by: 4096)), count: 4096)
    // The first window is read before it is known that the reader goes on.
    #expect(announced.first?.lowerBound == 2 * Self.window)
    #expect(announced.last?.upperBound == size)
    for (one, next) in zip(announced, announced.dropFirst()) { #expect(one.upperBound == next.lowerBound) }
    #expect(announced.count <= 10)
  }

  @Test("read here and there: nothing is announced that nobody asks for")
  func random() throws {
    #expect(
      try announced(size: 64 * Self.window, reading: [0, 40, 10, 30, 20].map { $0 * Self.window }, count: 64) == [])
  }
}

private final class AnnouncedFile: DiskFile {
  private let bytes: Int
  private(set) var announced: [Range<Int>] = []

  init(size: Int) { bytes = size }

  func size() -> Int { bytes }
  func birth() -> UInt64? { nil }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    max(0, min(buffer.count, bytes - offset))
  }
  func prefetch(_ range: Range<Int>) { announced.append(range) }
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {}
  func allocate(_ range: Range<Int>) {}
  func sync() {}
  func close() {}
}
