import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepStorage
import LockstepWire

/// One replicated log on this node: the core, and the parts that do what it says. Each part has its own state; what
/// becomes of an effect, this file alone decides.
final class Group {
  let id: GroupID
  private let context: NodeContext
  private(set) var replica: Replica
  let tail: LogTail
  let proposals: Proposals
  let wide: WideLevels
  let reads: ReadQueue
  private var lease: Lease
  let lane: ApplyLane
  let streams: StreamLane
  let snapshots: SnapshotLane
  let installs: InstallLane
  private var room: RoomWatch
  let stages: GroupStages
  private var sender: MessageSender
  private let admission: Admission
  /// Empty, but for the time of a step; kept for its memory.
  private var spareEffects: [Effect] = []

  init(
    context: NodeContext, configuration: Node.Configuration, recovered: RecoveredGroup?, snapshot: StoredSnapshot?,
    applier: any Applier, chain: UInt64?
  ) throws(WireError) {
    id = applier.group
    self.context = context
    replica = try Replica(configuration, recovered, of: id, applied: applier.applied)
    tail = LogTail(
      group: id, context: context, last: replica.log.last,
      lastChain: recovered?.lastChain ?? Checksum.chainOrigin(cluster: configuration.cluster, group: id.rawValue),
      // A clock that was set back while this node was down must not show in the log.
      lastTimestamp: max(recovered?.lastTimestamp ?? 0, applier.time))
    lane = ApplyLane(
      group: id, context: context, applier: applier,
      // A machine with its own storage may be further on than the snapshot, and knows of itself where it is.
      chain: chain ?? snapshot.flatMap { $0.last.index == applier.applied ? $0.header.last.chain : nil },
      commit: replica.hardState.commit)
    snapshots = SnapshotLane(group: id, context: context, configuration: configuration, last: snapshot)
    room = RoomWatch(context: context)
    installs = InstallLane(group: id, context: context, members: configuration.members)
    lane.replay(through: replica.log.last)
    streams = StreamLane(group: id, context: context, applied: applier.applied)
    lane.record(streams.isRecording)
    wide = WideLevels(context: context)
    proposals = Proposals(group: id, context: context, wide: wide)
    reads = ReadQueue(context: context, firstID: Node.firstID(seed: configuration.seed))
    lease = Lease(limits: configuration.limits, length: configuration.driver.leaseTime)
    stages = GroupStages(recorder: context.stages)
    admission = Admission(
      context: context, group: id, incarnation: Codec.incarnation(cluster: configuration.cluster))
    sender = MessageSender(
      group: id, context: context, tail: tail, lane: lane, stages: stages, proposals: proposals, wide: wide,
      patienceTicks: configuration.limits.electionTicks / 2)
  }

  // What the replica's own computed properties say, from what it stores: those are asked of a copy of all of it.
  private var term: Term { replica.hardState.term }
  var commit: LogIndex { replica.hardState.commit }
  var members: Members { replica.configurations[replica.configurations.count - 1].members }
  /// By its case, as comparing it would be a call.
  var isLeading: Bool { if case .leader = replica.role { true } else { false } }
  private var leading: Term? { isLeading ? term : nil }
  var areWritesDue: Bool { tail.areWritesDue }
  var leader: NodeID? {
    switch replica.role {
    case .leader: context.id
    case .follower(let leader): leader
    case .preCandidate, .candidate: nil
    }
  }

  // MARK: Calls

  func take(_ request: Request, for target: ReplyTarget) {
    let admitted: Admission.Admitted
    do throws(CallStatus) {
      admitted = try admission.admit(request, lane, leader: leader, voters: replica.votingMembers.count)
    } catch {
      context.answers.refuse(target, error, leader: leader)
      return
    }
    let deadline = context.deadline(of: request)
    switch admitted {
    case .query: reads.arrive(request, for: target, deadline: deadline)
    case .command: takeCommand(request, target, deadline)
    case .ofSessions:
      var request = request
      request.options.isForSessions = true
      takeCommand(request, target, deadline)
    }
  }

  private func takeCommand(_ request: Request, _ target: ReplyTarget, _ deadline: UInt64) {
    if isLeading {
      if !proposals.areArrived { stages.isFirstArrived() }
      proposals.arrive(request, for: target, deadline: deadline)
    } else {
      context.forwarder.pass(
        request, of: id, for: target, to: leader, deadline: deadline, now: context.now, isCommand: true)
    }
  }

  // MARK: Events

  /// Returns whether something follows from it that belongs to a turn.
  func tick() -> Bool {
    lease.isTicked()
    let hasHappened = step(.tick)
    sender.tick(transferee: replica.transferee)
    installs.cancelIfReached(commit)
    let isStateDue = snapshots.tick(
      lane, log: replica.log.base.index, storedByAll: replica.storedByAll,
      isRoomShort: !replica.room.isAmple || installs.isWithoutRoom)
    let areStreamsDue = streams.tick(leader: leader)
    return reads.retryStalled() || areStreamsDue || isStateDue || hasHappened || replica.isTurnDue
  }

