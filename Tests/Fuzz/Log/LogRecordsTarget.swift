import LockstepConsensus
import LockstepStorage
import LockstepWire

extension FuzzTarget {
  /// An input is a list of records: for each flags, a length and a body. They are laid out one after the other as a
  /// disk would have them, each with the right checksums: whole, and whatever they say.
  static var logRecords: FuzzTarget {
    FuzzTarget(
      "log-records", about: "logs of records that are whole and say anything: refused, or read back as a list says",
      maximumLength: 4096, allowance: { 8 << 20 + 64 * $0 }, seeds: seeds,
      run: { bytes in
        var input = FuzzInput(bytes)
        var script = LogScript()
        while !input.isEmpty { script.add(&input) }
        let contents = LogRun.open(script.images)
        if let contents { script.compare(contents) }
        return contents != nil
      })
  }

  private static func seeds() -> [[UInt8]] {
    func part(_ group: UInt64, term: UInt64, vote: UInt64? = nil, first: UInt64 = 0, _ terms: [UInt64] = []) -> [UInt8]
    {
      let state = HardState(term: Term(term), vote: vote.map { NodeID($0) }, commit: LogIndex(first / 2))
      var block = EntryBlock(first: LogIndex(first), previousChain: 0)
      for term in terms { block.append(term: Term(term), kind: .command, timestamp: 5) }
      let header = LogBatchHeader(group: GroupID(group), hardState: state, first: LogIndex(first), previousChain: 1)
      let bytes = Samples.packed(header) + block.bytes
      return Protobuf.varint(UInt64(bytes.count)) + bytes
    }
    func record(_ flags: UInt8, _ body: [UInt8]) -> [UInt8] {
      [flags, UInt8(body.count & 0xFF), UInt8(body.count >> 8)] + body
    }
    let one = record(0, part(1, term: 1, vote: 1, first: 1, [1]))
    let two = record(0, part(1, term: 2, first: 2, [2, 2]) + part(7, term: 9, vote: 2))
    let replaced = record(0, part(1, term: 3, first: 2, [3]))
    let gap = record(0, part(1, term: 3, first: 9, [3]))
    return [
      one, one + two, one + two + replaced, one + gap, one + record(1, []), one + record(2, []) + two,
      one + record(2, []) + record(2, []), one + two + record(4, part(1, term: 4)), one + record(8, part(1, term: 4)),
      record(16, [1, 2, 3]) + one,
    ]
  }
}

/// Builds the files of a log, and beside them what the log says.
struct LogScript {
  private struct Flags: OptionSet {
    let rawValue: UInt8
    static let isSeal = Flags(rawValue: 1)
    /// The segment ends, and another begins.
    static let ends = Flags(rawValue: 2)
    static let isOutOfSequence = Flags(rawValue: 4)
    static let isLinkedWrongly = Flags(rawValue: 8)
    /// The body stays as it is: no chain is put right.
    static let isRaw = Flags(rawValue: 16)
    static let isMisplaced = Flags(rawValue: 32)
    static let isSecondHeader = Flags(rawValue: 64)
  }

  private struct Group {
    var entries: [(header: EntryHeader, bytes: [UInt8])] = []
    /// What every entry was that the log ever had, by its term and index.
    var chains: [EntryID: UInt64] = [:]
    var state = GroupState(group: .first, hardState: HardState(), last: .zero, lastChain: 0)
  }

  private static let segmentBytes = 16384
  private var segments: [[UInt8]] = []
  private var groups: [UInt64: Group] = [:]
  private var sequence: UInt64 = 1
  private var link: UInt64 = 0

  init() { begin() }

  private var salt: UInt64 { Checksum.of(Samples.diskID, seed: UInt64(segments.count)) }

  private mutating func begin() {
    let number = UInt64(segments.count + 1)
    segments.append([])
    let states = groups.keys.sorted().compactMap { groups[$0]?.state }
    let header = SegmentHeader(
      cluster: Samples.cluster, node: NodeID(1), disk: Samples.diskID, segment: number, sequence: sequence + 1,
      groups: states)
    append(kind: RecordKind.segment.rawValue, body: header.encoded(), extent: Self.segmentBytes)
  }

  private mutating func append(kind: UInt8, body: [UInt8], extent: Int = 0, _ flags: Flags = []) {
    let place = UInt64(segments[segments.count - 1].count)
    let header = RecordForge.Header(
      kind: kind, sequence: flags.contains(.isOutOfSequence) ? sequence + 3 : sequence,
      offset: flags.contains(.isMisplaced) ? place + 64 : place, link: flags.contains(.isLinkedWrongly) ? 5 : link,
      extent: UInt64(extent))
    let record = RecordForge.record(header, body: body, salt: salt)
    segments[segments.count - 1] += record
    sequence += 1
    link = RecordForge.checksum(record)
  }

