import DiskTesting
import LockstepConsensus
import LockstepWire
import Testing

@testable import LockstepStorage

@Suite("a directory with a budget")
struct BudgetTests {
  private static let directory = "/node"

  private func make(_ bytes: Int?, on memory: MemoryDisk? = nil) throws -> (MemoryDisk, BudgetedDisk) {
    let memory = memory ?? MemoryDisk(directories: [Self.directory])
    return (memory, try BudgetedDisk(memory, directory: Self.directory, budget: DiskBudget(bytes: bytes)))
  }

  private func write(_ count: Int, at offset: Int = 0, to file: any DiskFile) throws(DiskError) {
    try file.write([UInt8](repeating: 1, count: count), at: offset)
  }

  private func used(_ disk: BudgetedDisk) -> Int { disk.budget.space.used }

  @Test("a file grows up to the budget, and what would exceed it is refused whole, with what is missing")
  func limit() throws {
    let (memory, disk) = try make(64_000)
    let log = try disk.create(Self.directory + "/log-0000000001.new")
    // A sixty-fourth is for what is small.
    try write(63_000, to: log)
    #expect(used(disk) == 63_000)
    let error = #expect(throws: DiskError.self) { try write(1, at: 63_000, to: log) }
    #expect(error?.reason == .outOfSpace)
    #expect(error?.text == "1 bytes are missing in the budget of 64000 bytes (--disk-budget)")
    #expect(throws: DiskError.self) { try log.allocate(60_000..<63_001) }
    #expect(memory[Self.directory + "/log-0000000001.new"].count == 63_000 && used(disk) == 63_000)
    // What is there is written over, whatever is left.
    try write(500, at: 62_500, to: log)
    let mark = try disk.create(Self.directory + "/synced-0000000004")
    try write(1_000, to: mark)
    #expect(throws: DiskError.self) { try write(1, at: 1_000, to: mark) }
    // Or a node that was given less than it has could not even start to trim.
    let identity = try disk.create(Self.directory + "/identity.new")
    try write(2_000, to: identity)
    #expect(used(disk) == 66_000)
  }