  func linkChanged(_ peer: NodeID, isUp: Bool) {
    step(isUp ? .linkRestored(peer) : .linkLost(peer))
    if !isUp { stages.linkLost(to: peer) }
  }

  func stored(_ write: WriteID) {
    step(.stored(write))
    if !replica.room.isAmple { updateRoom() }
    guard isLeading else { return }
    proposals.stored(through: replica.log.durable) { Evidence(of: replica, holding: $0, at: .leader) }
  }
  func roomIsMeasured() { updateRoom(isMeasured: true) }
  func happened(_ event: LocalEvent) { step(event) }

  /// A message of this peer, and what came with it.
  func receive(_ received: ReceivedMessage, from peer: NodeID) {
    if case .append(let request) = received.message, request.term >= term {
      guard !replica.log.contains(request.previous) || tail.mayFollow(request.previous, received.previousChain) else {
        context.fail(.diverged(id, request.previous.index))
        return
      }
      if let entries = received.entries {
        room.arrived(entries.bytes.count, term: request.term)
        updateRoom()
      }
    }
    // It would lead, and answer nobody until it has carried out what it still has to.
    if case .timeoutNow = received.message, !lane.isCaughtUp { return }
    tail.receiving(received.entries) {
      withEffects { replica.step(received.message, entries: received.coreEntries, from: peer, into: &$0) }
    }
    if case .appendReply(let reply) = received.message { stages.isAcknowledged(reply, term: term, by: peer) }
  }

  /// A snapshot of another node is here, durably, and takes the place of the log, unless that has gone on meanwhile.
  func installFinished(_ result: InstallResult) {
    guard installs.arrived(result) else { return }
    let base = result.snapshot.header.last
    do throws(WireError) {
      step(.installed(base.id, try Codec.members(from: base.members), term: result.term))
      installs.ended()
    } catch { context.fail(.corrupted(id, base.id.index, error.description)) }
  }

  /// "Discard the entire log", and "reset state machine using snapshot contents" (Raft figure 13, steps 7 and 8).
  private func reset() {
    let result = installs.take()
    let header = result.snapshot.header
    tail.reset(to: header.last, time: header.time)
    lane.reset(to: result.applier, chain: header.last.chain)
    streams.reset(to: lane.applied)
    reads.askAgain()
    proposals.overtaken(by: header.last.id.index, leader: leader)
    proposals.forgetReplaced(replica.log)
    snapshots.installed(result.snapshot, appliedBytes: lane.appliedBytes)
  }

  func entriesRead(_ purpose: DiskJob.Purpose, _ blocks: [EntryBlock]) {
    switch purpose {
    case .append: break
    case .apply: lane.loaded(blocks, proposals, evidence: { Evidence(of: replica) })
    case .follower(let peer):
      tail.loading(blocks, replica.log) { step(.loaded(peer, $0, bytes: $1)) }
    }
  }

  // MARK: A turn

  /// What has come since the last turn becomes entries and read rounds, and goes out to the followers.
  func gather() {
    if proposals.areHeld, !isLeading, leader != nil { proposals.resume { takeCommand($0, $1, $2) } }
    if isLeading, replica.transferee == nil, proposals.areArrived || proposals.areHeld {
      proposals.admit(replica.configuration.limits.uncommittedBytes, commit, replica.log, termStart: replica.termStart)
    }
    if proposals.areArrived {
      updateRoom(proposed: proposals.arrivedBytes)
      step(.proposed(sizes: proposals.sizes))
      proposals.clearArrived()
    }
    if reads.areLeased {
      let isHeld = lease.isHeld(replica.reads, of: leading, context)
      reads.settleLeased(at: isHeld ? commit : nil, applied: lane.applied)
    }
    if reads.isRequestDue { step(.readRequested(reads.request())) }
    endTurn()
  }

  func endTurn() {
    step(.turnEnded)
    lease.follow(replica.reads, of: leading, context)
  }

  /// Before the log gets so much more, and when the disk has said what it has left.
  private func updateRoom(proposed bytes: Int = 0, isMeasured: Bool = false) {
    let unstored = replica.log.bytes(behind: replica.log.durable)
    let room = room.changed(
      from: replica.room, waiting: unstored, proposed: bytes, term: term, isMeasured: isMeasured)
    if let room { step(.roomChanged(room)) }
  }

  func takeWrites(note: (WriteID) -> Void, into list: inout [LogWrite]) {
    tail.takeWrites(replica.log, replica.hardState, note: note, into: &list)
  }