  mutating func add(_ input: inout FuzzInput) {
    let flags = Flags(rawValue: input.byte())
    let body = [UInt8](input.take(Int(input.number(UInt16.self))))
    let room = Self.segmentBytes - segments[segments.count - 1].count
    guard room > 2 * body.count + 1024 else { return }
    if flags.contains(.ends) {
      append(kind: RecordKind.end.rawValue, body: [], flags)
      if segments.count < 5 { begin() }
    } else if flags.contains(.isSeal) {
      sequence -= 1
      append(kind: RecordKind.seal.rawValue, body: [], flags)
    } else if flags.contains(.isSecondHeader) {
      append(kind: RecordKind.segment.rawValue, body: body, flags)
    } else {
      let before = groups
      let body = taken(body, flags)
      if let body { append(kind: RecordKind.batch.rawValue, body: body, flags) }
      // Without a header in its place it is a torn write, or refused.
      if body == nil || flags.contains(.isMisplaced) { groups = before }
    }
  }

  /// Takes a batch into the list, with its chains put right. Nil for one that replaces an entry by another of the same
  /// term: the log reads by term and index, and the protocol makes them name one entry (Raft paper, section 5.3).
  private mutating func taken(_ body: [UInt8], _ flags: Flags) -> [UInt8]? {
    var result: [UInt8] = []
    var isRefused = false
    do throws(WireError) {
      try reading(body) { (body) throws(WireError) in
        var cursor = WireCursor(body)
        while !cursor.isAtEnd {
          let part = UnsafeRawBufferPointer(rebasing: body[try cursor.delimited()])
          let (header, entries) = try LogBatchHeader.parse(part)
          guard let bytes = take(header, [UInt8](part[entries]), isRaw: flags.contains(.isRaw)) else {
            isRefused = true
            return
          }
          result += Protobuf.varint(UInt64(bytes.count)) + bytes
        }
      }
    } catch { return body }
    if isRefused { return nil }
    return flags.contains(.isRaw) ? body : result
  }

  private mutating func take(_ header: LogBatchHeader, _ region: [UInt8], isRaw: Bool) -> [UInt8]? {
    var header = header
    let number = header.group.rawValue
    var group = groups[number] ?? Group()
    let kept = Int(clamping: header.first.previous.rawValue)
    if !isRaw, !region.isEmpty, kept <= group.entries.count {
      let origin = Checksum.chainOrigin(cluster: Samples.cluster, group: number)
      header.previousChain = kept == 0 ? origin : group.entries[kept - 1].header.chain
    }
    let entries = isRaw ? region : Chain.repaired(entries: region, after: header.previousChain)
    let split = Chain.split(entries)
    for (header, _) in split {
      let known = group.chains.updateValue(header.chain, forKey: header.id)
      guard known ?? header.chain == header.chain else { return nil }
    }
    if !split.isEmpty { group.entries = Array(group.entries.prefix(kept)) + split }
    group.state.group = header.group
    group.state.hardState = header.hardState
    if let last = split.last?.header {
      (group.state.last, group.state.lastChain) = (last.id, last.chain)
    } else if groups[number] == nil {
      group.state.lastChain = Checksum.chainOrigin(cluster: Samples.cluster, group: number)
    }
    groups[number] = group
    return Samples.packed(header) + entries
  }

  var images: [String: [UInt8]] {
    var images: [String: [UInt8]] = ["lock": [], "identity": Self.identity]
    for (place, bytes) in segments.enumerated() {
      let padding = [UInt8](repeating: 0, count: Self.segmentBytes - bytes.count)
      images["log-000000000\(place + 1)"] = bytes + padding
    }
    return images
  }

  private static let identity: [UInt8] = {
    let identity = DiskIdentity(
      cluster: Samples.cluster, node: NodeID(1), disk: Samples.diskID, incarnation: 1, initialMembers: LogRun.members,
      peers: [])
    let body = identity.encoded()
    let extent = 64 + (body.count + 63) & ~63
    let header = RecordForge.Header(
      kind: RecordKind.identity.rawValue, sequence: 1, offset: 0, link: 0, extent: UInt64(extent))
    return RecordForge.record(header, body: body, salt: Checksum.of(Array("lockstep identity".utf8)))
  }()

  /// What was accepted is what the list has.
  func compare(_ contents: LogContents) {
    let known = groups.keys.sorted().compactMap { groups[$0] }
    demand(contents.groups.map(\.group) == known.map(\.state.group), "other groups than were written")
    for (found, expected) in zip(contents.groups, known) {
      demand(found.hardState == expected.state.hardState, "another term or vote than the last that was written")
      demand(found.entries == expected.entries.flatMap(\.bytes), "other entries of \(found.group) than were written")
    }
  }
}
