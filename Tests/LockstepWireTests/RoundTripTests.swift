import LockstepConsensus
import LockstepRequests
import Testing

@testable import LockstepWire

@Suite("Round trips")
struct RoundTripTests {
  private let codec = Codec(maximumMessage: 1 << 20)
  private static let numbers: [UInt64] = [0, 1, 127, 128, 1 << 32, .max - 1, .max]

  @Test("core: every message with every edge of its numbers comes back as it was")
  func core() throws {
    for number in Self.numbers {
      let id = EntryID(term: Term(number), index: LogIndex(number))
      // Behind the last index of all there is no place, and an append is about the place behind its previous entry.
      let previous = EntryID(term: id.term, index: min(id.index, LogIndex(.max - 1)))
      var replaying = AppendReply(term: Term(number), verdict: .accepted(match: LogIndex(number)), readRound: number)
      replaying.isReplaying = true
      var full = replaying
      full.room = .none(missing: number)
      let messages: [Message] = [
        .append(
          AppendRequest(
            term: Term(number), previous: previous,
            entries: LogSlice(first: previous.index.next, last: previous.index),
            commit: LogIndex(number), readRound: number)),
        .appendReply(AppendReply(term: Term(number), verdict: .accepted(match: LogIndex(number)), readRound: number)),
        .appendReply(
          AppendReply(term: Term(number), verdict: .rejected(previous: LogIndex(number), hint: id), readRound: number)),
        .appendReply(replaying), .appendReply(full),
        .vote(VoteRequest(term: Term(number), last: id, isPreVote: true, isTransfer: false)),
        .vote(VoteRequest(term: Term(number), last: id, isPreVote: false, isTransfer: true)),
        .voteReply(VoteReply(term: Term(number), isGranted: true, isPreVote: false)),
        .voteReply(VoteReply(term: Term(number), isGranted: false, isPreVote: true)),
        .timeoutNow(term: Term(number)),
        .readIndex(ReadIndexRequest(term: Term(number), id: ReadID(number))),
        .readIndexReply(ReadIndexReply(term: Term(number), id: ReadID(number), index: LogIndex(number))),
        .readIndexReply(ReadIndexReply(term: Term(number), id: ReadID(number), index: nil)),
      ]
      for message in messages {
        let kind = codec.pack(message, group: GroupID(number), previousChain: number)
        let received = try #require(
          try reading(codec.packed) { (bytes) throws(WireError) in try codec.unpackMessage(kind, bytes) })
        #expect(received.message == message && received.group == GroupID(number) && received.entries == nil)
        if case .append = message { #expect(received.previousChain == number) }
      }
    }
  }