  /// Applies and answers what can be. Returns true when there is more to do at once.
  func work() -> Bool {
    var isMore = false
    switch lane.apply(tail, durable: replica.log.durable, proposals, evidence: { Evidence(of: replica) }) {
    case .rest: break
    case .more: isMore = true
    case .load(let first, let last):
      read(.apply, from: first, through: last, maximumBytes: context.limits.applyBytes)
    }
    guard !context.hasFailed else { return false }
    streams.carriedOut(lane)
    if streams.deliver(leader: leader) { isMore = true }
    // Asked first where it lies: mostly nobody wants to know.
    if wide.areWaiting || replica.appliedReported < replica.reportApplied,
      let event = wide.applied(lane.applied, replica)
    {
      step(event)
      isMore = true
    }
    if snapshots.isDue, writeStateDown() { isMore = true }
    if lane.isHeld, !snapshots.isDue { isMore = lane.goOn() || isMore }
    // Answered at once, as a leader alone does: what has come meanwhile is to be asked for.
    let isMoreToRead = reads.answer(from: lane, leader: leader) { replica.log.mayContain($0) }
    if isMoreToRead || reads.isRequestDue { isMore = true }
    let floor = replica.log.floor
    tail.trim(before: lane.needed.map { min(floor, $0) } ?? floor)
    return isMore
  }

  /// Begins a snapshot if it is time for one, and has the log begin behind one if it can. Returns whether it does.
  private func writeStateDown() -> Bool {
    snapshots.consider(lane, durable: replica.log.durable) { replica.members(at: lane.applied) }
    let base = snapshots.base(behind: replica.log.base.index, storedByAll: replica.storedByAll, lane)
    guard let base else { return false }
    step(.compacted(base.id))
    guard replica.log.base == base.id else { return false }
    tail.begin(behind: base)
    return true
  }

  func expire(_ now: UInt64) {
    proposals.expire(now, commit: commit, log: replica.log, leader: leader)
    reads.expire(now, applied: lane.applied, leader: leader, installs.progress)
    if wide.areWaiting { wide.expire(now, replica, applied: lane.applied) }
  }

  @discardableResult
  private func step(_ event: LocalEvent) -> Bool { withEffects { replica.step(event, into: &$0) } }

  /// Returns whether there were any.
  @discardableResult
  private func withEffects(_ body: (inout [Effect]) -> Void) -> Bool {
    var list: [Effect] = []
    swap(&list, &spareEffects)
    body(&list)
    for effect in list { carryOut(effect) }
    let wereAny = !list.isEmpty
    list.removeAll(keepingCapacity: true)
    swap(&list, &spareEffects)
    return wereAny
  }

  private func carryOut(_ effect: Effect) {
    switch effect {
    case .append(let first, let count, let content): append(first, count, content)
    case .accept(let slice): accept(slice)
    case .store(let write): tail.add(write)
    case .send(let message, let peer): sender.send(message, to: peer)
    case .load(let peer, let first, let maximumBytes):
      read(.follower(peer), from: first, through: replica.log.durable, maximumBytes: maximumBytes)
    case .commit(let index):
      stages.isCommitted(index)
      lane.committed(index)
    case .proposalRefused(let refusal): proposals.refused(refusal, leader: leader)
    case .snapshotNeeded(let entry, let leader): installs.needed(entry, leader: leader)
    case .reset: reset()
    case .readReady(let read, let index): reads.confirmed(read, at: index, applied: lane.applied)
    case .readRefused(let read, let refusal): reads.refused(read, refusal, leader: leader)
    case .roleChanged(let role, let term, let leader): roleChanged(role, term, leader)
    case .configured(let members): context.observe(.configured(id, members))
    case .diskIsSlow(let ticks): context.observe(.diskIsSlow(id, ticks: ticks))
    case .diskAnswersAgain(let ticks): context.observe(.diskAnswersAgain(id, ticks: ticks))
    case .diverged(let index): context.fail(.diverged(id, index))
    case .protocolViolation(let peer, let violation):
      context.observe(.protocolViolation(id, peer, violation.explanation))
    }
  }

  private func append(_ first: EntryID, _ count: Int, _ content: AppendedContent) {
    tail.encode(first, count, content, proposals)
    guard case .proposal = content else { return }
    stages.isProposed(through: first.index.advanced(by: count - 1), commands: count)
    proposals.becameEntries(from: first)
  }

  private func accept(_ slice: LogSlice) {
    guard let isReplacing = tail.accept(slice) else {
      context.fail(.diverged(id, slice.first.previous))
      return
    }
    guard isReplacing else { return }
    proposals.forgetReplaced(replica.log)
    lane.replaced(from: slice.first)
  }

  private func roleChanged(_ role: RoleKind, _ term: Term, _ leader: NodeID?) {
    stages.roleChanged()
    if role != .leader { proposals.leadLost(replica, applied: lane.applied) }
    context.forwarder.leaderChanged(of: id, to: leader, now: context.now)
    context.observe(.roleChanged(id, role, term: term, leader: leader))
  }

  private func read(_ purpose: DiskJob.Purpose, from first: LogIndex, through last: LogIndex, maximumBytes: Int) {
    let work = DiskJob.Work.read(id, from: first, through: last, maximumBytes: maximumBytes, runs: replica.log.runs)
    context.submit(DiskJob(group: id, purpose: purpose, work: work))
  }
}
