import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire
import Testing

/// What a group must be found to have: everything an entry is goes into its chain hash.
struct GroupImage: Equatable {
  var hardState = HardState()
  var ids: [EntryID] = []
  var chains: [UInt64] = []

  /// The log begins behind this entry; the lists above go on having what came before.
  var base = 0

  var last: EntryID { ids.last ?? .zero }

  /// As a log that begins at the base has it.
  var behindBase: GroupImage {
    GroupImage(hardState: hardState, ids: Array(ids.dropFirst(base)), chains: Array(chains.dropFirst(base)), base: base)
  }
}

typealias Image = [UInt64: GroupImage]

/// A node's log on a memory disk, with a model beside it.
final class Fixture {
  static let path = "/node"
  static let cluster = [UInt8](repeating: 7, count: 16)
  static let members = [
    DiskIdentity.Member(node: NodeID(1), address: "a:1"), DiskIdentity.Member(node: NodeID(2), address: "b:2"),
  ]
  static let segment1 = "/node/log-0000000001"
  static let segment2 = "/node/log-0000000002"

  let disk: MemoryDisk
  var options = LogOptions()
  var directory: NodeDirectory?
  var log: DurableLog?
  var report = RecoveryReport()
  var recovered: [RecoveredGroup] = []
  /// The model after each append that was begun; the first is before any.
  var images: [Image] = [[:]]
  /// How many appends have returned.
  var acknowledged = 0

  init(_ disk: MemoryDisk = MemoryDisk(), segment: Int = 8192, first: Int = 8192) {
    self.disk = disk
    options.segmentBytes = segment
    options.firstSegmentBytes = first
    options.indexSpacing = 512
  }

  /// The same node on a copy of its disk, stopped.
  func onCopy(asSnapshot: Bool = true) -> Fixture {
    let other = Fixture(disk.copy(asSnapshot: asSnapshot))
    other.options = options
    other.images = images
    other.acknowledged = acknowledged
    return other
  }

  func open(isMoved: Bool = false) throws {
    let directory = try NodeDirectory.open(
      disk: disk, path: Self.path, cluster: Self.cluster, node: NodeID(1), members: Self.members,
      newDiskID: { [UInt8](repeating: 9, count: 16) }, isMoved: isMoved, options: options)
    self.directory = directory
    do {
      (log, recovered, report) = try DurableLog.open(directory, options: options)
    } catch {
      directory.close()
      throw error
    }
  }

  func close() throws {
    defer { directory?.close() }
    try log?.close()
  }

  var model: Image { images[images.count - 1] }

  func entries(_ group: UInt64, from: Int, terms: [Int], size: Int = 40) -> EntryBlock {
    let known = model[group] ?? GroupImage()
    let chain = from == 1 ? Checksum.chainOrigin(cluster: Self.cluster, group: group) : known.chains[from - 2]
    var block = EntryBlock(first: LogIndex(UInt64(from)), previousChain: chain)
    for (place, term) in terms.enumerated() {
      let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ place &+ images.count) }
      payload.withUnsafeBytes { block.append(term: Term(UInt64(term)), kind: .command, payload: $0) }
    }
    return block
  }

  static func write(_ group: UInt64, term: Int, vote: UInt64? = nil, _ block: EntryBlock? = nil) -> LogWrite {
    LogWrite(
      group: GroupID(group), hardState: HardState(term: Term(UInt64(term)), vote: vote.map { NodeID($0) }),
      entries: block)
  }

  /// Writes a base of a group at this index, as if a snapshot stood for all up to there.
  func appendBase(of group: UInt64 = 1, _ index: Int) throws {
    let image = try #require(model[group])
    let state = HardState(
      term: image.hardState.term, vote: image.hardState.vote, commit: LogIndex(UInt64(index)))
    try append([LogWrite(group: GroupID(group), hardState: state, base: base(image, index))])
  }

  func base(_ image: GroupImage, _ index: Int) -> LogBase {
    LogBase(id: image.ids[index - 1], chain: image.chains[index - 1], members: [8, 1])
  }

  func append(_ writes: [LogWrite]) throws {
    var next = model
    for write in writes {
      var image = next[write.group.rawValue] ?? GroupImage()
      image.hardState = write.hardState
      if let base = write.base { image.base = Int(base.id.index.rawValue) }
      for block in write.blocks {
        let kept = Int(block.first.rawValue) - 1
        image.ids = Array(image.ids.prefix(kept))
        image.chains = Array(image.chains.prefix(kept))
        for (place, term) in block.terms.enumerated() {
          let index = block.first.advanced(by: place)
          image.ids.append(EntryID(term: term, index: index))
          image.chains.append(block.chain(at: index))
        }
      }
      next[write.group.rawValue] = image
    }
    images.append(next)
    try #require(log).append(writes)
    acknowledged = images.count - 1
  }

  /// Appends `count` entries of this term to group 1.
  func append(_ count: Int, term: Int = 1, size: Int = 40) throws {
    let next = (model[1]?.ids.count ?? 0) + 1
    let block = entries(1, from: next, terms: Array(repeating: term, count: count), size: size)
    let known = model[1]?.hardState
    let vote = known?.term == Term(UInt64(term)) ? known?.vote?.rawValue : nil
    try append([Self.write(1, term: term, vote: vote, block)])
  }

  /// What the log says that it holds, every entry read from the disk.
  func found() throws -> Image {
    let log = try #require(log)
    var image: Image = [:]
    for group in recovered {
      var one = GroupImage(hardState: group.hardState, base: Int(group.base.id.index.rawValue))
      var next = group.base.id.index.next
      while next <= group.last.index {
        let blocks = try log.read(
          group: group.group, from: next, through: group.last.index, maximumBytes: 700,
          termAt: { log.term(of: group.group, at: $0) })
        for block in blocks {
          #expect(block.first == next)
          for (place, term) in block.terms.enumerated() {
            let index = block.first.advanced(by: place)
            one.ids.append(EntryID(term: term, index: index))
            one.chains.append(block.chain(at: index))
          }
          next = block.last.next
        }
      }
      #expect(one.ids.isEmpty ? group.base.id == group.last : one.last == group.last)
      #expect(one.ids.isEmpty || one.chains.last == group.lastChain)
      if let end = group.tail.last { #expect(end.last == group.last.index) }
      image[group.group.rawValue] = one
    }
    return image
  }

  /// Opens, and says which of the model's states was found: after so many appends. Nil when it is none of them.
  func recover() throws -> Int? {
    try open()
    let image = try found()
    return images.lastIndex { $0.mapValues(\.behindBase) == image }
  }

  var logFiles: [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for path in disk.paths where path.contains("/log-") { files[path] = disk[path] }
    return files
  }
}

/// The file that an error blames.
func blamed(_ error: any Error) -> String? {
  guard let error = error as? StorageError else { return nil }
  switch error {
  case .damaged(let file, _, _): return file
  case .lost(let path, _), .refused(let path, _): return path
  case .disk, .outOfSpace, .locked, .invalidWrite, .stopped: return nil
  }
}

/// For the else of `guard case`: not the error that was asked for.
func unexpected(_ error: (any Error)?) {
  Issue.record("not the expected error: \(String(describing: error))")
}
