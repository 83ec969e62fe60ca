import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("disk: what a power cut leaves")
struct DiskDurabilityTests {
  @Test("disk: what was synced is there after any cut", arguments: PowerCut.allCases)
  func synced(cut: PowerCut) throws {
    let (disk, file) = try SimulatedDisk.withFile()
    try file.write(sectors(2, of: 2), at: 512)
    try file.sync()
    disk.powerCut(cut)
    #expect(disk.marks == [1, 2, 2, 1])
  }

  @Test("disk: what was written is read at once, and lost or kept by a cut before the sync")
  func pending() throws {
    for (cut, left) in [(PowerCut.losesAll, [1, 1, 1, 1]), (.keepsAll, [1, 2, 2, 1])] as [(PowerCut, [UInt8])] {
      let (disk, file) = try SimulatedDisk.withFile()
      try file.write(sectors(2, of: 2), at: 512)
      #expect(try file.contents() == sectors(1, of: 1) + sectors(2, of: 2) + sectors(1, of: 1))
      disk.powerCut(cut)
      #expect(disk.marks == left)
    }
  }

  @Test("disk: any subset of the sectors is left: torn writes, later sectors without earlier ones")
  func subsets() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 3)
    try file.write(sectors(3, of: 2), at: 0)
    let seen = disk.afterCuts(\.marks)
    #expect(seen.count == 8)
    #expect(seen.contains([1, 2, 2]) && seen.contains([2, 1, 2]) && seen.contains([1, 1, 2]))
  }

  @Test("disk: kinds of loss are counted: lost, kept, torn, reordered")
  func counts() throws {
    func counts(_ kept: [Int]) throws -> FaultCounts {
      let (disk, file) = try SimulatedDisk.withFile()
      try file.write(sectors(3, of: 2), at: 0)
      disk.powerCut { if case .sector(_, let number) = $0 { kept.contains(number) } else { true } }
      return disk.counts
    }
    let kinds: [FaultKind] = [
      .unsyncedWriteLost, .unsyncedWriteKept, .unsyncedWriteTorn, .unsyncedSectorsReordered,
    ]
    for (kept, expected) in [
      ([], [1, 0, 0, 0]), ([0, 1, 2], [0, 1, 0, 0]), ([0], [1, 1, 1, 0]), ([1], [1, 1, 1, 1]),
    ] as [([Int], [Int])] {
      let counts = try counts(kept)
      #expect(kinds.map { counts[$0] } == expected, "kept \(kept)")
    }
  }

  @Test("disk: a sector is left as one of its writes made it, never as a later one without an earlier")
  func versions() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    for place in 0..<3 { try file.write([9], at: place * 100) }
    let seen = disk.afterCuts { disk in [0, 100, 200].map { disk.contents(of: "d/f")?[$0] } }
    #expect(seen.count == 4)
    for versions in [[1, 1, 1], [9, 1, 1], [9, 9, 1], [9, 9, 9]] as [[UInt8?]] { #expect(seen.contains(versions)) }
  }

  @Test("disk: a file's new size is left or not, apart from its sectors; what was never written is zeros")
  func sizes() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 1)
    try file.write(sectors(1, of: 2), at: 512)
    try file.write(sectors(1, of: 3), at: 1024)
    let seen = disk.afterCuts(\.marks)
    for left in [[1], [1, 0], [1, 2], [1, 0, 0], [1, 2, 0], [1, 0, 3], [1, 2, 3]] as [[UInt8]] {
      #expect(seen.contains(left), "\(left)")
    }
    #expect(seen.count == 7)
  }

  @Test("disk: a new file's name is durable with its directory's sync, not with its own")
  func creation() throws {
    let (disk, _) = try SimulatedDisk.withFile()
    let file = try disk.create("d/g")
    try file.write([7], at: 0)
    try file.sync()
    let before = disk.afterCuts { $0.contents(of: "d/g") }
    #expect(before.count == 2 && before.contains(nil) && before.contains([7]))
    try disk.syncDirectory("d")
    #expect(disk.afterCuts { $0.contents(of: "d/g") } == [[7]])
  }

  @Test("disk: a name without its file's sync is an empty file")
  func emptyFile() throws {
    let (disk, _) = try SimulatedDisk.withFile()
    let file = try disk.create("d/g")
    try file.write([7], at: 0)
    try disk.syncDirectory("d")
    disk.powerCut(.losesAll)
    #expect(disk.contents(of: "d/g") == [])
  }

  @Test("disk: a rename leaves the old file or the new one, until the directory is synced")
  func renaming() throws {
    let (disk, _) = try SimulatedDisk.withFile(sectors: 1)
    let file = try disk.create("d/f.new")
    try file.write(sectors(1, of: 2), at: 0)
    try file.sync()
    try disk.syncDirectory("d")
    try disk.rename("d/f.new", to: "d/f")
    #expect(disk.marks == [2] && disk.paths == ["d/f"])
    let targets = disk.afterCuts(\.marks)
    #expect(targets.count == 2 && targets.contains([1]) && targets.contains([2]))
    let names = disk.afterCuts(\.paths)
    #expect(names.count == 2 && names.contains(["d/f"]) && names.contains(["d/f", "d/f.new"]))
    try disk.syncDirectory("d")
    #expect(disk.afterCuts { [$0.marks] } == [[[2]]])
    #expect(disk.afterCuts(\.paths) == [["d/f"]])
  }

  @Test("disk: a removed file may be back until the directory is synced")
  func removal() throws {
    let (disk, _) = try SimulatedDisk.withFile(sectors: 1)
    try disk.remove("d/f")
    #expect(disk.paths.isEmpty)
    let seen = disk.afterCuts(\.marks)
    #expect(seen.count == 2 && seen.contains(nil) && seen.contains([1]))
    try disk.syncDirectory("d")
    #expect(disk.afterCuts(\.marks) == [nil])
  }

  @Test("disk: a directory's sync covers its own names only, and a new directory goes with all that is in it")
  func directories() throws {
    let (disk, _) = try SimulatedDisk.withFile()
    try disk.createDirectory("d/e")
    _ = try disk.create("d/e/g")
    _ = try disk.create("d/h")
    try disk.syncDirectory("d/e")
    let lost = SimulatedDisk(disk.image(), random: SimulationRandom(seed: 1))
    lost.powerCut(.losesAll)
    #expect(lost.paths == ["d/f"])
    #expect(try lost.list("d/e") == nil)
    #expect(lost.counts[.unsyncedNameLost] == 2)
    try disk.syncDirectory("d")
    disk.powerCut(.losesAll)
    #expect(disk.paths == ["d/e/g", "d/f", "d/h"])
    #expect(try disk.list("d") == ["e", "f", "h"])
    #expect(try disk.list("d/e") == ["g"])
  }

  @Test("disk: a chosen subset is asked about, change by change, and left")
  func chosen() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 2)
    try file.write(sectors(2, of: 2), at: 512)
    try file.write([3], at: 512)
    _ = try disk.create("d/g")
    var asked: [PendingChange] = []
    disk.powerCut { change in
      asked.append(change)
      return change != .sector(path: "d/f", number: 2)
    }
    func sector(_ number: Int) -> PendingChange { .sector(path: "d/f", number: number) }
    #expect(asked == [.name("d/g"), .size(path: "d/f"), sector(1), sector(1), sector(2)])
    #expect(disk.marks == [1, 3, 0])
    #expect(disk.paths == ["d/f", "d/g"])
    // Nothing is left to be asked about.
    disk.powerCut { change in
      Issue.record("\(change) is still pending")
      return true
    }
  }

  @Test("disk: from the same seed, the same is left")
  func determinism() throws {
    let (disk, file) = try SimulatedDisk.withFile(sectors: 16)
    try file.write(sectors(16, of: 2), at: 0)
    let image = disk.image()
    let left = try ([7, 7, 8] as [UInt64]).map { seed in
      let copy = SimulatedDisk(image, random: SimulationRandom(seed: seed))
      copy.powerCut(.keepsAny)
      return try #require(copy.marks)
    }
    #expect(left[0] == left[1] && left[0] != left[2])
  }
}
