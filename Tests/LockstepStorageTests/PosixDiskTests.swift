import DiskTesting
import Foundation
import Glibc
import LockstepConsensus
@testable import LockstepStorage
import LockstepWire
import Testing

@Suite("the real disk")
struct PosixDiskTests {
  /// Calls `body` with a directory of its own, gone afterwards.
  private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/lockstep-storage-XXXXXX".utf8CString)
    let path = template.withUnsafeMutableBufferPointer { bytes in
      bytes.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    let directory = try #require(path)
    defer {
      let disk = PosixDisk()
      for inner in ["\(directory)/node", directory] {
        for name in (try? disk.list(inner)) ?? [] { unlink("\(inner)/\(name)") }
        rmdir(inner)
      }
    }
    try body(directory)
  }

  private func open(_ path: String) throws -> (NodeDirectory, DurableLog, [RecoveredGroup]) {
    var options = LogOptions()
    options.segmentBytes = 64 * 1024
    options.firstSegmentBytes = 16 * 1024
    let directory = try NodeDirectory.open(
      disk: PosixDisk(), path: path, cluster: Fixture.cluster, node: NodeID(1), members: Fixture.members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, options: options)
    let (log, groups, _) = try DurableLog.open(directory, options: options)
    return (directory, log, groups)
  }

  @Test("a copy of a directory is refused, one that was renamed is not")
  func copy() throws {
    try withDirectory { base in
      let (directory, log, _) = try open(base + "/node")
      try log.close()
      directory.close()
      let file = try PosixDisk().open(base + "/node/identity", for: .reading)
      defer { file.close() }
      // Not every file system tells when files were made; where it does not, nothing is found.
      guard try file.birth() != nil else { return }
      try FileManager.default.copyItem(atPath: base + "/node", toPath: base + "/copy")
      #expect(throws: StorageError.self) { try open(base + "/copy") }
      try FileManager.default.moveItem(atPath: base + "/node", toPath: base + "/renamed")
      let (again, reopened, _) = try open(base + "/renamed")
      try reopened.close()
      again.close()
      try FileManager.default.removeItem(atPath: base + "/copy")
      try FileManager.default.moveItem(atPath: base + "/renamed", toPath: base + "/node")
    }
  }

  @Test("a log over several segments is there after every restart, and verifies")
  func log() throws {
    try withDirectory { base in
      let path = base + "/node"
      var chain = Checksum.chainOrigin(cluster: Fixture.cluster, group: 1)
      var count: UInt64 = 0
      for _ in 0..<4 {
        let (directory, log, groups) = try open(path)
        #expect(groups.first?.last.index.rawValue ?? 0 == count)
        #expect(groups.first?.lastChain ?? chain == chain)
        for _ in 0..<20 {
          var block = EntryBlock(first: LogIndex(count + 1), previousChain: chain)
          [UInt8](repeating: 5, count: 900).withUnsafeBytes { payload in
            for _ in 0..<3 { block.append(term: Term(1), kind: .command, payload: payload) }
          }
          try log.append([LogWrite(group: .first, hardState: HardState(term: Term(1)), entries: block)])
          (chain, count) = (block.lastChain, count + 3)
        }
        try log.close()
        directory.close()
      }
      let inspector = try LogInspector(disk: PosixDisk(), path: path)
      #expect(try inspector.verify().groups.map(\.last.index.rawValue) == [count])
    }
  }

  @Test("two on one directory: the second is told the process")
  func lock() throws {
    try withDirectory { base in
      let (directory, log, _) = try open(base + "/node")
      let error = #expect(throws: StorageError.self) { try open(base + "/node") }
      guard case .locked(_, let process) = error else { return unexpected(error) }
      #expect(process == nil || process == Int(getpid()))
      #expect(throws: StorageError.self) { try LogInspector(disk: PosixDisk(), path: base + "/node") }
      try log.close()
      directory.close()
      let (again, _, _) = try open(base + "/node")
      again.close()
    }
  }

  @Test("errors say the operation, the path and the system's words")
  func errors() throws {
    try withDirectory { base in
      let disk = PosixDisk()
      let missing = #expect(throws: DiskError.self) { try disk.open(base + "/nothing", for: .reading) }
      #expect(missing?.reason == .notFound)
      #expect(missing?.description.contains("open \(base)/nothing: No such file") == true)
      #expect(try disk.list(base + "/nothing") == nil)
      _ = try disk.create(base + "/there")
      #expect(throws: DiskError.self) { try disk.create(base + "/there") }
      let file = try disk.open(base + "/there", for: .reading)
      let error = #expect(throws: DiskError.self) { try [1, 2].withUnsafeBytes { try file.write($0, at: 3) } }
      #expect(error?.offset == 3 && error?.operation == "write")
      let full = try disk.open("/dev/full", for: .readingAndWriting)
      let space = #expect(throws: DiskError.self) { try [1].withUnsafeBytes { try full.write($0, at: 0) } }
      #expect(space?.reason == .outOfSpace)
    }
  }

  @Test("what is allocated reads as zeros, is as long as asked for, and takes writes")
  func allocate() throws {
    try withDirectory { base in
      let file = try PosixDisk().create(base + "/there")
      try [UInt8](1...3).withUnsafeBytes { try file.write($0, at: 0) }
      try file.allocate(3..<100_000)
      try file.allocate(5..<5)
      #expect(try file.size() == 100_000)
      try [UInt8(4)].withUnsafeBytes { try file.write($0, at: 50_000) }
      try file.sync()
      var bytes = [UInt8](repeating: 9, count: 100_000)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
      #expect(count == 100_000 && bytes[0] == 1 && bytes[50_000] == 4)
      #expect(bytes[3..<50_000].allSatisfy { $0 == 0 } && bytes[50_001...].allSatisfy { $0 == 0 })
    }
  }

  @Test("whole blocks and pieces of blocks, written in turns and synced, read back as they were written")
  func blocks() throws {
    try withDirectory { base in
      let file = try PosixDisk().create(base + "/there")
      let block = RecordBuffer.block
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * block, alignment: block)
      defer { memory.deallocate() }
      var expected = [UInt8](repeating: 0, count: 8 * block)
      // In whole blocks of memory and file; off in the file, in memory, in length; and over what was written both ways.
      let writes = [
        (0, 0, 2 * block), (block, 0, block), (block + 64, 0, block), (3 * block, 64, block), (3 * block, 0, 100),
        (3 * block, 0, block), (7 * block, 0, block),
      ]
      for (number, (offset, start, count)) in writes.enumerated() {
        let bytes = UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + count])
        bytes.initializeMemory(as: UInt8.self, repeating: UInt8(number + 1))
        try file.write(UnsafeRawBufferPointer(bytes), at: offset)
        expected.replaceSubrange(offset..<offset + count, with: bytes)
        if number.isMultiple(of: 2) { try file.sync() }
        var found = [UInt8](repeating: 9, count: try file.size())
        _ = try found.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        #expect(found == Array(expected[..<found.count]))
      }
      #expect(try file.size() == 8 * block)
    }
  }
}
