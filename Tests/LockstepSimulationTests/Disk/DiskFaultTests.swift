import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("disk: what goes wrong with it")
struct DiskFaultTests {
  @Test("disk: a read fails, is counted, and changes nothing")
  func readFailed() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    disk.faults.readFailed = 1
    #expect(failure { _ = try file.contents() }?.reason == .other)
    #expect(disk.counts[.readFailed] == 1)
    disk.faults.readFailed = 0
    #expect(try file.contents() == sectors(4, of: 1))
  }

  @Test("disk: a write fails, and nothing of it is there")
  func writeFailed() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    disk.faults.writeFailed = 1
    #expect(throws: DiskError.self) { try file.write(sectors(4, of: 2), at: 0) }
    #expect(disk.counts[.writeFailed] == 1 && disk.marks == [1, 1, 1, 1])
  }

  @Test("disk: a short write fails, and any part of it is there")
  func shortWrite() throws {
    var lengths: Set<Int> = []
    for seed in 0..<300 as Range<UInt64> {
      let (disk, file) = try SimulatedDisk.withFile(sectors: 1, seed: seed)
      disk.faults.shortWrite = 1
      #expect(throws: DiskError.self) { try file.write([UInt8](repeating: 2, count: 8), at: 0) }
      #expect(disk.counts[.shortWrite] == 1)
      lengths.insert(try #require(disk.contents(of: "d/f")).prefix { $0 == 2 }.count)
    }
    #expect(lengths == Set(0...8))
  }

  @Test("disk: after a failed sync all is read as written, the next sync succeeds, and a cut shows what is missing")
  func syncFailed() throws {
    var left: Set<[UInt8]> = []
    for seed in 0..<100 as Range<UInt64> {
      let (disk, file) = try SimulatedDisk.withFile(sectors: 2, seed: seed)
      try file.write(sectors(2, of: 2), at: 0)
      disk.faults.syncFailed = 1
      #expect(throws: DiskError.self) { try file.sync() }
      #expect(disk.counts[.syncFailed] == 1 && disk.marks == [2, 2])
      disk.faults.syncFailed = 0
      try file.sync()
      disk.processEnded()
      #expect(disk.marks == [2, 2])
      disk.powerCut(.keepsAll)
      left.insert(try #require(disk.marks))
    }
    #expect(left == [[1, 1], [1, 2], [2, 1], [2, 2]])
  }

  @Test("disk: what a failed first sync has lost of a new file no later sync makes durable")
  func firstSyncFailed() throws {
    var lengths: Set<Int> = []
    for seed in 0..<100 as Range<UInt64> {
      let (disk, _) = try SimulatedDisk.withFile(seed: seed)
      let file = try disk.create("d/new")
      try disk.syncDirectory("d")
      try file.write(sectors(2, of: 2), at: 0)
      disk.faults.syncFailed = 1
      #expect(throws: DiskError.self) { try file.sync() }
      disk.faults.syncFailed = 0
      try file.sync()
      try file.sync()
      #expect(disk.contents(of: "d/new") == sectors(2, of: 2))
      disk.powerCut(.losesAll)
      lengths.insert(try #require(disk.contents(of: "d/new")).count)
    }
    #expect(lengths == [0, 1024])
  }

  @Test("disk: what is written again after a failed sync is durable with the next")
  func writtenAgain() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 2)
    try file.write(sectors(2, of: 2), at: 0)
    disk.faults.syncFailed = 1
    #expect(throws: DiskError.self) { try file.sync() }
    disk.faults.syncFailed = 0
    try file.write(sectors(2, of: 2), at: 0)
    try file.sync()
    disk.powerCut(.losesAll)
    #expect(disk.marks == [2, 2])
  }

  @Test("disk: a directory's failed sync leaves its names as they were")
  func directorySyncFailed() throws {
    let (disk, _) = try SimulatedDisk.withFile()
    _ = try disk.create("d/g")
    disk.faults.syncFailed = 1
    #expect(throws: DiskError.self) { try disk.syncDirectory("d") }
    disk.powerCut(.losesAll)
    #expect(disk.paths == ["d/f"])
  }

  @Test("disk: a full disk takes what fits, lets itself be written over, and has room again when a file goes")
  func fullDisk() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 2)
    disk.faults.space = 1024 + 100
    #expect(failure { try file.write(sectors(2, of: 2), at: 512) }?.reason == .outOfSpace)
    #expect(disk.counts[.diskFull] == 1 && disk.bytesInUse == 1124)
    #expect(disk.contents(of: "d/f")?.count == 1124)
    try file.write(sectors(2, of: 3), at: 0)
    let other = try disk.create("d/g")
    #expect(failure { try other.write([1], at: 0) }?.reason == .outOfSpace)
    try disk.remove("d/f")
    try other.write(sectors(2, of: 4), at: 0)
    #expect(disk.bytesInUse == 1024)
    disk.faults.space = .max
    try other.write(sectors(1000, of: 4), at: 0)
  }

  @Test("disk: a sync that lies succeeds, and a cut shows it; an honest one makes good")
  func syncLied() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    try file.write(sectors(1, of: 2), at: 0)
    disk.faults.syncLied = 1
    try file.sync()
    #expect(disk.counts[.syncLied] == 1 && disk.marks == [2])
    let image = disk.image()
    disk.powerCut(.losesAll)
    #expect(disk.marks == [1])
    disk.restore(image)
    disk.faults.syncLied = 0
    try disk.open("d/f", for: .readingAndWriting).sync()
    disk.powerCut(.losesAll)
    #expect(disk.marks == [2])
  }

  @Test("disk: a misdirected write lands on other sectors of its file, and its own place is as it was")
  func misdirectedWrite() throws {
    var places: Set<Int> = []
    for seed in 0..<100 as Range<UInt64> {
      let (disk, file) = try SimulatedDisk.withFile(sectors: 4, seed: seed)
      disk.faults.misdirectedWrite = 1
      try file.write(sectors(1, of: 2), at: 512)
      guard disk.counts[.misdirectedWrite] == 1 else {
        #expect(disk.marks == [1, 2, 1, 1], "where it belongs, and not counted")
        continue
      }
      try file.sync()
      disk.powerCut(.losesAll)
      let marks = try #require(disk.marks)
      #expect(marks.count { $0 == 2 } == 1)
      places.insert(try #require(marks.firstIndex(of: 2)))
    }
    #expect(places == [0, 2, 3])
  }

  @Test("disk: a stale sector is read as written by this process, and as it was before by the next")
  func staleSector() throws {
    for isCut in [false, true] {
      var stale: Set<Int> = []
      for seed in 0..<60 as Range<UInt64> {
        let (disk, file) = try SimulatedDisk.withFile(sectors: 3, seed: seed)
        try file.write(sectors(3, of: 2), at: 0)
        disk.faults.staleSector = 1
        try file.sync()
        #expect(disk.counts[.staleSector] == 1 && disk.marks == [2, 2, 2])
        if isCut { disk.powerCut(.keepsAll) } else { disk.processEnded() }
        let marks = try #require(disk.marks)
        #expect(marks.count { $0 == 1 } == 1)
        stale.insert(try #require(marks.firstIndex(of: 1)))
      }
      #expect(stale == [0, 1, 2])
    }
  }

  @Test("disk: a sector that a write did not change cannot be stale, and is not counted")
  func notStale() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    try file.write(sectors(1, of: 1), at: 0)
    disk.faults.staleSector = 1
    try file.sync()
    try file.sync()
    #expect(disk.counts[.staleSector] == 0)
  }

  @Test("disk: a flipped bit is flipped for the process and on the device")
  func flippedBit() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    disk.flipBit(3, at: 7, in: "d/f")
    disk.flipBit(3, at: 512, in: "d/f")
    disk.flipBit(3, at: 7, in: "d/g")
    #expect(try file.contents()[7] == 9)
    disk.powerCut(.losesAll)
    #expect(disk.contents(of: "d/f")?[7] == 9)
  }

  @Test("disk: odds of one in ten strike about once in ten times, and are counted as often as they strike")
  func odds() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    disk.faults.writeFailed = 10
    disk.faults.syncFailed = 10
    disk.faults.readFailed = 10
    var failures = [0, 0, 0]
    for _ in 0..<2000 {
      do { try file.write([1], at: 0) } catch { failures[0] += 1 }
      do { try file.sync() } catch { failures[1] += 1 }
      do { _ = try file.contents() } catch { failures[2] += 1 }
    }
    #expect(failures == [disk.counts[.writeFailed], disk.counts[.syncFailed], disk.counts[.readFailed]])
    for count in failures { #expect((140...260).contains(count)) }
  }

  @Test("disk: without odds nothing goes wrong")
  func noFaults() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    for _ in 0..<1000 {
      try file.write(sectors(2, of: 2), at: 0)
      try file.sync()
    }
    #expect(disk.counts == FaultCounts())
  }

  @Test("disk: what operations cost is asked once")
  func cost() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    disk.faults.writeTime = 3
    disk.faults.syncTime = 500
    _ = disk.takeCost()
    try file.write([1], at: 0)
    try file.write([1], at: 0)
    try file.sync()
    #expect(disk.takeCost() == 506)
    #expect(disk.takeCost() == 0)
  }
}