  @Test("core: an append with entries comes back with them, their bytes unchanged")
  func append() throws {
    let received = try #require(
      try reading(Sample.append) { (bytes) throws(WireError) in try codec.unpackMessage(.append, bytes) })
    #expect(received.entries?.bytes == Sample.block(3).bytes)
    guard case .append(let request) = received.message else {
      Issue.record("another message")
      return
    }
    #expect(request.entries == LogSlice(first: LogIndex(8), last: LogIndex(10)) && request.readRound == 9)
  }

  @Test("core: frames of other ports' kinds are no message of the core")
  func otherKinds() throws {
    let core: [FrameKind] = [.append, .appendReply, .vote, .voteReply, .timeoutNow, .readIndex, .readIndexReply]
    for kind in FrameKind.allCases where !core.contains(kind) {
      #expect(try reading([]) { (bytes) throws(WireError) in try codec.unpackMessage(kind, bytes) } == nil)
    }
  }

  @Test("peers: hello, welcome, refusal, forward and its reply come back as they were")
  func peers() throws {
    let hello = PeerHello(versions: 0...UInt32.max, identity: Sample.identity, target: NodeID(.max))
    codec.pack(hello)
    #expect(try reading(codec.packed, codec.unpackHello) == hello)
    codec.pack(welcome: Sample.identity, version: .max)
    let welcome = try reading(codec.packed, codec.unpackWelcome)
    #expect(welcome.identity == Sample.identity && welcome.version == .max)
    codec.pack(confirm: .max)
    #expect(try reading(codec.packed, codec.unpackConfirm) == .max)
    codec.pack(refusal: "no \u{1F937}")
    #expect(try reading(codec.packed, codec.unpackRefusal) == "no \u{1F937}")
    for (bytes, isBatch) in [([], true), ([0], false), ([UInt8](repeating: 7, count: 10_000), true)]
      as [([UInt8], Bool)]
    {
      try reading(forward(.max, bytes, isBatch: isBatch, timeoutMilliseconds: 77)) { (bytes2) throws(WireError) in
        let forward = try codec.unpackForward(bytes2)
        #expect(forward.id == .max && [UInt8](forward.call) == bytes && forward.isBatch == isBatch)
        #expect(forward.timeoutMilliseconds == 77)
      }
    }
    for (reply, isBatch) in [([], false), ([0x28, 5], false), ([0x20, 1], true)] as [([UInt8], Bool)] {
      try reading(forwardReply(0, reply, isBatch: isBatch)) { (bytes) throws(WireError) in
        let answer = try codec.unpackForwardReply(bytes)
        #expect(answer.id == 0 && [UInt8](answer.reply) == reply && answer.isBatch == isBatch)
      }
    }
    // What a client could not read is not passed on.
    #expect(throws: WireError.self) {
      try reading(forwardReply(1, [0x0a, 5, 1])) { (bytes) throws(WireError) in _ = try codec.unpackForwardReply(bytes)
      }
    }
  }

  @Test("peers: a range of versions that is upside down is refused")
  func versions() {
    #expect(throws: WireError.self) { try reading(field(1, 3) + field(2, 2), codec.unpackHello) }
    #expect(throws: WireError.self) { try reading(field(1, 3) + field(2, 2), codec.unpackClientHello) }
  }

  @Test("clients: hello, welcome, call and reply come back as they were; levels keep numbers that nobody knows")
  func clients() throws {
    codec.pack(clientHello: 1...7)
    #expect(try reading(codec.packed, codec.unpackClientHello) == 1...7)
    let welcome = ClientWelcome(version: 1, cluster: Sample.disk.cluster, node: 2, leader: 3, maximumRequestBytes: .max)
    codec.pack(welcome)
    #expect(try reading(codec.packed, codec.unpackClientWelcome) == welcome)
    for number in Self.numbers {
      let level = UInt32(truncatingIfNeeded: number)
      let header = CallHeader(
        id: number, group: number, timeoutMilliseconds: number, ack: level, read: level, readIndex: number,
        readBoundMilliseconds: number, session: number, sequence: number)
      [UInt8]("x/Y".utf8).withUnsafeBytes { method in
        [UInt8]([1, 0, 255]).withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
      }
      try reading(codec.packed) { (bytes) throws(WireError) in
        try codec.unpackCall(bytes) { read, method, payload in
          #expect(read == header && Array(method) == Array("x/Y".utf8) && Array(payload) == [1, 0, 255])
        }
      }
      var reply = Sample.reply
      (reply.id, reply.code, reply.ack, reply.read, reply.index) = (number, level, level, level, number)
      codec.pack(reply)
      #expect(try reading(codec.packed, codec.unpackReply) == reply)
    }
    for applied in [Applied.unknown, .no, .yes] {
      var reply = CallReply(id: 0)
      reply.applied = applied
      codec.pack(reply)
      #expect(try reading(codec.packed, codec.unpackReply) == reply)
    }
    #expect(try reading(field(10, 77), codec.unpackReply).applied == .unknown)
  }

  @Test("status and reflection come back as they were, empty ones too")
  func status() throws {
    for status in [Sample.status, NodeReport()] {
      codec.pack(status)
      #expect(try reading(codec.packed, codec.unpackStatus) == status)
    }
    for services in [[], [("a.B", [1, 2])], [("", []), ("c", [UInt8](repeating: 1, count: 5000))]]
      as [[(name: String, descriptorSet: [UInt8])]]
    {
      codec.pack(describeReply: 3, services: services)
      let read = try reading(codec.packed, codec.unpackDescribeReply)
      #expect(read.services.map(\.name) == services.map(\.name))
      #expect(read.services.map(\.descriptorSet) == services.map(\.descriptorSet) && read.id == 3)
    }
    codec.pack(describe: .max)
    #expect(try reading(codec.packed, codec.unpackDescribe) == .max)
    codec.pack(statusRequest: .max)
    #expect(try reading(codec.packed, codec.unpackStatusRequest) == .max)
  }

  @Test("members come back sorted and once each; none, 65, a member 0, and a disk of nobody are refused")
  func members() throws {
    let members = Members(
      voters: [3, 1, 2, 3].map { NodeID($0) }, outgoingVoters: [NodeID(.max)], learners: [NodeID(5)],
      witnesses: [NodeID(1)],
      disks: [(5, 6), (1, 7)].map { MemberDisk(node: NodeID($0), disk: [UInt8](repeating: $1, count: 16)) })
    codec.pack(members)
    #expect(try reading(codec.packed, codec.unpackMembers) == members)
    #expect(members.disks.map(\.node) == [1, 5].map { NodeID($0) })
    for (node, bytes) in [(4, 16), (1, 15)] as [(UInt64, Int)] {
      let disk = MemberDisk(node: NodeID(node), disk: [UInt8](repeating: 1, count: bytes))
      codec.pack(Members(voters: [NodeID(1)], disks: [disk]))
      #expect(throws: WireError.self) { try reading(codec.packed, codec.unpackMembers) }
    }
    for wrong in [[], Array(1...65), [0, 1]] as [[UInt64]] {
      codec.pack(Members(voters: wrong.map { NodeID($0) }))
      #expect(throws: WireError.self) { try reading(codec.packed, codec.unpackMembers) }
    }
  }

  @Test("disk: segment header, identity and batch header come back as they were")
  func disk() throws {
    #expect(try reading(Acknowledged.encoded(Sample.acknowledged), Acknowledged.decoded) == Sample.acknowledged)
    #expect(try reading(Sample.segment.encoded(), SegmentHeader.init(decoding:)) == Sample.segment)
    var identity = Sample.disk
    for number in 0..<64 {
      identity.peers.append(DiskIdentity.Peer(node: NodeID(UInt64(number)), disk: [1], incarnation: .max))
      identity.initialMembers.append(DiskIdentity.Member(node: NodeID(UInt64(number)), address: "[::1]:\(number)"))
    }
    #expect(try reading(identity.encoded(), DiskIdentity.init(decoding:)) == identity)
    for number in Self.numbers where number > 0 {
      let header = LogBatchHeader(
        group: GroupID(number),
        hardState: HardState(term: Term(number), vote: NodeID(number), commit: LogIndex(number)),
        first: LogIndex(number), previousChain: number)
      var bytes = [UInt8](repeating: 0, count: header.packedSize)
      _ = bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress.unsafelyUnwrapped) }
      let parsed = try reading(bytes) { (bytes) throws(WireError) in try LogBatchHeader.parse(bytes) }
      #expect(parsed.header == header && parsed.entries.isEmpty)
    }
    let parsed = try reading(Sample.batch) { (bytes) throws(WireError) in try LogBatchHeader.parse(bytes) }
    #expect(Array(Sample.batch[parsed.entries]) == Sample.block(3).bytes)
  }

  @Test("disk: batches for group 0, from index 0, with fields twice or out of order are refused")
  func wrongBatches() {
    let wrong = [
      [], field(2, 1), field(1, 1) + Sample.block(1).bytes, field(1, 1) + field(1, 1), field(2, 1) + field(1, 1),
      field(1, 1) + field(7, 1), field(1, 1) + field(6, 1),
    ]
    for bytes in wrong {
      #expect(throws: WireError.self) {
        try reading(bytes) { (bytes) throws(WireError) in try LogBatchHeader.parse(bytes) }
      }
    }
  }

  @Test("the C encoder's bytes mean the same to a reader that shares no code with it")
  func independent() throws {
    let append = try #require(IndependentReader(Sample.append))
    #expect([1, 2, 3, 4, 5, 6, 7].map(append.number) == [1, 5, 7, 4, 99, 6, 9])
    let entries = append.all(15).compactMap(IndependentReader.init)
    #expect(entries.map { $0.number(2) } == [8, 9, 10] && entries.map { $0.number(1) } == [4, 4, 5])
    #expect(
      entries.map { $0.bytes(9).count } == [0, 3, 6]
        && entries.map { $0.bytes(8) } == [Array](repeating: Array("a/B".utf8), count: 3))
    let call = try #require(IndependentReader(Sample.call))
    #expect([1, 2, 5, 6, 7, 8, 9, 10, 11].map(call.number) == [1, 2, 3, 2, 5, .max, 7, 8, 9])
    #expect(call.bytes(3) == Array("a.B/C".utf8) && call.bytes(4) == [9, 8, 7])
    codec.pack(Sample.reply)
    let reply = try #require(IndependentReader(codec.packed))
    #expect(reply.number(2) == 14 && reply.number(10) == 1 && reply.bytes(4) == [1, 2, 3])
    let evidence = try #require(IndependentReader(reply.bytes(11)))
    #expect(evidence.bytes(3) == varint(1) + varint(2) + varint(.max))
    let batch = try #require(IndependentReader(Sample.batch))
    #expect(batch.number(5) == 8 && batch.number(6) == 99 && batch.all(15) == append.all(15))
  }
}
