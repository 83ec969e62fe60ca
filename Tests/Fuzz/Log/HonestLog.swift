import DiskTesting
import LockstepConsensus
import LockstepStorage
import LockstepWire

/// A directory as an honest node leaves it.
struct HonestLog {
  let images: [String: [UInt8]]
  let contents: LogContents
  /// The last segment, and where in it the seal stands that says that all before it was synced.
  let seal: (name: String, place: Range<Int>)?

  /// Several kinds: new; one segment; several segments and groups, with entries replaced; not closed; with bases, and
  /// without the oldest segment.
  static let all = [
    make(batches: 0), make(batches: 3), make(batches: 24), make(batches: 24, isClosed: false),
    make(batches: 24, behindBases: 6), make(batches: 24, behindBases: 6, isClosed: false),
  ]

  private static func make(batches: Int, behindBases later: Int = 0, isClosed: Bool = true) -> HonestLog {
    let disk = MemoryDisk(knowsPowerCuts: false)
    do throws(StorageError) {
      let directory = try NodeDirectory.open(
        disk: disk, path: LogRun.path, cluster: Samples.cluster, node: NodeID(1), members: LogRun.members,
        newDiskID: { Samples.diskID }, options: LogRun.options)
      let (log, _, _) = try DurableLog.open(directory, options: LogRun.options)
      var writer = Writer()
      for number in 0..<batches { try log.append(writer.batch(number)) }
      if later > 0 { try log.append(writer.bases(term: Term(UInt64(1 + batches / 6)))) }
      for number in batches..<batches + later { try log.append(writer.batch(number)) }
      _ = try log.prepareNextSegment()
      if isClosed { try log.close() }
      directory.close()
    } catch { violated("an honest log: \(error)") }
    var images = disk.images(of: LogRun.path)
    images["lock"] = []
    if later > 0 { images["log-0000000001"] = nil }
    guard let contents = LogRun.open(images) else { violated("an honest log is refused") }
    return HonestLog(images: images, contents: contents, seal: isClosed ? seal(of: images) : nil)
  }

  private static func seal(of images: [String: [UInt8]]) -> (String, Range<Int>)? {
    for name in images.keys.sorted().reversed() {
      guard name.hasPrefix("log-"), let bytes = images[name] else { continue }
      for place in stride(from: 0, to: bytes.count, by: 64) where Array(bytes[place..<place + 5]) == sealBeginning {
        return (name, place..<place + 64)
      }
    }
    return nil
  }

  private static let sealBeginning = Array("LKR1".utf8) + [0xA5]

  /// Writes of two groups, now and then replacing entries that were there.
  private struct Writer {
    private var blocks: [EntryBlock] = [1, 2].map {
      EntryBlock(first: LogIndex(1), previousChain: Checksum.chainOrigin(cluster: Samples.cluster, group: $0))
    }

    mutating func batch(_ number: Int) -> [LogWrite] {
      let place = number % 3 == 2 ? 1 : 0
      let term = Term(UInt64(1 + number / 6))
      var all = blocks[place]
      // Only another term's entry ever takes the place of one.
      if number > 0, number % 6 == 0 { all = all.prefix(before: all.last) }
      let first = all.last.next
      for count in 0...number % 3 {
        [UInt8](repeating: UInt8(number), count: 8 * count + 4).withUnsafeBytes { payload in
          let kind: EntryKind = number == 4 ? .configuration : .command
          all.append(term: term, kind: kind, timestamp: UInt64(number), payload: payload)
        }
      }
      blocks[place] = all
      let state = HardState(
        term: term, vote: term.rawValue % 2 == 0 ? nil : NodeID(1), commit: LogIndex(UInt64(number / 4)))
      let vote = HardState(term: Term(UInt64(1 + number)), vote: NodeID(2))
      let write = LogWrite(group: GroupID(UInt64(place + 1)), hardState: state, entries: all.suffix(from: first))
      return number % 5 == 4 ? [write, LogWrite(group: GroupID(3), hardState: vote)] : [write]
    }

    /// Each log begins behind its entry before the last; the last may still be replaced.
    func bases(term: Term) -> [LogWrite] {
      zip([1, 2] as [UInt64], blocks).compactMap { group, all in
        let gone = all.prefix(before: all.last)
        guard let id = gone.lastID else { return nil }
        let base = LogBase(id: id, chain: gone.lastChain, members: [8, 1])
        return LogWrite(
          group: GroupID(group), hardState: HardState(term: term, commit: base.id.index), base: base)
      }
    }
  }
}