  @Test("what is removed, replaced, or was not written is free again")
  func freed() throws {
    let (memory, disk) = try make(64_000)
    let one = try disk.create(Self.directory + "/identity")
    try write(300, to: one)
    let two = try disk.create(Self.directory + "/identity.new")
    try write(200, to: two)
    try disk.rename(Self.directory + "/identity.new", to: Self.directory + "/identity")
    #expect(used(disk) == 200)
    try disk.remove(Self.directory + "/identity")
    #expect(used(disk) == 0)
    let log = try disk.create(Self.directory + "/log-0000000001")
    memory.space = 10_000
    #expect(throws: DiskError.self) { try write(10_001, to: log) }
    #expect(used(disk) == 0)
    try write(10_000, to: log)
    #expect(used(disk) == 10_000)
    #expect(throws: DiskError.self) { try disk.remove(Self.directory + "/nothing") }
    #expect(throws: DiskError.self) {
      try disk.rename(Self.directory + "/nothing", to: Self.directory + "/log-0000000001")
    }
    #expect(used(disk) == 10_000)
  }

  @Test("a start counts what is there; a machine's own files are looked at again, others as they grow")
  func start() throws {
    let memory = MemoryDisk(directories: [Self.directory, Self.directory + "/state-1"])
    memory[Self.directory + "/log-0000000001"] = [UInt8](repeating: 0, count: 700)
    memory[Self.directory + "/state-1/database"] = [UInt8](repeating: 0, count: 50)
    memory.space = 1_000_750
    let (_, disk) = try make(nil, on: memory)
    #expect(disk.budget.space == DiskSpace(used: 750, limit: 1_000_750 / 10 * 9, available: 1_000_000, others: 50))
    memory[Self.directory + "/state-1/database"] = [UInt8](repeating: 0, count: 90)
    memory.space = 500_790
    try disk.refresh()
    #expect(disk.budget.space == DiskSpace(used: 790, limit: 500_790 / 10 * 9, available: 500_000, others: 90))
    let log = try disk.open(Self.directory + "/log-0000000001", for: .readingAndWriting)
    try write(100, at: 700, to: log)
    #expect(used(disk) == 890)
  }

  @Test("of a directory that is to be made, what the one has in which it will be")
  func toBeMade() throws {
    let memory = MemoryDisk(directories: ["/some"])
    memory.space = 1_000
    let disk = try BudgetedDisk(memory, directory: "/some/where/else", budget: DiskBudget(bytes: nil))
    #expect(disk.budget.space.limit == 900)
    let relative = try BudgetedDisk(memory, directory: "where", budget: DiskBudget(bytes: nil))
    #expect(relative.budget.space.limit == 900)
  }

  @Test("what strangers have put there is counted while it is there; what cannot be looked at is no harm")
  func strangers() throws {
    let memory = MemoryDisk(directories: [Self.directory, Self.directory + "/lost+found"])
    memory[Self.directory + "/core"] = [UInt8](repeating: 0, count: 300)
    memory[Self.directory + "/lost+found/1"] = [1, 2]
    let (_, disk) = try make(64_000, on: memory)
    #expect(used(disk) == 302)
    memory.erase(Self.directory + "/core")
    try disk.refresh()
    #expect(used(disk) == 2)
    let log = try disk.create(Self.directory + "/log-0000000001")
    try write(100, to: log)
    try disk.recount()
    #expect(used(disk) == 102)
  }

  @Test("what grows by itself may outgrow the budget: by how much is said, and nothing else is added")
  func overdrawn() throws {
    let budget = DiskBudget(bytes: 1_000_000)
    budget.begin(counted: 400_000, others: 600_000, available: 1 << 30, lastSnapshot: 0)
    #expect(budget.overdrawn == 0)
    budget.refresh(others: 700_000, available: 1 << 30)
    #expect(budget.overdrawn == 100_000 && budget.grow(by: 1, as: .log) != nil)
    let unbounded = DiskBudget(bytes: nil)
    unbounded.begin(counted: 1 << 40, others: 1 << 40, available: 0, lastSnapshot: 0)
    #expect(unbounded.overdrawn == 0)
  }

  @Test("a start with less than is there: as much again may be added, until it has come down")
  func inherited() throws {
    let budget = DiskBudget(bytes: 1_000_000)
    budget.begin(counted: 5_000_000, others: 0, available: 1 << 30, lastSnapshot: 0)
    #expect(budget.isInherited && budget.overdrawn == 4_000_000 && budget.roomForLog < 0)
    #expect(budget.grow(by: 980_000, as: .growingSnapshot) == nil)
    #expect(budget.grow(by: 10_000, as: .log) != nil)
    budget.snapshotIsWhole(bytes: 980_000, as: .growingSnapshot)
    budget.shrink(by: 4_900_000, as: .log)
    #expect(budget.isInherited)
    budget.shrink(by: 100_000, as: .log)
    // From here on as if it had never been.
    #expect(!budget.isInherited && budget.overdrawn == 0)
    #expect(budget.grow(by: 100_000, as: .log) != nil)
    budget.refresh(others: 600_000, available: 1 << 30)
    #expect(!budget.isInherited && budget.overdrawn == 580_000)
  }

  @Test("without a budget nothing is refused that the disk takes, and segments get nine tenths of it")
  func unbounded() throws {
    let (memory, disk) = try make(nil)
    memory.space = 100_000
    try disk.refresh()
    let log = try disk.create(Self.directory + "/log-0000000001")
    try write(95_000, to: log)
    #expect(disk.budget.roomForLog < 0)
    try write(5_000, at: 95_000, to: log)
    #expect(throws: DiskError.self) { try write(1, at: 100_000, to: log) }
  }

  @Test("as much as the last snapshot, and a quarter more, is kept from the log, until the next one is being written")
  func reserve() throws {
    let (_, disk) = try make(6_400_000)
    let all = 6_400_000 - 100_000
    #expect(disk.budget.roomForLog == all - 400_000)
    let path = Self.directory + "/" + SnapshotName(group: .first, index: LogIndex(5)).description
    let snapshot = try disk.create(path + ".new")
    try write(1_000_000, to: snapshot)
    // What is written is no longer to be kept free.
    #expect(disk.budget.roomForLog == all - 1_000_000)
    try disk.rename(path + ".new", to: path)
    #expect(disk.budget.roomForLog == all - 1_000_000 - 1_250_000)
    let next = Self.directory + "/" + SnapshotName(group: .first, index: LogIndex(9)).description
    let second = try disk.create(next + ".new")
    try write(500_000, to: second)
    #expect(disk.budget.roomForLog == all - 1_500_000 - 750_000)
    try disk.remove(next + ".new")
    #expect(disk.budget.roomForLog == all - 1_000_000 - 1_250_000)
    // A start knows as much.
    let again = try BudgetedDisk(disk, directory: Self.directory, budget: DiskBudget(bytes: 6_400_000))
    #expect(again.budget.roomForLog == disk.budget.roomForLog)
  }

  @Test("a snapshot that is larger than expected leaves what the log counts on, and is expected larger after that")
  func promised() throws {
    let (_, disk) = try make(6_400_000)
    let all = 6_400_000 - 100_000
    // The next segment has still to be given a megabyte; of what is left then the log counts on half.
    let left = all - 400_000 - 1_000_000
    #expect(disk.budget.promiseLog(besides: 1_000_000) == left / 2)
    let path = Self.directory + "/" + SnapshotName(group: .first, index: LogIndex(5)).description
    let snapshot = try disk.create(path + ".new")
    let most = all - 1_000_000 - left / 2
    try write(most, to: snapshot)
    #expect(throws: DiskError.self) { try write(1, at: most, to: snapshot) }
    let part = try disk.create(path + ".part")
    #expect(throws: DiskError.self) { try write(1, to: part) }
    // What was promised is there.
    let log = try disk.create(Self.directory + "/log-0000000002.new")
    try write(1_000_000 + left / 2, to: log)
    try disk.remove(path + ".new")
    #expect(disk.budget.roomForLog == all - used(disk) - most / 4 * 5)
    // Where nothing is left nothing is promised.
    #expect(disk.budget.promiseLog(besides: all) < 0)
  }

  @Test("a node's life with a budget: what is counted is what is there, and never more than the budget")
  func life() throws {
    let memory = MemoryDisk()
    let budget = DiskBudget(bytes: 200_000)
    var options = LogOptions(segmentBytes: 16_384)
    options.firstSegmentBytes = 16_384
    let disk = try BudgetedDisk(memory, directory: Self.directory, budget: budget)
    let directory = try NodeDirectory.open(
      disk: disk, path: Self.directory, cluster: Fixture.cluster, node: NodeID(1), members: Fixture.members,
      newDiskID: { [UInt8](repeating: 3, count: 16) }, options: options)
    let log = try DurableLog.open(directory, options: options).log
    func there() -> Int { memory.contents.values.reduce(0) { $0 + $1.count } }
    var (index, chain) = (LogIndex(1), Checksum.chainOrigin(cluster: Fixture.cluster, group: 1))
    do {
      while true {
        var block = EntryBlock(first: index, previousChain: chain)
        [UInt8](repeating: 7, count: 3_000).withUnsafeBytes {
          block.append(term: Term(1), kind: .command, timestamp: 1, payload: $0)
        }
        try log.append([LogWrite(group: .first, hardState: HardState(term: Term(1)), entries: block)])
        (index, chain) = (block.last.next, block.lastChain)
        #expect(there() <= 200_000 && there() == budget.space.used)
        try #require(index < LogIndex(1_000))
      }
    } catch StorageError.outOfSpace {}
    #expect(index > LogIndex(40))
  }
}
