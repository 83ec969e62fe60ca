import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepWire

/// The same numbers in every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

func reading<Result>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(WireError) -> Result
) throws(WireError) -> Result {
  let outcome = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, WireError> in
    do throws(WireError) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try outcome.get()
}

func varint(_ value: UInt64) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 10)
  let count = bytes.withUnsafeMutableBytes { Varint.write(value, to: $0.baseAddress.unsafelyUnwrapped) }
  return Array(bytes[..<count])
}

func field(_ number: UInt64, _ value: UInt64) -> [UInt8] { varint(number << 3) + varint(value) }
func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] {
  varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
}
func fixed(_ number: UInt64, _ value: UInt64) -> [UInt8] {
  varint(number << 3 | 1) + withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// A second reader of protobuf, written for the tests from the encoding's description alone.
struct IndependentReader {
  enum Value: Equatable {
    case number(UInt64)
    case fixed(UInt64)
    case bytes([UInt8])
  }
  private(set) var fields: [(number: UInt64, value: Value)] = []

  init?(_ bytes: [UInt8]) {
    var rest = bytes[...]
    func number() -> UInt64? {
      var (value, shift) = (UInt64(0), UInt64(0))
      while let byte = rest.popFirst() {
        value |= UInt64(byte % 128) << shift
        if byte < 128 { return value }
        shift += 7
        if shift > 63 { return nil }
      }
      return nil
    }
    while !rest.isEmpty {
      guard let tag = number() else { return nil }
      switch tag % 8 {
      case 0:
        guard let value = number() else { return nil }
        fields.append((tag / 8, .number(value)))
      case 1:
        guard rest.count >= 8 else { return nil }
        fields.append((tag / 8, .fixed(rest.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) })))
        rest = rest.dropFirst(8)
      case 2:
        guard let count = number(), count <= UInt64(rest.count) else { return nil }
        fields.append((tag / 8, .bytes(Array(rest.prefix(Int(count))))))
        rest = rest.dropFirst(Int(count))
      default: return nil
      }
    }
  }

  func number(_ field: UInt64) -> UInt64 {
    for (number, value) in fields where number == field {
      if case .number(let value) = value { return value }
      if case .fixed(let value) = value { return value }
    }
    return 0
  }

  func bytes(_ field: UInt64) -> [UInt8] {
    for (number, value) in fields where number == field { if case .bytes(let bytes) = value { return bytes } }
    return []
  }

  func all(_ field: UInt64) -> [[UInt8]] {
    fields.compactMap { if $0.number == field, case .bytes(let bytes) = $0.value { bytes } else { nil } }
  }
}

/// One message of a kind, as bytes, and how it is read.
struct Sample: Sendable, CustomTestStringConvertible {
  let name: String
  let bytes: [UInt8]
  let read: @Sendable (Codec, UnsafeRawBufferPointer) throws(WireError) -> Void
  var testDescription: String { name }

  init(
    _ name: String, _ bytes: [UInt8],
    _ read: @escaping @Sendable (Codec, UnsafeRawBufferPointer) throws(WireError) -> Void
  ) {
    (self.name, self.bytes, self.read) = (name, bytes, read)
  }

  init(
    _ name: String, pack: (Codec) -> Void,
    _ read: @escaping @Sendable (Codec, UnsafeRawBufferPointer) throws(WireError) -> Void
  ) {
    let codec = Codec(maximumMessage: 0)
    pack(codec)
    self.init(name, codec.packed, read)
  }

  static let identity = PeerIdentity(
    cluster: Array(0..<16), node: NodeID(2), disk: Array(16..<32), incarnation: 3, fingerprint: "lockstep 0",
    start: .max, members: [1, 2, 300].map { NodeID($0) },
    standings: [
      Standing(group: .first, term: Term(4), last: EntryID(term: Term(3), index: LogIndex(500))),
      Standing(group: GroupID(.max), term: .zero, last: .zero),
    ], peaceMilliseconds: 280, leaseMilliseconds: 1 << 40)
  static let acknowledged = [2, 3].map {
    Acknowledged(
      node: NodeID($0), group: .first, term: Term(7), index: LogIndex(1 << 40),
      disk: [UInt8](repeating: UInt8($0 % 100), count: 16))
  }

