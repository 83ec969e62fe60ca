import DiskTesting
import Glibc
import LockstepStorage
import Testing

@testable import LockstepSimulation

@Suite("the same of every disk")
struct DiskConformanceTests {
  @Test("the simulated disk", arguments: DiskConformance.all)
  func simulated(check: DiskConformance) throws {
    let disk = SimulatedDisk(random: SimulationRandom(seed: 1))
    try disk.createDirectory("d")
    try check.run(on: disk, in: "d")
  }

  @Test("the disk in memory", arguments: DiskConformance.all, [true, false])
  func memory(check: DiskConformance, knowsPowerCuts: Bool) throws {
    let disk = MemoryDisk(knowsPowerCuts: knowsPowerCuts)
    try disk.createDirectory("/d")
    try check.run(on: disk, in: "/d")
  }

  @Test("the real disk", arguments: DiskConformance.all)
  func real(check: DiskConformance) throws {
    var template = Array("/tmp/lockstep-disk-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { bytes in
      bytes.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    let directory = try #require(made)
    defer { remove(directory) }
    try check.run(on: PosixDisk(), in: directory)
  }

  private func remove(_ directory: String) {
    for name in (try? PosixDisk().list(directory)) ?? [] {
      let path = "\(directory)/\(name)"
      if unlink(path) != 0 { remove(path) }
    }
    rmdir(directory)
  }
}
