import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("disk: processes that die, copies")
struct DiskProcessTests {
  @Test("disk: kill -9 keeps what was written, and it is still not durable")
  func kill() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    try file.write(sectors(1, of: 2), at: 0)
    _ = try disk.create("d/g")
    disk.processEnded()
    #expect(disk.marks == [2] && disk.paths == ["d/f", "d/g"])
    disk.powerCut(.losesAll)
    #expect(disk.marks == [1] && disk.paths == ["d/f"])
  }

  @Test("disk: the files of a dead process are dead, its locks are free, and its late release frees nobody's")
  func lateCalls() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    let lock = try disk.lock("d/lock", exclusive: true)
    let refusal = failure { _ = try disk.lock("d/lock", exclusive: true) }
    #expect(refusal?.reason == .heldElsewhere(process: nil))
    disk.processEnded()
    #expect(throws: DiskError.self) { _ = try file.contents() }
    #expect(throws: DiskError.self) { try file.write([2], at: 0) }
    #expect(throws: DiskError.self) { try file.sync() }
    #expect(disk.marks == [1, 1, 1, 1])
    let next = try disk.lock("d/lock", exclusive: true)
    lock.release()
    #expect(throws: DiskError.self) { _ = try disk.lock("d/lock", exclusive: true) }
    next.release()
    _ = try disk.lock("d/lock", exclusive: false)
  }

  @Test("disk: files that are not there, that are, that are closed, that are open for reading")
  func wrongCalls() throws {
    let (disk, file) = try SimulatedDisk.withFile()
    #expect(failure { _ = try disk.open("d/g", for: .reading) }?.reason == .notFound)
    #expect(failure { try disk.remove("d/g") }?.reason == .notFound)
    #expect(failure { try disk.rename("d/g", to: "d/h") }?.reason == .notFound)
    #expect(failure { _ = try disk.create("e/g") }?.reason == .notFound)
    #expect(failure { try disk.syncDirectory("e") }?.reason == .notFound)
    #expect(failure { _ = try disk.lock("d/g", exclusive: false) }?.reason == .notFound)
    #expect(throws: DiskError.self) { _ = try disk.create("d/f") }
    #expect(throws: DiskError.self) { try disk.createDirectory("d") }
    let reader = try disk.open("d/f", for: .reading)
    #expect(throws: DiskError.self) { try reader.write([2], at: 0) }
    file.close()
    #expect(throws: DiskError.self) { try file.write([2], at: 0) }
    #expect(try disk.list("e") == nil)
  }

  /// Each kind of operation, what it is done to, and whether it has happened.
  private func operations(
    _ disk: SimulatedDisk, _ file: any DiskFile
  ) -> [(DiskOperation, path: String, run: () throws -> Void, hasHappened: (SimulatedDisk) -> Bool)] {
    func durably(_ disk: SimulatedDisk) -> SimulatedDisk {
      let copy = SimulatedDisk(disk.image(), random: SimulationRandom(seed: 1))
      copy.powerCut(.losesAll)
      return copy
    }
    return [
      (
        .write, "d/f", { try file.write(sectors(1, of: 3), at: 0) },
        { $0.contents(of: "d/f") == sectors(1, of: 3) + sectors(1, of: 2) }
      ),
      (.sync, "d/f", { try file.sync() }, { durably($0).marks == [1, 2] }),
      (.create, "d/g", { _ = try disk.create("d/g") }, { $0.paths.contains("d/g") }),
      (.rename, "d/f", { try disk.rename("d/f", to: "d/g") }, { $0.paths == ["d/g"] }),
      (.remove, "d/f", { try disk.remove("d/f") }, { $0.paths.isEmpty }),
      (.createDirectory, "e", { try disk.createDirectory("e") }, { (try? $0.list("e")) == [] }),
      (.syncDirectory, "d", { try disk.syncDirectory("d") }, { durably($0).paths == ["d/x"] }),
    ]
  }

  @Test("disk: a process dies before, in or after any operation, and every later call fails until the next starts")
  func deaths() throws {
    for place in DiskOperation.allCases.indices {
      for death in [DiskDeath.before, .within, .after] {
        var outcomes: [Bool] = []
        for seed in 0..<20 as Range<UInt64> {
          let (disk, file) = try SimulatedDisk.withFile(sectors: 2, seed: seed)
          try file.write(sectors(1, of: 2), at: 512)
          let all = operations(disk, file)
          let (operation, path, run, hasHappened) = all[place]
          if operation == .syncDirectory { try disk.rename("d/f", to: "d/x") }
          disk.dies = {
            #expect($0 == operation && $1 == path)
            return death
          }
          #expect(throws: DiskError.self) { try run() }
          #expect(disk.isProcessDead)
          for (_, _, run, _) in all { #expect(throws: DiskError.self) { try run() } }
          #expect(throws: DiskError.self) { _ = try disk.list("d") }
          disk.dies = nil
          disk.processEnded()
          #expect(try disk.list("d") != nil)
          outcomes.append(hasHappened(disk))
        }
        switch death {
        case .before: #expect(!outcomes.contains(true), "\(place)")
        case .after: #expect(!outcomes.contains(false), "\(place)")
        case .within: #expect(outcomes.contains(false), "\(place)")
        }
      }
    }
  }

  @Test("disk: a process that dies in a write has written any part of it")
  func deathInWrite() throws {
    var lengths: Set<Int> = []
    for seed in 0..<300 as Range<UInt64> {
      let (disk, file) = try SimulatedDisk.withFile(sectors: 1, seed: seed)
      disk.dies = { _, _ in .within }
      #expect(throws: DiskError.self) { try file.write([UInt8](repeating: 2, count: 8), at: 0) }
      let bytes = try #require(disk.contents(of: "d/f"))
      let length = bytes.prefix { $0 == 2 }.count
      #expect(bytes[length...].allSatisfy { $0 == 1 })
      lengths.insert(length)
    }
    #expect(lengths == Set(0...8))
  }

  @Test("disk: who is asked about deaths sees every operation, in order, before it happens")
  func hook() throws {
    let disk = SimulatedDisk(random: SimulationRandom(seed: 1))
    var seen: [String] = []
    disk.dies = {
      seen.append("\($0.rawValue) \($1) \(disk.paths.count)")
      return nil
    }
    try disk.createDirectory("d")
    let file = try disk.create("d/f")
    try file.write([1], at: 0)
    try file.sync()
    try disk.rename("d/f", to: "d/g")
    try disk.syncDirectory("d")
    try disk.remove("d/g")
    #expect(
      seen == [
        "createDirectory d 0", "create d/f 0", "write d/f 1", "sync d/f 1", "rename d/f 1", "syncDirectory d 1",
        "remove d/g 1",
      ])
    #expect(disk.operations == 7)
  }

  @Test("disk: a copy holds what is pending too, is independent, and serves any number of disks")
  func copies() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    try file.write(sectors(1, of: 2), at: 0)
    let image = disk.image()
    try file.write(sectors(1, of: 3), at: 0)
    try file.sync()
    for _ in 0..<2 {
      for (cut, mark) in [(PowerCut.losesAll, 1), (.keepsAll, 2)] as [(PowerCut, UInt8)] {
        let copy = SimulatedDisk(image, random: SimulationRandom(seed: 1))
        #expect(copy.marks == [2])
        copy.powerCut(cut)
        #expect(copy.marks == [mark])
        let other = try copy.open("d/f", for: .readingAndWriting)
        try other.write(sectors(1, of: 9), at: 0)
        try other.sync()
      }
    }
    #expect(disk.marks == [3])
  }

  @Test("disk: a directory rolled back to an older copy, and a wiped disk")
  func rolledBack() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    let image = disk.image()
    try file.write(sectors(2, of: 2), at: 0)
    try file.sync()
    #expect(disk.bytesInUse == 1024)
    disk.restore(image)
    #expect(disk.marks == [1] && disk.bytesInUse == 512)
    #expect(throws: DiskError.self) { try file.sync() }
    disk.wipe()
    #expect(disk.paths.isEmpty && disk.bytesInUse == 0)
    #expect(try disk.list("d") == nil)
  }
}