  static func block(_ count: Int, first: UInt64 = 8, chain: UInt64 = 99) -> EntryBlock {
    var block = EntryBlock(first: LogIndex(first), previousChain: chain)
    for number in 0..<count {
      let payload = [UInt8](repeating: UInt8(number), count: 3 * number)
      Array("a/B".utf8).withUnsafeBytes { method in
        payload.withUnsafeBytes {
          block.append(
            term: Term(4 + UInt64(number / 2)), kind: .command, timestamp: 77, machineVersion: 1, session: 5,
            sequence: 6, method: method, payload: $0)
        }
      }
    }
    return block
  }

  static var append: [UInt8] {
    let codec = Codec(maximumMessage: 0)
    let block = block(3)
    let request = AppendRequest(
      term: Term(5), previous: EntryID(term: Term(4), index: LogIndex(7)), entries: block.slice, commit: LogIndex(6),
      readRound: 9)
    _ = codec.pack(.append(request), group: .first, previousChain: 99)
    return codec.packed + block.bytes
  }

  private static func core(_ name: String, _ kind: FrameKind, _ message: Message) -> Sample {
    Sample(name, pack: { _ = $0.pack(message, group: .first) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackMessage(kind, bytes)
    }
  }

  static var reply: CallReply {
    var reply = CallReply(id: 1)
    (reply.code, reply.message, reply.payload, reply.index, reply.term) = (14, "who leads? \u{1F937}", [1, 2, 3], 4, 5)
    (reply.node, reply.ack, reply.read, reply.applied, reply.leader) = (6, 2, 1, .no, 3)
    reply.evidence = CallReply.Evidence(term: 5, index: 4, holders: [1, 2, .max])
    return reply
  }

  static var status: NodeReport {
    var status = NodeReport()
    (status.id, status.node, status.cluster, status.incarnation, status.version) = (1, 2, [1, 2], 3, "0.1")
    (status.uptimeMilliseconds, status.connections, status.residentBytes) = (5, 6, 7)
    var group = GroupReport()
    (group.group, group.role, group.term, group.leader, group.lastIndex, group.durableIndex) = (1, .leader, 2, 3, 9, 8)
    (group.commitIndex, group.appliedIndex, group.lastTimestamp, group.durableTimestamp) = (7, 6, 5, 4)
    (group.appliedTimestamp, group.digest, group.voters) = (3, .max, [1, 2, 300])
    group.peers = [PeerReport(node: 2, matchIndex: 5, state: .replicating, isConnected: true)]
    var install = InstallReport(source: 2)
    (install.index, install.bytes, install.totalBytes, install.bytesPerSecond) = (9, 8, .max, 7)
    install.waitsFor = "the disk \u{1F4BE}"
    (group.install, group.snapshotUnderWay) = (install, 6)
    group.snapshot = SnapshotReport(index: 5, term: 4, bytes: 3)
    status.groups = [group, GroupReport()]
    status.stages = [
      StageFigures(name: "sync", count: 3, totalNanoseconds: .max, maximumNanoseconds: 300),
      StageFigures(name: "", peer: 2, count: 0, totalNanoseconds: 0, maximumNanoseconds: 0),
    ]
    status.counters = [CounterFigure(name: "turns", value: .max), CounterFigure(name: "", value: 0)]
    var disk = DiskSpaceReport(used: 1, limit: .max, available: 2)
    disk.missing = 3
    status.disk = disk
    status.refused = [RefusalReport(node: 2, reason: "for its disk")]
    status.refusedBy = [RefusalReport(node: .max, reason: ""), RefusalReport(node: 1, reason: "\u{1F4BE}")]
    return status
  }

  static let segment = SegmentHeader(
    cluster: Array(0..<16), node: NodeID(1), disk: Array(0..<16), segment: 3, sequence: 4,
    groups: [
      GroupState(
        group: .first, hardState: HardState(term: Term(2), vote: NodeID(3), commit: LogIndex(4)),
        last: EntryID(term: Term(2), index: LogIndex(5)), lastChain: .max)
    ])

  static let disk = DiskIdentity(
    cluster: Array(0..<16), node: NodeID(1), disk: Array(1..<17), incarnation: 9,
    initialMembers: [DiskIdentity.Member(node: NodeID(1), address: "127.0.0.1:7501")],
    peers: [
      DiskIdentity.Peer(
        node: NodeID(2), disk: Array(2..<18), incarnation: 8, start: 77, formerDisks: [Array(3..<19), []])
    ],
    start: .max, isDiskReplaced: true)

  static var batch: [UInt8] {
    let header = LogBatchHeader(
      group: .first, hardState: HardState(term: Term(5), vote: NodeID(1), commit: LogIndex(6)), first: LogIndex(8),
      previousChain: 99)
    var bytes = [UInt8](repeating: 0, count: header.packedSize)
    _ = bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress.unsafelyUnwrapped) }
    return bytes + block(3).bytes
  }

  static let all: [Sample] = [
    Sample("append", append) { codec, bytes throws(WireError) in _ = try codec.unpackMessage(.append, bytes) },
    core(
      "append reply", .appendReply,
      .appendReply(AppendReply(term: Term(1), verdict: .accepted(match: LogIndex(2)), readRound: 3))),
    core(
      "append rejection", .appendReply,
      .appendReply(
        AppendReply(
          term: Term(1), verdict: .rejected(previous: LogIndex(9), hint: EntryID(term: Term(1), index: LogIndex(4))),
          readRound: 3))),
    core(
      "vote", .vote,
      .vote(
        VoteRequest(
          term: Term(300), last: EntryID(term: Term(2), index: LogIndex(3)), isPreVote: true, isTransfer: true))),
    core("vote reply", .voteReply, .voteReply(VoteReply(term: Term(300), isGranted: true, isPreVote: true))),
    core("timeout now", .timeoutNow, .timeoutNow(term: Term(300))),
    core("read index", .readIndex, .readIndex(ReadIndexRequest(term: Term(300), id: ReadID(4)))),
    core(
      "read index reply", .readIndexReply,
      .readIndexReply(ReadIndexReply(term: Term(3), id: ReadID(4), index: LogIndex(500)))),
    Sample("peer hello", pack: { $0.pack(PeerHello(versions: 1...3, identity: identity, target: NodeID(1))) }) {
      codec, bytes throws(WireError) in _ = try codec.unpackHello(bytes)
    },
    Sample("peer welcome", pack: { $0.pack(welcome: identity, version: 1) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackWelcome(bytes)
    },
    Sample("peer confirm", pack: { $0.pack(confirm: .max) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackConfirm(bytes)
    },
    Sample("acknowledged", Acknowledged.encoded(acknowledged)) { _, bytes throws(WireError) in
      _ = try Acknowledged.decoded(bytes)
    },
    Sample("refusal", pack: { $0.pack(refusal: "because") }) { codec, bytes throws(WireError) in
      _ = try codec.unpackRefusal(bytes)
    },
    Sample("forward", Array(forward(300, [1, 2, 3]))) { codec, bytes throws(WireError) in
      _ = try codec.unpackForward(bytes)
    },
    Sample("forward reply", Array(forwardReply(300, [0x28, 5, 0x30, 1]))) { codec, bytes throws(WireError) in
      _ = try codec.unpackForwardReply(bytes)
    },
    Sample("client hello", pack: { $0.pack(clientHello: 1...2) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackClientHello(bytes)
    },
    Sample(
      "client welcome",
      pack: { $0.pack(ClientWelcome(version: 1, cluster: [1, 2], node: 3, leader: 4, maximumRequestBytes: 5)) }
    ) { codec, bytes throws(WireError) in _ = try codec.unpackClientWelcome(bytes) },
    Sample("call", call) { codec, bytes throws(WireError) in try codec.unpackCall(bytes) { _, _, _ in } },
    Sample("call reply", pack: { $0.pack(reply) }) { codec, bytes throws(WireError) in _ = try codec.unpackReply(bytes)
    },
    Sample("batch", batchRequest) { codec, bytes throws(WireError) in
      try codec.unpackBatch(bytes) { _, _, _ in }
    },
    Sample("batch reply", pack: { $0.pack(batchReply) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackBatchReply(bytes)
    },
    Sample("describe", pack: { $0.pack(describe: 300) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackDescribe(bytes)
    },
    Sample("describe reply", pack: { $0.pack(describeReply: 3, services: [("a.B", [1, 2]), ("", [])]) }) {
      codec, bytes throws(WireError) in _ = try codec.unpackDescribeReply(bytes)
    },
    Sample("status request", pack: { $0.pack(statusRequest: 300) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackStatusRequest(bytes)
    },
    Sample("status reply", pack: { $0.pack(status) }) { codec, bytes throws(WireError) in
      _ = try codec.unpackStatus(bytes)
    },
    Sample(
      "members",
      pack: { $0.pack(Members(voters: [NodeID(1), NodeID(300)], outgoingVoters: [NodeID(2)], learners: [NodeID(4)])) }
    ) { codec, bytes throws(WireError) in _ = try codec.unpackMembers(bytes) },
    Sample("segment header", segment.encoded()) { _, bytes throws(WireError) in _ = try SegmentHeader(decoding: bytes)
    },
    Sample("identity", disk.encoded()) { _, bytes throws(WireError) in _ = try DiskIdentity(decoding: bytes) },
    Sample("log batch", batch) { _, bytes throws(WireError) in
      let (header, entries) = try LogBatchHeader.parse(bytes)
      _ = try EntryBlock(
        slicing: UnsafeRawBufferPointer(rebasing: bytes[entries]), first: header.first, previousTerm: .zero,
        previousChain: header.previousChain)
    },
  ]

  static var batchRequest: [UInt8] {
    let codec = Codec(maximumMessage: 0)
    let header = BatchHeader(id: 1, group: 2, timeoutMilliseconds: 3, ack: 2)
    Array("a.B/C".utf8).withUnsafeBytes { codec.pack(header, method: $0, payloads: [[9, 8, 7], [], [1]]) }
    return codec.packed
  }

  static var batchReply: BatchReply {
    var reply = BatchReply(id: 1)
    (reply.node, reply.leader, reply.ack) = (2, 3, 2)
    reply.evidence = CallReply.Evidence(term: 5, index: 11, holders: [1, 2, .max])
    for place in 0..<4 as Range<UInt64> {
      var result = BatchResult()
      (result.payload, result.index, result.term, result.applied) = ([UInt8(place)], 8 + place, 5, .yes)
      reply.results.append(result)
    }
    (reply.results[1].code, reply.results[1].message, reply.results[1].payload) = (10, "who? \u{1F937}", [])
    return reply
  }

  static var call: [UInt8] {
    let header = CallHeader(
      id: 1, group: 2, timeoutMilliseconds: 3, ack: 2, read: 5, readIndex: .max, readBoundMilliseconds: 7, session: 8,
      sequence: 9)
    let codec = Codec(maximumMessage: 0)
    Array("a.B/C".utf8).withUnsafeBytes { method in
      [UInt8]([9, 8, 7]).withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
    }
    return codec.packed
  }
}

/// A frame's payload that passes this call on.
func forward(_ id: UInt64, _ call: [UInt8], isBatch: Bool = false, timeoutMilliseconds: UInt64 = 0) -> [UInt8] {
  call.withUnsafeBytes { call in
    let request = Request(
      group: .first, method: call, payloads: isBatch ? .batch(in: call, []) : .one(call), options: RequestOptions(),
      encoded: call)
    return Codec(maximumMessage: 0).pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) {
      [UInt8]($0) + [UInt8]($1)
    }
  }
}

/// And one that answers it.
func forwardReply(_ id: UInt64, _ reply: [UInt8], isBatch: Bool = false) -> [UInt8] {
  reply.withUnsafeBytes { reply in
    Codec.withHead(replyTo: id, reply, isBatch: isBatch) { [UInt8]($0) + [UInt8](reply) }
  }
}
