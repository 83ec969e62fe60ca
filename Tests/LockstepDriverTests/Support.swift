import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire
import Testing

@testable import LockstepDriver

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
  mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
}

/// A machine that writes down what it is given: `t/Add` is a command, `t/Read` a query. A command "!" fails, the reply to
/// one that begins with 254 is longer than any frame, to one with 253 it is long, and a request that begins with 255 is
/// none.
struct Tape: StateMachine {
  private(set) var lines: [[UInt8]] = []
  private(set) var times: [UInt64] = []
  static let long = [UInt8](repeating: 1, count: 300_000)
  static let tooLong = [UInt8](repeating: 1, count: 5_000_000)

  mutating func apply(_ batch: CommandBatch, into replies: inout Replies) {
    for place in 0..<batch.count {
      let request = [UInt8](batch[place].call.requestBytes)
      lines.append(request)
      times.append(batch[place].context.time)
      if request == [33] {
        replies.fail(CallStatus(.aborted, "as asked"))
      } else {
        let line = Array("line \(lines.count)".utf8)
        replies.succeed(request.first == 254 ? Self.tooLong : request.first == 253 ? Self.long : line)
      }
    }
  }

  func query(_ call: MethodCall, _ context: QueryContext) throws(CallStatus) -> [UInt8] {
    if call.requestBytes.first == 254 { return Self.tooLong }
    if call.requestBytes.first == 33 { throw CallStatus(.notFound, "as asked") }
    return Array("\(lines.count) lines".utf8)
  }

  func validate(_ call: MethodCall) throws(CallStatus) {
    if call.requestBytes.first == 255 { throw CallStatus(.invalidArgument, "no request of this machine") }
  }

  func kind(ofMethod method: RawSpan) -> MethodKind? {
    switch method.withUnsafeBytes({ String(decoding: $0, as: UTF8.self) }) {
    case "t/Add": .command
    case "t/Read": .query
    default: nil
    }
  }

  let version: UInt32 = 1
  func freeze() -> any Snapshot {
    EncodedSnapshot(of: lines) { lines, buffer in
      buffer.append(varint: UInt64(lines.count))
      for line in lines {
        buffer.append(varint: UInt64(line.count))
        buffer.append(line)
      }
      return false
    }
  }

  func restored(from snapshot: inout SnapshotReader) throws(CallStatus) -> Tape {
    var tape = Tape()
    for _ in 0..<(try snapshot.varint()) { tape.lines.append(try snapshot.bytes(snapshot.varint())) }
    return tape
  }

  var digest: UInt64 {
    var sum: UInt64 = 14_695_981_039_346_656_037
    for line in lines { for byte in line + [0] { sum = (sum ^ UInt64(byte)) &* 1_099_511_628_211 } }
    return sum
  }

  var schemas: [Schema] { [] }
}

final class FakeLinks: PeerLinks {
  struct Frame {
    let kind: FrameKind
    let payload: [UInt8]
    let to: NodeID
  }

  /// Handed over, in order.
  var frames: [Frame] = []
  var down: [NodeID] = []
  /// Nodes to which answers have no room; and those to which nothing has.
  var crowded: [NodeID] = []
  var full: [NodeID] = []
  private(set) var flushes = 0
  private let codec = Codec(maximumMessage: 1 << 24)

  func send(
    _ message: Message, of group: GroupID, previousChain: UInt64, entries: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    let kind = codec.pack(message, group: group, previousChain: previousChain)
    return codec.packed.withUnsafeBytes { add(kind, $0, entries, to: node) }
  }

  func forward(_ request: Request, id: UInt64, timeoutMilliseconds: UInt64, to node: NodeID) -> LinkResult {
    codec.pack(forward: id, timeoutMilliseconds: timeoutMilliseconds, request) { add(.forward, $0, $1, to: node) }
  }

  func add(
    _ kind: FrameKind, _ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer, to node: NodeID
  ) -> LinkResult {
    guard isConnected(node) else { return .notConnected }
    guard !full.contains(node) else { return .full }
    frames.append(Frame(kind: kind, payload: [UInt8](header) + [UInt8](body), to: node))
    return .sent
  }

  func isConnected(_ node: NodeID) -> Bool { !down.contains(node) }
  func flush() { flushes += 1 }

  func count(_ kind: FrameKind) -> Int { frames.count { $0.kind == kind } }
}

/// Where the answers go to what one peer has passed on.
final class FakePeerReplies: ReplyChannel {
  private let links: FakeLinks
  private let peer: NodeID

  init(_ links: FakeLinks, _ peer: NodeID) {
    self.links = links
    self.peer = peer
  }

