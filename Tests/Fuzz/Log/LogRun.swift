import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire

/// What a log holds, as its reader sees it.
struct LogContents: Equatable {
  struct Group: Equatable {
    let group: GroupID
    let hardState: HardState
    let base: LogBase
    let last: EntryID
    let lastChain: UInt64
    /// Every entry behind the base, read back from the files.
    let entries: [UInt8]
  }
  let groups: [Group]
}

/// A directory of a node that came from anywhere: opens it, and looks that everyone agrees on what it is.
struct LogRun {
  static let path = "/node"
  static let members = [
    DiskIdentity.Member(node: NodeID(1), address: "a:1"), DiskIdentity.Member(node: NodeID(2), address: "b:2"),
  ]
  static var options: LogOptions {
    var options = LogOptions()
    (options.segmentBytes, options.firstSegmentBytes, options.indexSpacing) = (2048, 2048, 512)
    return options
  }

  /// The contents, or nil when the directory was refused. Either way nobody has changed what they only read.
  static func open(_ images: [String: [UInt8]]) -> LogContents? {
    let verified = verify(images)
    let disk = MemoryDisk(holding: images, in: path)
    let first = recover(disk)
    // Without an identity and without data a directory is new to a start, and nothing to a reader.
    demand(
      (first == nil) == (verified == nil) || images["identity"] == nil,
      "verify \(verified == nil ? "refuses" : "accepts") what a start does not: \(verified ?? [])")
    let after = disk.images(of: path)
    guard let first else {
      for (name, bytes) in images where name.hasPrefix("log-") && !name.hasSuffix(".new") {
        demand(after[name] == bytes, "\(name) was changed by a start that was refused")
      }
      return nil
    }
    demand(first.groups.map(\.last) == verified ?? [], "verify found another end of the log")
    // A second start finds the same and changes nothing.
    guard let second = recover(disk) else { violated("what was accepted once is refused the second time") }
    demand(second == first, "the second start finds something else")
    for (name, bytes) in disk.images(of: path) where name != "identity" {
      demand(after[name] == bytes, "\(name) was changed by the second start")
    }
    goOn(disk, first)
    return first
  }

  /// The last entry of each group, or nil.
  private static func verify(_ images: [String: [UInt8]]) -> [EntryID]? {
    let disk = MemoryDisk(holding: images, in: path)
    var last: [EntryID]?
    do throws(StorageError) {
      let inspector = try LogInspector(disk: disk, path: path)
      defer { inspector.close() }
      var entries = 0
      let summary = try inspector.walk { record in
        demand(record.length % 64 == 0 && record.offset % 64 == 0, "a record at \(record.offset)")
        for batch in record.batches { entries += batch.entries.count }
      }
      demand(entries == summary.report.entries, "entries were counted wrongly")
      last = summary.groups.map(\.last)
    } catch {
      demand(!error.description.isEmpty, "refused without a reason")
    }
    demand(disk.images(of: path) == images, "an inspector has changed a file")
    return last
  }

  private static func start(
    _ disk: MemoryDisk, _ body: (DurableLog, [RecoveredGroup]) throws(StorageError) -> Void
  ) throws(StorageError) {
    let directory = try NodeDirectory.open(
      disk: disk, path: path, cluster: nil, node: NodeID(1), members: members, newDiskID: { Samples.diskID },
      options: options)
    defer { directory.close() }
    let (log, groups, _) = try DurableLog.open(directory, options: options)
    try body(log, groups)
    try log.close()
  }

  private static func recover(_ disk: MemoryDisk) -> LogContents? {
    var contents: LogContents?
    do throws(StorageError) {
      try start(disk) { log, groups throws(StorageError) in
        var found: [LogContents.Group] = []
        for group in groups { found.append(try read(group, log)) }
        contents = LogContents(groups: found)
      }
    } catch {
      demand(contents == nil, "recovered, and then: \(error)")
      return nil
    }
    return contents
  }

  /// Reads all entries of a group back, a few at a time.
  private static func read(_ group: RecoveredGroup, _ log: DurableLog) throws(StorageError) -> LogContents.Group {
    var bytes: [UInt8] = []
    var next = group.base.id.index.next
    var chain = group.base.chain
    while next <= group.last.index {
      let blocks: [EntryBlock]
      do throws(StorageError) {
        blocks = try log.read(
          group: group.group, from: next, through: group.last.index, maximumBytes: 300,
          termAt: { log.term(of: group.group, at: $0) })
      } catch { violated("entry \(next) of a recovered log cannot be read: \(error)") }
      for block in blocks {
        demand(block.first == next && !block.isEmpty, "entry \(next) was asked for, \(block.first) came")
        demand(chain == block.previousChain, "the chain breaks at \(next)")
        chain = block.lastChain
        next = block.last.next
        bytes += block.bytes
      }
    }
    demand(chain == group.lastChain, "the last chain hash is another")
    demand(log.term(of: group.group, at: group.last.index) == group.last.term, "the last term is another")
    if let tail = group.tail.last { demand(tail.lastID == group.last, "the tail ends elsewhere") }
    return LogContents.Group(
      group: group.group, hardState: group.hardState, base: group.base, last: group.last, lastChain: group.lastChain,
      entries: bytes)
  }

  /// A log that was recovered takes more entries, and they are there at the next start.
  private static func goOn(_ disk: MemoryDisk, _ contents: LogContents) {
    guard let group = contents.groups.last, group.hardState.term.rawValue < .max - 1 else { return }
    var block = EntryBlock(first: group.last.index.next, previousChain: group.lastChain)
    let term = group.hardState.term.next
    for _ in 0..<2 { block.append(term: term, kind: .noOperation) }
    let write = LogWrite(group: group.group, hardState: HardState(term: term), entries: block)
    do throws(StorageError) {
      try start(disk) { log, _ throws(StorageError) in try log.append([write]) }
    } catch { violated("a recovered log takes nothing more: \(error)") }
    guard let later = recover(disk) else { violated("a log that was written to is refused") }
    demand(later.groups.count == contents.groups.count, "a group is missing")
    for (now, before) in zip(later.groups, contents.groups) {
      let added = before.group == group.group ? block.bytes : []
      demand(now.entries == before.entries + added, "group \(now.group) does not hold what was written")
    }
  }
}
