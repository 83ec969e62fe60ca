package import LockstepConsensus
package import LockstepExecution
package import LockstepStorage
package import LockstepWire

/// The loop that joins core, log, machine and links. It has no threads and no clock of its own: whoever owns the loop
/// hands in messages, calls, disk results and ticks as they come, and calls `turn` once for all of them. A turn steps
/// what there is, writes once, sends once to each peer, and answers the commands of each block as soon as it is applied.
///
/// Everything happens on one thread; the disk has its own, behind `DiskQueue`.
package final class Node {
  package struct Configuration: Sendable {
    package var id: NodeID
    package var members: Members
    package var preferredLeader: NodeID?
    package var cluster: [UInt8]
    package var limits: Limits
    package var driver: DriverLimits
    package var seed: UInt64
    package init(
      id: NodeID, members: Members, preferredLeader: NodeID?, cluster: [UInt8], limits: Limits,
      driver: DriverLimits, seed: UInt64
    ) {
      self.id = id
      self.members = members
      self.preferredLeader = preferredLeader
      self.cluster = cluster
      self.limits = limits
      self.driver = driver
      self.seed = seed
    }
  }

  package let configuration: Configuration
  var limits: DriverLimits { configuration.driver }
  let links: any PeerLinks
  let disk: any DiskQueue
  let observe: (NodeEvent) -> Void
  /// Says how long things take, and nothing else: no decision rests on it.
  let clock: () -> UInt64
  var stages = StageTimes()
  let codec: Codec
  var groups: [Group]

  /// Monotonic, and since 1970; both in nanoseconds, as of the last turn or tick.
  package private(set) var now: UInt64 = 0
  private(set) var wall: UInt64 = 0

  var isAppending = false
  var appendWrites: [(group: GroupID, id: WriteID)] = []
  var dirtySinks: [any ReplySink] = []
  var forwards: GrowingTable<ForwardedCall>
  var effects: [Effect] = []
  var spareEffects: [Effect] = []
  var callsUnderWay = 0
  var callBytesUnderWay = 0
  var nextDeadline = UInt64.max
  /// Bytes of replies to commands that this turn may still make.
  var replyBudget = 0
  /// Set when the node must stop; nothing is sent or answered after that.
  package internal(set) var failure: NodeFailure?

  /// A node as its disk has it. `machines`: the state machine of each group, in its first state. `clock`: monotonic, in
  /// nanoseconds; without one, what is counted has no times.
  package init(
    _ configuration: Configuration, recovered: [RecoveredGroup], machines: [(GroupID, any StateMachine)],
    links: any PeerLinks, disk: any DiskQueue, observe: @escaping (NodeEvent) -> Void,
    clock: @escaping () -> UInt64 = { 0 }
  ) throws(WireError) {
    self.configuration = configuration
    self.links = links
    self.disk = disk
    self.observe = observe
    self.clock = clock
    codec = Codec(maximumMessage: PeerFrame.maximumLength)
    groups = []
    let firstID = Self.firstID(seed: configuration.seed)
    forwards = GrowingTable(firstID: firstID)
    for (id, machine) in machines.sorted(by: { $0.0 < $1.0 }) {
      let state = recovered.first { $0.group == id }
      var configurations: [(index: LogIndex, members: Members)] = []
      for entry in state?.configurations ?? [] {
        configurations.append((entry.id.index, try entry.payload.withUnsafeBytesTyped(codec.unpackMembers)))
      }
      let replica = Replica(
        Replica.Configuration(
          id: configuration.id, members: configuration.members, preferredLeader: configuration.preferredLeader,
          limits: configuration.limits, seed: configuration.seed ^ id.rawValue),
        hardState: state?.hardState ?? HardState(),
        log: Log(runs: state?.terms ?? [], last: state?.last.index ?? .zero), configurations: configurations)
      let cache = TailCache(
        last: replica.log.last,
        lastChain: state?.lastChain ?? Checksum.chainOrigin(cluster: configuration.cluster, group: id.rawValue))
      groups.append(
        Group(
          id: id, replica: replica, executor: Executor(group: id, machine: machine), cache: cache,
          firstRead: firstID))
      // A clock that was set back while this node was down must not show in the log.
      if let tail = state?.tail.last, let header = tail.header(at: tail.last) {
        groups[groups.count - 1].lastTimestamp = header.timestamp
      }
    }
  }

  /// The largest payload of a frame between nodes: a full AppendEntries, or one entry as large as a request may be.
  package static func frameBytes(requestBytes: Int) -> Int { 2 * requestBytes + 2 * 1024 * 1024 }
  /// And of one to a client: a reply that is somewhat larger than any request.
  package static func clientFrameBytes(requestBytes: Int) -> Int { max(4 * 1024 * 1024, requestBytes + 64 * 1024) }

  /// Where the ids begin that other nodes answer to: far from those of any other start.
  private static func firstID(seed: UInt64) -> UInt64 {
    var generator = Generator(seed: seed)
    return generator.next() >> 2 | 1
  }

  func group(_ id: GroupID) -> Group? {
    for group in groups where group.id == id { return group }
    return nil
  }

  // MARK: What happens

  /// One unit of time has passed.
  package func tick(now: UInt64, wall: UInt64) {
    guard failure == nil else { return }
    advanceClock(now: now, wall: wall)
    for group in groups { step(group, .tick) }
    expireCalls()
  }

  package func advanceClock(now: UInt64, wall: UInt64) {
    self.now = max(self.now, now)
    self.wall = wall
  }

  package func linkChanged(_ node: NodeID, isUp: Bool) {
    guard failure == nil else { return }
    for group in groups { step(group, isUp ? .linkRestored(node) : .linkLost(node)) }
    guard !isUp else { return }
    failForwards(to: node)
    noteLinkLost(to: node)
  }

  package func diskFinished(_ result: DiskResult) {
    guard failure == nil else { return }
    switch result.outcome {
    case .failed(.refused):
      // Entries that were to be sent to a follower are not in the log any more: another leader has replaced them.
      if case .follower = result.job.purpose, let group = group(result.job.group) {
        finishRead(group, result.job.purpose, [])
      } else if case .failed(let error) = result.outcome {
        failure = .storage(error)
      }
    case .failed where planted(.takesAFailedSyncForASuccess):
      diskFinished(DiskResult(job: result.job, outcome: .appended))
    case .failed(let error):
      // "A failed sync is fatal": nothing may be promised any more, and a retry would lie.
      failure = .storage(error)
    case .appended:
      isAppending = false
      noteDurable(result)
      let finished = appendWrites
      appendWrites.removeAll(keepingCapacity: true)
      for (id, write) in finished {
        if let group = group(id) { step(group, .stored(write)) }
      }
    case .read(let blocks):
      guard let group = group(result.job.group) else { return }
      finishRead(group, result.job.purpose, blocks)
    }
  }

  /// What this node remembers beside its log could not be stored.
  package func diskFailed(_ error: StorageError) {
    if planted(.staysUpAfterAFailedWrite) { return }
    failure = failure ?? .storage(error)
  }

  /// An operator asks for the lead to be handed over.
  package func transferLeadership(of id: GroupID, to node: NodeID) {
    if let group = group(id) { step(group, .transferRequested(node)) }
  }

  /// Carries out all that the events since the last turn have led to. Returns true when there is more to do at once.
  package func turn(now: UInt64, wall: UInt64) -> Bool {
    guard failure == nil else { return false }
    advanceClock(now: now, wall: wall)
    stages.turns &+= 1
    var isMore = false
    for group in groups {
      resumeHeld(group)
      propose(group)
      requestReads(group)
      step(group, .turnEnded)
    }
    // Followers work while this node's own disk does.
    links.flush()
    noteHandedOver()
    while submitWrites(), failure == nil {
      // The disk has answered at once: what follows from that belongs to this turn.
      for group in groups { step(group, .turnEnded) }
      links.flush()
      noteHandedOver()
    }
    guard failure == nil else { return false }
    for group in groups {
      isMore = applyCommitted(group) || isMore
      isMore = answerReads(group) || isMore
      // While what is applied next comes from the disk, what follows it need not be kept for that.
      let floor = group.replica.log.floor
      group.cache.trim(before: group.isLoadingToApply ? floor : min(floor, group.executor.applied.next))
    }
    guard failure == nil else { return false }
    links.flush()
    flushAnswers()
    return isMore
  }

  func flushAnswers() {
    for sink in dirtySinks {
      sink.isFlushDue = false
      sink.flush()
    }
    dirtySinks.removeAll(keepingCapacity: true)
  }

  // MARK: Core

  func step(_ group: Group, _ event: LocalEvent) {
    var list = takeEffects()
    group.replica.step(event, into: &list)
    carryOut(&list, group)
  }

  func takeEffects() -> [Effect] {
    var list: [Effect] = []
    swap(&list, &spareEffects)
    return list
  }

  func carryOut(_ list: inout [Effect], _ group: Group) {
    for effect in list { carryOut(effect, group) }
    list.removeAll(keepingCapacity: true)
    swap(&list, &spareEffects)
  }

  private func carryOut(_ effect: Effect, _ group: Group) {
    switch effect {
    case .append(let first, let count, let content): encode(group, first, count, content)
    case .accept(let slice): accept(group, slice)
    case .store(let write): group.writes.append(write)
    case .send(let message, let node): send(group, message, to: node)
    case .load(let node, let first, let maximumBytes):
      submitRead(group, .follower(node), from: first, through: group.replica.log.durable, maximumBytes: maximumBytes)
    case .commit(let index):
      noteCommitted(group, index)
      group.commitTarget = planted(.appliesWhatIsNotCommitted) ? group.cache.last : index
    case .proposalRefused(let refusal): refuseProposals(group, refusal)
    case .readReady(let id, let index): readReady(group, id, index)
    case .readRefused(let id, let refusal): readRefused(group, id, refusal)
    case .roleChanged(let role, let term, let leader):
      noteRoleChanged(group)
      observe(.roleChanged(group.id, role, term: term, leader: leader))
    case .protocolViolation(let node, let violation):
      observe(.protocolViolation(group.id, node, violation.explanation))
    }
  }

  // MARK: Entries

  /// Encodes what the leader appends; from here on these bytes are the entry, everywhere.
  private func encode(_ group: Group, _ first: EntryID, _ count: Int, _ content: AppendedContent) {
    let chain = group.cache.lastChain
    group.lastTimestamp = max(group.lastTimestamp, wall)
    var block = EntryBlock(first: first.index, previousChain: chain)
    switch content {
    case .noOperation: block.append(term: first.term, kind: .noOperation, timestamp: group.lastTimestamp)
    case .configuration(let members):
      codec.pack(members)
      codec.packed.withUnsafeBytes {
        block.append(term: first.term, kind: .configuration, timestamp: group.lastTimestamp, payload: $0)
      }
    case .proposal:
      noteProposed(group, through: first.index.advanced(by: count - 1), commands: count)
      let proposals = group.proposals
      let capacity = proposals.callBytes + count * EntryBlock.overheadBytes
      block = EntryBlock(first: first.index, previousChain: chain, entries: count, capacity: capacity) { writer in
        proposals.bytes.withUnsafeBytes { bytes in
          proposals.forEach { header, method, payload in
            writer.append(
              term: first.term, kind: .command, timestamp: group.lastTimestamp, session: header.session,
              sequence: header.sequence, method: UnsafeRawBufferPointer(rebasing: bytes[method]),
              payload: UnsafeRawBufferPointer(rebasing: bytes[payload]))
          }
        }
      }
      awaitCommands(group, first)
    }
    group.cache.append(block)
  }

  private func accept(_ group: Group, _ slice: LogSlice) {
    guard let block = group.received else { return }
    let chain = block.chain(at: slice.first.previous)
    let isReplacing = group.cache.last >= slice.first
    group.cache.truncate(from: slice.first, chain: chain)
    if isReplacing {
      forgetReplaced(group)
      // What was found on the disk and is no more will never be carried out.
      group.recoveredLast = min(group.recoveredLast, slice.first.previous)
    }
    guard group.cache.lastChain == chain else {
      failure = .diverged(group.id, slice.first.previous)
      return
    }
    let taken = block.suffix(from: slice.first)
    group.cache.append(taken)
    if let header = taken.header(at: taken.last) { group.lastTimestamp = max(group.lastTimestamp, header.timestamp) }
  }

  // MARK: Disk

  /// Writes what waits, or as much of it as one append takes. Returns whether that is on the disk already.
  private func submitWrites() -> Bool {
    guard !isAppending else { return false }
    var writes: [LogWrite] = []
    for group in groups where !group.writes.isEmpty {
      let count = writesOfOneAppend(group)
      var slice: LogSlice?
      for write in group.writes[..<count] {
        if let entries = write.entries {
          slice = LogSlice(first: min(slice?.first ?? entries.first, entries.first), last: entries.last)
        }
        appendWrites.append((group.id, write.id))
      }
      var hardState = group.writes[planted(.storesTheFirstStateOfATurn) ? 0 : count - 1].hardState
      if planted(.storesNoVote) { hardState.vote = nil }
      let last = count == group.writes.count ? group.cache.last : slice?.last ?? group.replica.log.durable
      hardState.commit = min(group.commit, last)
      group.writes.removeFirst(count)
      var blocks: [EntryBlock]? = []
      if let slice, slice.first <= last { blocks = group.cache.blocks(of: LogSlice(first: slice.first, last: last)) }
      guard let blocks else { preconditionFailure("entries that are not on the disk have left the memory") }
      writes.append(LogWrite(group: group.id, hardState: hardState, blocks: blocks))
    }
    guard !writes.isEmpty else { return false }
    isAppending = true
    var job = DiskJob(group: writes[0].group, purpose: .append, work: .append(writes))
    // A leader with many clients takes in their next commands meanwhile; with one, there is nothing to take in.
    let bytes = noteWriting(writes)
    let isLeading = groups.contains { $0.replica.role == .leader }
    job.mayRunAtOnce = bytes <= (isLeading ? limits.leaderAtOnceBytes : limits.followerAtOnceBytes)
    return submit(job)
  }

  /// How many of the writes that wait make one append: all of them, if they are not too long together, and else as many
  /// as fit. The first part of much is durable, and answered, while the rest is written.
  private func writesOfOneAppend(_ group: Group) -> Int {
    let writes = group.writes
    var (count, bytes) = (0, 0)
    while count < writes.count {
      bytes += writes[count].entries.map { group.replica.log.bytes($0) } ?? 0
      if bytes > limits.appendBytes, count > 0 { break }
      count += 1
    }
    // What a later write replaces is no longer there to be written.
    guard count < writes.count, let last = writes[..<count].last(where: { $0.entries != nil })?.entries?.last else {
      return writes.count
    }
    return writes[count...].contains { $0.entries.map { $0.first <= last } ?? false } ? writes.count : count
  }

  private func submit(_ job: DiskJob) -> Bool {
    guard let result = disk.submit(job) else { return false }
    diskFinished(result)
    return true
  }

  func submitRead(
    _ group: Group, _ purpose: DiskJob.Purpose, from first: LogIndex, through last: LogIndex, maximumBytes: Int
  ) {
    _ = submit(
      DiskJob(
        group: group.id, purpose: purpose,
        work: .read(
          group.id, from: first, through: last, maximumBytes: maximumBytes, runs: group.replica.log.runs)))
  }

  private func finishRead(_ group: Group, _ purpose: DiskJob.Purpose, _ blocks: [EntryBlock]) {
    switch purpose {
    case .append: break
    case .apply:
      group.isLoadingToApply = false
      applyLoaded(group, blocks)
    case .follower(let node):
      group.loaded = blocks
      let slice = blocks.first.map { LogSlice(first: $0.first, last: (blocks.last ?? $0).last) }
      // What was read may have been replaced meanwhile: only entries that are still in the log are sent.
      let isCurrent = blocks.allSatisfy { block in
        block.lastID.map { group.replica.log.contains($0) } ?? true
      }
      step(
        group, .loaded(node, isCurrent ? slice : nil, bytes: blocks.reduce(0) { $0 + $1.bytes.count }))
      group.loaded = []
    }
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

extension ProtocolViolation {
  var explanation: String {
    switch self {
    case .notAMember: "a message from a node that is no member"
    case .secondLeader(let term): "a second leader in term \(term)"
    case .conflictsWithCommitted(let index): "entries that would replace committed entry \(index)"
    case .impossibleTerms: "entries whose terms cannot be"
    case .gap: "entries that do not follow each other"
    case .impossibleAcknowledgement: "an acknowledgement of what was never sent"
    }
  }
}