  var hasRoom: Bool { !links.crowded.contains(peer) }
  var maximumReplyBytes: Int { DriverLimits().replyBytes }

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    _ = links.add(kind, header, body, to: peer)
  }

  func flush() {}
}

/// Jobs wait here until a test lets them be answered.
final class FakeDisk: DiskQueue {
  var jobs: [DiskJob] = []
  /// What it says of its room.
  var space: LogSpace?

  func submit(_ job: DiskJob) -> DiskResult? {
    jobs.append(job)
    return nil
  }
}

/// One client's end.
final class FakeSink: ReplyChannel {
  /// Nothing is read: there is room until so many bytes are there.
  var limit = Int.max
  private(set) var bytes = 0
  /// How often it was asked whether there is room.
  private(set) var questions = 0
  var hasRoom: Bool {
    get {
      questions += 1
      return isRoomy && bytes <= limit
    }
    set { isRoomy = newValue }
  }
  private var isRoomy = true
  let maximumReplyBytes = DriverLimits().replyBytes
  private(set) var replies: [CallReply] = []
  private(set) var batches: [BatchReply] = []
  private(set) var flushes = 0
  private let codec = Codec(maximumMessage: 1 << 24)
  private(set) lazy var writer = FramedReplies(self, codec: Codec(maximumMessage: 1 << 24), form: .client)

  func send(_ kind: FrameKind, header: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    let payload = [UInt8](header) + [UInt8](body)
    bytes += payload.count
    if kind == .batchReply {
      let reply = payload.withUnsafeBytes { try? codec.unpackBatchReply($0) }
      if let reply { batches.append(reply) } else { Issue.record("a reply to a batch that is none") }
      return
    }
    precondition(kind == .callReply)
    let reply = payload.withUnsafeBytes { try? codec.unpackReply($0) }
    if let reply { replies.append(reply) }
  }

  func flush() { flushes += 1 }

  func reply(_ id: UInt64) -> CallReply? { replies.first { $0.id == id } }
}

final class Journal {
  var events: [NodeEvent] = []

  var violations: Int {
    events.count { if case .protocolViolation = $0 { true } else { false } }
  }
}

/// Keeps the snapshots that a node asks for; the test says what becomes of them.
final class SnapshotJournal: SnapshotQueue {
  var jobs: [SnapshotJob] = []
  func write(_ job: SnapshotJob) { jobs.append(job) }
}

/// Keeps what a node asks for of other nodes' snapshots; the test says what becomes of it.
final class InstallJournal: InstallQueue {
  var jobs: [InstallJob] = []
  var cancelled = 0
  var settled: [(index: LogIndex, isOfUse: Bool)] = []
  func begin(_ job: InstallJob) { jobs.append(job) }
  func cancel(_ group: GroupID) { cancelled += 1 }
  func settle(_ group: GroupID, at index: LogIndex, isOfUse: Bool) { settled.append((index, isOfUse)) }
  var progress: InstallProgress?
  func progress(of group: GroupID) -> InstallProgress? { progress }
}

/// One node with a disk and links that do as they are told.
final class TestNode {
  let id: NodeID
  let links = FakeLinks()
  let disk = FakeDisk()
  let journal = Journal()
  let snapshots = SnapshotJournal()
  let installs = InstallJournal()
  let node: Node
  private let codec = Codec(maximumMessage: 1 << 24)
  private var peerReplies: [(peer: NodeID, replies: FramedReplies)] = []
  /// Where the bytes go; without one, writes succeed and are forgotten.
  let worker: DiskWorker?

  init(
    _ configuration: Node.Configuration, recovered: [RecoveredGroup] = [], restored: Executor? = nil,
    applier: (any Applier)? = nil, stored: [StoredSnapshot] = [], worker: DiskWorker? = nil,
    clock: @escaping () -> UInt64 = { 0 }
  ) throws {
    id = configuration.id
    self.worker = worker
    let journal = journal
    node = try Node(
      configuration, recovered: recovered,
      appliers: [applier ?? ImmediateApplier(restored ?? Executor(group: .first, machine: Tape()))], stored: stored,
      links: links,
      disk: disk, snapshots: snapshots, installs: installs, observe: { journal.events.append($0) }, clock: clock,
      isChecking: true)
  }

  var group: Group { node.group(.first)! }
  var replica: Replica { group.replica }
  var tape: Tape { group.machine as? Tape ?? Tape() }
  var isLeader: Bool { replica.role == .leader }

