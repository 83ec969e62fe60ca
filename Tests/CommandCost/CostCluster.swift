import DiskTesting
import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepServices
import LockstepStorage
import LockstepWire

/// Three nodes, as a server runs them, between links and disks that are memory.
final class CostCluster {
  private var nodes: [Node] = []
  private var links: [CostLinks] = []
  private var disks: [CostQueue] = []
  private let sink = CostSink()
  private let replies: FramedReplies
  /// For each node, where its answers go to what each other one has passed on.
  private var peerReplies: [[FramedReplies]] = []
  /// The node that clients call: the leader, or a follower that passes their calls on.
  private let entry: Int
  private let codec = Codec(maximumMessage: 8 << 20)
  private var time: UInt64 = 1_000_000_000
  private var (leaderSteps, followerSteps) = (0, 0)
  private var random: UInt64 = 1
  private let keys: UInt64
  private var put: [UInt8]
  private var get: [UInt8]
  private static let keyDigits = 10

  var answered: Int { sink.answered }
  var failed: Int { sink.failed }
  var digests: [UInt64] { nodes.map { $0.digest(of: .first) ?? 0 } }

  init(valueBytes: Int, keys: Int, atFollower: Bool) throws {
    self.keys = UInt64(keys)
    entry = atFollower ? 1 : 0
    replies = FramedReplies(sink, codec: Codec(maximumMessage: 8 << 20), form: .client)
    get = [0x0a, UInt8(Self.keyDigits)] + Array(repeating: UInt8(ascii: "0"), count: Self.keyDigits)
    var length = [UInt8](repeating: 0, count: 10)
    let count = length.withUnsafeMutableBytes {
      Varint.write(UInt64(valueBytes), to: $0.baseAddress.unsafelyUnwrapped)
    }
    put = get + [0x12] + length[..<count] + (0..<valueBytes).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    let members = (1...3).map { DiskIdentity.Member(node: NodeID($0), address: "node\($0)") }
    for id in members.map(\.node) {
      let directory = try NodeDirectory.open(
        disk: MemoryDisk(knowsPowerCuts: false), path: "data", cluster: nil, node: id, members: members,
        newDiskID: { Array(repeating: UInt8(id.rawValue), count: 16) })
      let opened = try DurableLog.open(directory, options: LogOptions())
      let groups = opened.groups
      // Unsafe: there is one thread.
      nonisolated(unsafe) let log = opened.log
      let queue = CostQueue(DiskWorker(log: log))
      let link = CostLinks()
      // As it is once so many have gone by as are kept while nobody follows them.
      var driver = DriverLimits()
      driver.changeBytes = 0
      let configuration = Node.Configuration(
        id: id, members: Members(voters: members.map(\.node)), preferredLeader: NodeID(1), cluster: directory.cluster,
        limits: Limits(), driver: driver, seed: id.rawValue)
      nodes.append(
        try Node(
          configuration, recovered: groups,
          appliers: [
            ImmediateApplier(group: .first, machine: ServiceMachine(services: [KeyValue.self, Counter.self]))
          ],
          links: link, disk: queue, snapshots: CostSnapshots(), installs: CostInstalls(),
          observe: { _ in }, clock: CostClock.now))
      links.append(link)
      peerReplies.append(
        members.map {
          FramedReplies(CostPeerReplies(link, to: $0.node), codec: Codec(maximumMessage: 8 << 20), form: .forwarded)
        })
      disks.append(queue)
    }
  }

  func elect() throws {
    for node in nodes {
      node.advanceClock(now: time, wall: time)
      for peer in 1...3 where NodeID(UInt64(peer)) != node.configuration.id {
        node.linkChanged(NodeID(UInt64(peer)), isUp: true)
      }
    }
    while nodes[0].leader != NodeID(1) || nodes[1].leader != NodeID(1) || nodes[2].leader != NodeID(1) {
      try tick()
    }
  }

  /// Time for the heartbeats that tell the followers what is committed.
  func comeToRest() throws { for _ in 0..<10 { try tick() } }

  private func tick() throws {
    time += 10_000_000
    for node in nodes { node.tick(now: time, wall: time) }
    try settle()
  }

  /// The leader takes in so many calls at once, and everybody works until all of them are answered.
  func round(_ count: Int, reads: Bool) throws {
    let method = reads ? Self.getMethod : Self.putMethod
    for call in 0..<count {
      if reads { nextKey(&get) } else { nextKey(&put) }
      method.withUnsafeBytes { method in
        (reads ? get : put).withUnsafeBytes { codec.pack(CallHeader(id: UInt64(call)), method: method, payload: $0) }
      }
      let bytes = codec.packed
      try on(entry) {
        try bytes.withUnsafeBytes { _ = try codec.deliver(.call, $0, replies: replies, to: nodes[entry]) }
      }
    }
    let wanted = sink.answered + count
    try settle()
    // Followers apply what the next heartbeat tells them.
    while sink.answered < wanted { try tick() }
    if random & 15 == 0 { try tick() }
  }

  private static let putMethod = Array("lockstep.kv.v1.KeyValue/Put".utf8)
  private static let getMethod = Array("lockstep.kv.v1.KeyValue/Get".utf8)

  private func nextKey(_ request: inout [UInt8]) {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    var number = random % keys
    for place in stride(from: Self.keyDigits + 1, through: 2, by: -1) {
      request[place] = UInt8(ascii: "0") + UInt8(number % 10)
      number /= 10
    }
  }

  // Two functions that differ, so that callgrind can count the leader's part alone (--toggle-collect).
  private func on(_ place: Int, _ body: () throws -> Void) throws {
    if place == 0 { try onTheLeader(body) } else { try onAFollower(body) }
  }

  @inline(never)
  private func onTheLeader(_ body: () throws -> Void) throws {
    leaderSteps += 1
    try body()
  }

  @inline(never)
  private func onAFollower(_ body: () throws -> Void) throws {
    followerSteps += 1
    try body()
  }

  private func settle() throws {
    var isBusy = true
    while isBusy {
      isBusy = false
      for place in nodes.indices {
        try on(place) {
          if nodes[place].turn(now: time, wall: time) { isBusy = true }
          for result in disks[place].finish() {
            isBusy = true
            nodes[place].diskFinished(result)
          }
        }
        if let failure = nodes[place].failure { throw failure }
        let frames = links[place].take()
        for frame in frames {
          isBusy = true
          let to = Int(frame.to.rawValue) - 1
          try on(to) {
            try frame.payload.withUnsafeBytes {
              try codec.deliver(
                frame.kind, $0, from: nodes[place].configuration.id, replies: peerReplies[to][place], to: nodes[to])
            }
          }
        }
      }
    }
  }
}
