package import LockstepConsensus
package import LockstepExecution
package import LockstepRequests
package import LockstepStorage
package import LockstepWire

/// The loop that joins core, log, machine and links. It has no threads and no clock of its own: whoever owns the loop
/// hands in messages, calls, disk results and ticks as they come, and calls `turn` once for all of them. A turn steps
/// what there is, writes once, sends once to each peer, and answers the commands of each block as soon as it is applied.
///
/// Everything happens on one thread; the disk has its own, behind `DiskQueue`.
package final class Node {
  package let configuration: Configuration
  private let context: NodeContext
  private let groups: [Group]
  /// Groups in which something has happened since their last turn.
  private var ready: ReadySet
  /// Groups that take part in the turn that is under way.
  private var inTurn: ReadySet
  private var appends: AppendQueue
  /// Whether the invariants of all parts are checked after each turn.
  private let isChecking: Bool

  /// A node as its disk has it. `appliers`: one for each group, in its first state, or as restored from its last snapshot,
  /// which is in `stored`. `chains`: of the last entries that machines with their own storage have carried out. `clock`: monotonic, in nanoseconds; without one, what is counted has no times.
  package init(
    _ configuration: Configuration, recovered: [RecoveredGroup], appliers: [any Applier], stored: [StoredSnapshot] = [],
    chains: [GroupID: UInt64] = [:],
    links: any PeerLinks, disk: any DiskQueue, snapshots: any SnapshotQueue, installs: any InstallQueue,
    observe: @escaping (NodeEvent) -> Void, clock: @escaping () -> UInt64 = { 0 }, isChecking: Bool = false
  ) throws(WireError) {
    self.configuration = configuration
    self.isChecking = isChecking
    context = NodeContext(
      configuration, links: links, disk: disk, snapshots: snapshots, installs: installs, observe: observe, clock: clock)
    var groups: [Group] = []
    for applier in appliers.sorted(by: { $0.group < $1.group }) {
      groups.append(
        try Group(
          context: context, configuration: configuration, recovered: recovered.first { $0.group == applier.group },
          snapshot: stored.last { $0.header.group == applier.group }, applier: applier, chain: chains[applier.group]))
    }
    self.groups = groups
    ready = ReadySet(count: groups.count)
    inTurn = ReadySet(count: groups.count)
    appends = AppendQueue(context: context, groups: groups.count)
    for position in groups.indices { ready.insert(position) }
    context.onFinished { [unowned self] in diskFinished($0) }
  }

  /// Set when the node must stop; nothing is sent or answered after that.
  package var failure: NodeFailure? { context.failure }
  package var hasFailed: Bool { context.hasFailed }
  /// Monotonic, in nanoseconds, as of the last turn or tick.
  package var now: UInt64 { context.now }

  private func position(of id: GroupID) -> Int? {
    if id.rawValue == 0 { return groups.isEmpty ? nil : 0 }
    return groups.firstIndex { $0.id == id }
  }

  /// Something happens to a group: it takes part in the next turn.
  private func touch(_ position: Int, _ body: (Group) -> Void) {
    body(groups[position])
    ready.insert(position)
    if groups[position].areWritesDue { appends.insert(position) }
  }

  private func touchAll(_ body: (Group) -> Void) {
    for position in groups.indices { touch(position, body) }
  }

  // MARK: What happens

  /// One unit of time has passed. Returns whether a turn is due.
  @discardableResult
  package func tick(now: UInt64, wall: UInt64) -> Bool {
    guard !context.hasFailed else { return false }
    context.advance(now: now, wall: wall)
    // Of many groups most have nothing to do, but to count the tick.
    for position in groups.indices where groups[position].tick() {
      ready.insert(position)
      if groups[position].areWritesDue { appends.insert(position) }
    }
    if context.isMeasureDue(), let first = groups.first {
      context.submit(DiskJob(group: first.id, purpose: .append, work: .measure))
    }
    if context.deadlines.areOver(context.now) {
      touchAll { $0.expire(context.now) }
      context.forwarder.expire(context.now, as: context.lateness)
    }
    return !ready.isEmpty || context.stop.isUnderWay
  }

  package func advanceClock(now: UInt64, wall: UInt64) { context.advance(now: now, wall: wall) }

  package func linkChanged(_ node: NodeID, isUp: Bool) {
    guard !context.hasFailed else { return }
    touchAll { $0.linkChanged(node, isUp: isUp) }
    if !isUp { context.forwarder.linkLost(to: node) }
  }

  package func diskFinished(_ result: DiskResult) {
    guard !context.hasFailed else { return }
    context.note(result.space)
    switch result.outcome {
    case .failed(.refused) where result.job.isForFollower:
      // Entries that were to be sent to a follower are not in the log any more: another leader has replaced them.
      entriesRead(result.job, [])
    case .failed(.refused) where group(result.job.group)?.isObsolete(result.job.work) ?? false:
      // A snapshot of another node has taken their place.
      entriesRead(result.job, [])
    case .failed(let error):
      // "A failed sync is fatal": nothing may be promised any more, and a retry would lie.
      context.fail(.storage(error))
    case .appended:
      context.stages.isDurable(result)
      for (position, write) in appends.finished() { touch(position) { $0.stored(write) } }
      if case .append(let writes) = result.job.work {
        for write in writes {
          if let base = write.base { group(write.group)?.installs.baseIsStored(base.id.index) }
        }
      }
      for position in groups.indices where groups[position].areWritesDue { appends.insert(position) }
    case .read(let blocks): entriesRead(result.job, blocks)
    case .measured:
      context.isMeasured()
      touchAll { $0.roomIsMeasured() }
    }
  }

  private func entriesRead(_ job: DiskJob, _ blocks: [EntryBlock]) {
    guard let position = position(of: job.group) else { return }
    touch(position) { $0.entriesRead(job.purpose, blocks) }
  }

  /// What became of a snapshot.
  package func snapshotFinished(_ result: SnapshotResult) {
    guard !context.hasFailed, let position = position(of: result.group) else { return }
    touch(position) { $0.snapshots.finished(result) }
  }

  /// The snapshot up to this entry is not what was written.
  package func snapshotIsUnsound(of id: GroupID, _ index: LogIndex, _ reason: String) {
    guard !context.hasFailed, let position = position(of: id) else { return }
    touch(position) { $0.snapshots.isUnsound(index, reason) }
  }

  /// An operator asks for a snapshot now. `answer` is called when it is durable, or cannot be.
  package func takeSnapshot(of id: GroupID, answer: @escaping SnapshotAnswer) {
    guard let position = position(of: id) else {
      return answer(.failure(CallStatus(.notFound, "this node has no group \(id)")))
    }
    guard !context.hasFailed, !context.stop.isUnderWay else {
      return answer(.failure(isBeingStopped))
    }
    touch(position) { $0.snapshots.request(answer) }
  }

  private var isBeingStopped: CallStatus {
    CallStatus(
      .unavailable,
      "node \(configuration.id) is being stopped, and takes no snapshot; ask another node, or this one later")
  }

  /// A snapshot that was asked for has come from another node.
  package func installFinished(_ result: InstallResult) {
    guard !context.hasFailed, let position = position(of: result.snapshot.header.group) else { return }
    touch(position) { $0.installFinished(result) }
  }

  /// The applier of this group, which had answers to come, has some, or cannot go on.
  package func applierReady(_ id: GroupID) {
    guard !context.hasFailed, let position = position(of: id) else { return }
    ready.insert(position)
  }

  /// What this node remembers beside its log could not be stored.
  package func diskFailed(_ error: StorageError) { context.fail(.storage(error)) }

  /// A member has shown itself with a disk in place of the one that it had. To be told before anything else that it says.
  package func diskReplaced(_ disk: MemberDisk) {
    guard !context.hasFailed else { return }
    touchAll { $0.happened(.diskReplaced(disk)) }
  }

  /// A member refuses this node for what its disk has lost; or takes it in again.
  package func diskRefused(by peer: NodeID, _ isRefused: Bool) {
    guard !context.hasFailed else { return }
    touchAll { $0.happened(.diskRefused(peer, isRefused)) }
  }

  /// An operator asks for the lead to be handed over.
  package func transferLeadership(of id: GroupID, to node: NodeID) {
    guard !context.hasFailed, let position = position(of: id) else { return }
    touch(position) { $0.happened(.transferRequested(node)) }
  }

  /// The node is to be stopped in good order, which takes turns and ticks until `isStopped`.
  package func stop() {
    guard !context.hasFailed else { return }
    context.stop.begin(context.now)
    touchAll { $0.happened(.stopRequested) }
  }

  /// Nothing that was asked of the node is unanswered, and nothing is taken any more.
  package var isStopped: Bool { context.stop.isOver }

  private func advanceStop() {
    let isOver = context.stop.advance(
      context.now, isHandingOver: groups.contains { $0.isHandingOver }, isIdle: context.ledger.calls == 0)
    guard isOver else { return }
    // Whoever still waits is told so.
    touchAll {
      $0.expire(.max)
      $0.snapshots.refuse(isBeingStopped)
      $0.streams.endAll(
        CallStatus(.unavailable, "node \(configuration.id) is being stopped; another one goes on"), leader: $0.leader)
    }
    context.forwarder.expire(.max, as: context.lateness)
    context.answers.flush()
  }

  // MARK: A turn

  /// Carries out all that the events since the last turn have led to. Returns true when there is more to do at once.
  package func turn(now: UInt64, wall: UInt64) -> Bool {
    guard !context.hasFailed else { return false }
    context.advance(now: now, wall: wall)
    context.stages.turnBegins()
    inTurn.removeAll()
    inTurn.take(&ready)
    for position in inTurn.positions { gather(position) }
    // Followers work while this node's own disk does.
    flushLinks()
    while submitWrites(), !context.hasFailed {
      // The disk has answered at once: what follows from that belongs to this turn.
      inTurn.take(&ready)
      for position in inTurn.positions { end(position) }
      flushLinks()
    }
    guard !context.hasFailed else { return false }
    inTurn.take(&ready)
    for position in inTurn.positions where groups[position].work() { ready.insert(position) }
    guard !context.hasFailed else { return false }
    flushLinks()
    context.answers.flush()
    if context.stop.isUnderWay { advanceStop() }
    if isChecking { check() }
    return !ready.isEmpty
  }

  private func gather(_ position: Int) {
    groups[position].gather()
    if groups[position].areWritesDue { appends.insert(position) }
  }

  private func end(_ position: Int) {
    groups[position].endTurn()
    if groups[position].areWritesDue { appends.insert(position) }
  }

  private func flushLinks() {
    context.links.flush()
    guard let now = context.stages.handedOver() else { return }
    for position in inTurn.positions { groups[position].stages.handedOver(at: now) }
  }

  /// Returns whether what waited is on the disk already.
  private func submitWrites() -> Bool {
    guard let job = appends.next(groups), let result = context.disk.submit(job) else { return false }
    diskFinished(result)
    return true
  }

  /// This group takes part in the next turn.
  func isReady(_ id: GroupID) {
    if let position = position(of: id) { ready.insert(position) }
  }

  /// Throws where nothing is taken any more.
  func stop(admits now: UInt64) throws(CallStatus) { try context.stop.check(now) }

  func refuse(_ stream: UInt64, _ writer: any StreamWriter, _ status: CallStatus) {
    context.answers.end(stream, writer, status, at: .zero, leader: leader)
  }

  // MARK: Looked at from outside

  var all: [Group] { groups }
  var space: LogSpace? { context.space }
  var ledger: CallLedger { context.ledger }
  func group(_ id: GroupID) -> Group? { position(of: id).map { groups[$0] } }
  var stages: StageRecorder { context.stages }
  var forwarder: Forwarder { context.forwarder }

  /// The invariants of all parts, and that the ledger counts what the parts have.
  private func check() {
    var (calls, bytes) = context.forwarder.permits
    for (position, group) in groups.enumerated() {
      group.check(isTurnDue: ready.contains(position))
      let permits = group.permits
      calls += permits.calls
      bytes += permits.bytes
    }
    context.ledger.check()
    precondition(
      calls == context.ledger.calls && bytes == context.ledger.bytes,
      "the ledger has \(context.ledger.calls) calls of \(context.ledger.bytes) bytes, the parts have \(calls) of \(bytes)"
    )
  }
}

extension Node: NodeInput {
  package func take(_ request: Request, id: UInt64, replyTo writer: any ReplyWriter) {
    guard !context.hasFailed else { return }
    let target = ReplyTarget(writer, call: id)
    guard let position = position(of: request.group) else {
      context.answers.refuse(
        target, CallStatus(.notFound, "this node has no group \(request.group)"), leader: nil)
      return
    }
    // As `touch` does it, and without a copy of the request.
    let group = groups[position]
    group.take(request, for: target)
    ready.insert(position)
    if group.areWritesDue { appends.insert(position) }
  }

  package func receive(_ received: ReceivedMessage, from peer: NodeID) throws(WireError) {
    guard !context.hasFailed else { return }
    guard let position = groups.firstIndex(where: { $0.id == received.group }) else {
      throw WireError("no group \(received.group) on this node")
    }
    touch(position) { $0.receive(received, from: peer) }
  }

  package func receive(answer: UnsafeRawBufferPointer, isBatch: Bool, to id: UInt64, from peer: NodeID) {
    guard !context.hasFailed else { return }
    context.forwarder.answered(id, answer, isBatch: isBatch, by: peer)
  }
}