  /// Answers the oldest job. False when there is none.
  @discardableResult
  func answerDisk(where isAnswered: (DiskJob) -> Bool = { _ in true }) -> Bool {
    guard let place = disk.jobs.firstIndex(where: isAnswered) else { return false }
    let job = disk.jobs.remove(at: place)
    var outcome = DiskResult.Outcome.appended
    if case .measure = job.work { outcome = .measured }
    var result = worker?.run(job) ?? DiskResult(job: job, outcome: outcome)
    result.space = result.space ?? disk.space
    node.diskFinished(result)
    return true
  }

  func call(
    _ sink: FakeSink, _ id: UInt64, _ payload: [UInt8] = [1], method: String = "t/Add",
    _ change: (inout CallHeader) -> Void = { _ in }
  ) throws {
    var header = CallHeader(id: id)
    change(&header)
    let bytes = packed(header, method: method, payload)
    try bytes.withUnsafeBytesTyped { (bytes) throws(WireError) in try deliver(.call, bytes, to: sink) }
  }

  func batch(
    _ sink: FakeSink, _ id: UInt64, _ payloads: [[UInt8]], method: String = "t/Add",
    _ change: (inout BatchHeader) -> Void = { _ in }
  ) throws {
    var header = BatchHeader(id: id)
    change(&header)
    let codec = Codec(maximumMessage: 0)
    Array(method.utf8).withUnsafeBytes { codec.pack(header, method: $0, payloads: payloads) }
    try codec.packed.withUnsafeBytesTyped { (bytes) throws(WireError) in try deliver(.batch, bytes, to: sink) }
  }

  func deliver(_ kind: FrameKind, _ bytes: UnsafeRawBufferPointer, to sink: FakeSink) throws(WireError) {
    _ = try codec.deliver(kind, bytes, replies: sink.writer, to: node)
  }

  func receive(_ message: Message, from peer: NodeID, entries: EntryBlock? = nil, previousChain: UInt64 = 0) throws {
    let codec = Codec(maximumMessage: 1 << 20)
    let kind = codec.pack(message, group: .first, previousChain: previousChain)
    try receive(kind, codec.packed + (entries?.bytes ?? []), from: peer)
  }

  func receive(_ kind: FrameKind, _ bytes: [UInt8], from peer: NodeID) throws {
    let replies = peerReplies.first { $0.peer == peer }?.replies
    let writer = replies ?? FramedReplies(FakePeerReplies(links, peer), codec: codec, form: .forwarded)
    if replies == nil { peerReplies.append((peer, writer)) }
    try bytes.withUnsafeBytesTyped { (bytes) throws(WireError) in
      try codec.deliver(kind, bytes, from: peer, replies: writer, to: node)
    }
  }
}

func packed(_ header: CallHeader, method: String, _ payload: [UInt8]) -> [UInt8] {
  let codec = Codec(maximumMessage: 1 << 20)
  Array(method.utf8).withUnsafeBytes { method in
    payload.withUnsafeBytes { codec.pack(header, method: method, payload: $0) }
  }
  return codec.packed
}

let testCluster = [UInt8](repeating: 7, count: 16)

func configuration(
  _ id: UInt64, of count: UInt64, limits: (inout DriverLimits) -> Void = { _ in },
  core: (inout Limits) -> Void = { _ in }
) -> Node.Configuration {
  var driver = DriverLimits()
  limits(&driver)
  var tuned = Limits()
  tuned.electionTicks = 10
  tuned.heartbeatTicks = 2
  core(&tuned)
  return Node.Configuration(
    id: NodeID(id), members: Members(voters: (1...count).map { NodeID($0) }), preferredLeader: nil,
    cluster: testCluster, limits: tuned, driver: driver, seed: 4711 + id)
}

/// Two thousand times these bytes with one bit flipped, some of them cut short.
func forDamaged(_ good: [UInt8], _ body: ([UInt8]) -> Void) {
  var random = SplitMix(3)
  for _ in 0..<2000 {
    var bytes = good
    bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
    body(Array(bytes.prefix(random.oneIn(3) ? random.below(bytes.count) : bytes.count)))
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` for a closure that throws one type.
  func withUnsafeBytesTyped<Result>(
    _ body: (UnsafeRawBufferPointer) throws(WireError) -> Result
  ) throws(WireError) -> Result {
    let outcome = withUnsafeBytes { bytes -> Swift.Result<Result, WireError> in
      do throws(WireError) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try outcome.get()
  }
}

/// A frame's payload that says this to a call that was passed on.
func forwardReply(_ id: UInt64, _ reply: [UInt8]) -> [UInt8] {
  reply.withUnsafeBytes { reply in
    Codec.withHead(replyTo: id, reply, isBatch: false) { [UInt8]($0) + [UInt8](reply) }
  }
}
