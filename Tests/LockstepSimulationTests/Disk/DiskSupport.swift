import LockstepStorage
import Testing

@testable import LockstepSimulation

extension DiskFile {
  func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withUnsafeBytes { try write($0, at: offset) }
  }

  func contents() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: try size())
    let count = try bytes.withUnsafeMutableBytes { try read(into: $0, at: 0) }
    return Array(bytes[..<count])
  }
}

/// `count` sectors full of one byte.
func sectors(_ count: Int, of byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: count * 512) }

extension SimulatedDisk {
  /// The first byte of each sector of "d/f"; nil when there is no such file.
  var marks: [UInt8]? {
    contents(of: "d/f").map { bytes in stride(from: 0, to: bytes.count, by: 512).map { bytes[$0] } }
  }

  /// With the directory "d" and, of so many sectors of ones, the file "d/f": all of it durable.
  static func withFile(sectors count: Int = 4, seed: UInt64 = 1) throws -> (disk: SimulatedDisk, file: any DiskFile) {
    let disk = SimulatedDisk(random: SimulationRandom(seed: seed))
    try disk.createDirectory("d")
    try disk.syncDirectory(".")
    let file = try disk.create("d/f")
    try file.write(sectors(count, of: 1), at: 0)
    try file.sync()
    try disk.syncDirectory("d")
    return (disk, file)
  }

  /// What is seen after the power was cut, in many ways, at this moment.
  func afterCuts<Seen: Equatable>(_ look: (SimulatedDisk) throws -> Seen) rethrows -> [Seen] {
    let image = image()
    var all: [Seen] = []
    for seed in 0..<400 as Range<UInt64> {
      let disk = SimulatedDisk(image, random: SimulationRandom(seed: seed))
      disk.powerCut(.keepsAny)
      let seen = try look(disk)
      if !all.contains(seen) { all.append(seen) }
    }
    return all
  }
}

/// The error of an operation that must fail.
func failure(_ operation: () throws -> Void) -> DiskError? {
  do {
    try operation()
    Issue.record("it has not failed")
    return nil
  } catch {
    return error as? DiskError
  }
}
