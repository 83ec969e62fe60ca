import LockstepConsensus
import LockstepRequests
import LockstepWire

/// Honest values, from which the seeds are made.
enum Samples {
  static let numbers: [UInt64] = [0, 1, 300, .max - 1, .max]
  static let cluster = [UInt8](repeating: 7, count: 16)
  static let diskID = [UInt8](repeating: 9, count: 16)

  static let peer = PeerIdentity(
    cluster: cluster, node: NodeID(2), disk: diskID, incarnation: 3, fingerprint: "lockstep 0.1 little x86_64")

  static func block(_ count: Int, first: UInt64 = 8, chain: UInt64 = 99) -> EntryBlock {
    var block = EntryBlock(first: LogIndex(first), previousChain: chain)
    for number in 0..<count {
      Array("a.B/C".utf8).withUnsafeBytes { method in
        [UInt8](repeating: UInt8(number), count: 5 * number).withUnsafeBytes { payload in
          block.append(
            term: Term(4 + UInt64(number / 2)), kind: .command, timestamp: 77, machineVersion: 1, session: 5,
            sequence: UInt64(number), method: method, payload: payload)
        }
      }
    }
    return block
  }

  static let members = [
    Members(voters: [NodeID(1)]),
    Members(
      voters: [NodeID(1), NodeID(2), NodeID(3)], outgoingVoters: [NodeID(1), NodeID(4)], learners: [NodeID(5)],
      witnesses: [NodeID(3)]),
  ]

  static var reply: CallReply {
    var reply = CallReply(id: 1)
    (reply.code, reply.message, reply.payload, reply.index, reply.term) = (14, "who leads? \u{1F937}", [1, 2, 3], 4, 5)
    (reply.node, reply.ack, reply.read, reply.applied, reply.leader) = (6, 2, 1, .no, 3)
    reply.evidence = CallReply.Evidence(term: 5, index: 4, holders: [1, 2, .max])
    return reply
  }

  static var batchReply: BatchReply {
    var reply = BatchReply(id: 1)
    (reply.node, reply.leader, reply.ack) = (6, 3, 2)
    reply.evidence = CallReply.Evidence(term: 5, index: 6, holders: [1, 2, .max])
    for place in 0..<3 as Range<UInt64> {
      var result = BatchResult()
      (result.payload, result.index, result.term, result.applied) = ([1, 2], 4 + place, 5, .yes)
      reply.results.append(result)
    }
    (reply.results[1].code, reply.results[1].message) = (9, "not so")
    return reply
  }

  static var status: NodeReport {
    var status = NodeReport()
    (status.id, status.node, status.cluster, status.incarnation, status.version) = (1, 2, cluster, 3, "0.1")
    (status.uptimeMilliseconds, status.connections, status.residentBytes) = (5, 6, 7)
    var group = GroupReport()
    (group.group, group.role, group.term, group.leader, group.lastIndex, group.durableIndex) = (1, .leader, 2, 3, 9, 8)
    (group.commitIndex, group.appliedIndex, group.digest, group.voters) = (7, 6, .max, [1, 2, 300])
    group.peers = [PeerReport(node: 2, matchIndex: 5, state: .replicating, isConnected: true)]
    status.groups = [group, GroupReport()]
    status.stages = [
      StageFigures(name: "sync", count: 3, totalNanoseconds: .max, maximumNanoseconds: 300),
      StageFigures(name: "", peer: 2, count: 0, totalNanoseconds: 0, maximumNanoseconds: 0),
    ]
    status.counters = [CounterFigure(name: "turns", value: .max), CounterFigure(name: "", value: 0)]
    return status
  }

  static let segment = SegmentHeader(
    cluster: cluster, node: NodeID(1), disk: diskID, segment: 3, sequence: 4,
    groups: [
      GroupState(
        group: .first, hardState: HardState(term: Term(2), vote: NodeID(3), commit: LogIndex(4)),
        last: EntryID(term: Term(2), index: LogIndex(5)), lastChain: .max)
    ])

  static let identity = DiskIdentity(
    cluster: cluster, node: NodeID(1), disk: diskID, incarnation: 9,
    initialMembers: [1, 2, 3].map { DiskIdentity.Member(node: NodeID($0), address: "127.0.0.1:750\($0)") },
    peers: [2, 3].map { DiskIdentity.Peer(node: NodeID($0), disk: diskID, incarnation: $0) })

  static let batch = LogBatchHeader(
    group: .first, hardState: HardState(term: Term(5), vote: NodeID(1), commit: LogIndex(6)), first: LogIndex(8),
    previousChain: 99)

  static func packed(_ header: LogBatchHeader) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: header.packedSize)
    bytes.withUnsafeMutableBytes { buffer in
      if let base = buffer.baseAddress { _ = header.write(to: base) }
    }
    return bytes
  }
}
