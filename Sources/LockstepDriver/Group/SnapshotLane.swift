import LockstepConsensus
import LockstepExecution
import LockstepStorage
import LockstepWire

/// When the state of one group is written down, and what became of it. One at a time: the state is frozen here, at once,
/// and written elsewhere (`SnapshotQueue`).
final class SnapshotLane {
  private let group: GroupID
  private let context: NodeContext
  private let addresses: [DiskIdentity.Member]
  private let cluster: [UInt8]
  /// Those that are durable, as far as this process knows, the last one at the end; at most as many as are kept. All but
  /// the last were read whole since they were written, or when this process began with them.
  private var kept: [StoredSnapshot]
  /// The last entry of the one that is being written.
  private(set) var underWay: LogIndex?
  /// Of entries, all that were applied when the last one was frozen, or the node started.
  private var appliedBytes = 0
  /// Of entries, all that were applied when a member first held up the beginning of the log.
  private var heldUpSince: Int?
  /// Log that may gather behind a snapshot; the first time other than later, so that no two replicas are at it together.
  private var allowance: Int
  /// Monotonic, in nanoseconds: when there is to be one whatever the size of the log.
  private var due: UInt64?
  /// After one that failed.
  private var retryDue: UInt64 = 0
  private static let retryAfter: UInt64 = 30_000_000_000
  /// What the disk had for this node's own files then, those that were there included: with more of it, as a stranger's file
  /// is gone, the next one is tried at once.
  private var roomAtFailure: Int?
  private static let moreRoom = 1 << 20
  /// After one that was written: one for want of room alone may follow then, as it reads and writes all of the state.
  private var pausedUntil: UInt64 = 0
  /// Until the first one.
  private let firstAge: UInt64
  /// There is no room: since when; when that has lasted, one snapshot has to do, and whether it does.
  private var shortSince: UInt64?
  private var isTrimming = false
  private var isTrimmed = false
  private static let patience: UInt64 = 2_000_000_000
  /// Who has asked for one that has not begun, and for the one that is being written.
  private var requests: [SnapshotAnswer] = []
  private var waiting: [SnapshotAnswer] = []
  /// Something is to be looked at in the turn: asked once a tick, and not in each turn.
  private(set) var isDue = false

  init(group: GroupID, context: NodeContext, configuration: Node.Configuration, last: StoredSnapshot?) {
    self.group = group
    self.context = context
    kept = last.map { [$0] } ?? []
    addresses = configuration.addresses
    cluster = configuration.cluster
    let limits = configuration.driver
    allowance = limits.snapshotAllowance(last: last?.fileBytes)
    // Members apply the same log, so those that begin at different times stay apart.
    let members = configuration.members.all
    let rank = members.firstIndex(of: configuration.id) ?? 0
    let apart = allowance / max(1, members.count) * rank
    let isBound = allowance < max(limits.snapshotLogBytes, last?.fileBytes ?? 0)
    allowance += isBound ? -apart / 2 : apart
    firstAge = limits.snapshotAge + limits.snapshotAge / UInt64(max(1, members.count)) * UInt64(rank)
  }

  /// The last one that is durable.
  var last: StoredSnapshot? { kept.last }

  /// Where the log can begin that begins behind entry `index` now: behind the snapshot before the last, so that a start
  /// for which the last one is damaged still has all that it needs. A member that has not come so far may hold that up
  /// until so much more log has come together; then it gets a snapshot.
  func base(behind index: LogIndex, storedByAll: LogIndex, _ lane: ApplyLane) -> LogBase? {
    guard kept.count > 1 || isTrimmed, let base = kept.first?.header.last, base.id.index > index else { return nil }
    guard base.id.index > storedByAll, shortSince == nil else { return base }
    let since = heldUpSince ?? lane.appliedBytes
    heldUpSince = since
    return lane.appliedBytes - since >= context.limits.retainedBytes ? base : nil
  }

  /// The state is to be written down as soon as it can be.
  func request(_ answer: @escaping SnapshotAnswer) {
    requests.append(answer)
    isDue = true
  }

  /// Returns whether there is something to do: a snapshot to take, or a log to begin further on.
  func tick(_ lane: ApplyLane, log index: LogIndex, storedByAll: LogIndex, isRoomShort: Bool) -> Bool {
    shortSince = isRoomShort ? shortSince ?? context.now : nil
    retryIfRoomIsBack()
    trimIfDue(log: index)
    if isTimeForOne(lane) || base(behind: index, storedByAll: storedByAll, lane) != nil { isDue = true }
    return isDue
  }

  private func isTimeForOne(_ lane: ApplyLane) -> Bool {
    guard underWay == nil, !isTrimming else { return false }
    let due = due ?? context.now &+ firstAge
    self.due = due
    let bytes = lane.appliedBytes - appliedBytes
    // A log that begins further on makes room.
    let isLastResort = bytes > 0 && isTrimmed && isShortForLong && context.now >= pausedUntil
    let isOfUse = shortSince != nil && (bytes >= allowance / 8 || isLastResort)
    return !requests.isEmpty || bytes >= allowance || isOfUse && context.now >= retryDue || context.now >= due
  }

  private func retryIfRoomIsBack() {
    guard let before = roomAtFailure, let room, room >= before + Self.moreRoom else { return }
    roomAtFailure = nil
    (due, retryDue) = (context.now, context.now)
  }

  private var room: Int? { context.space.map { $0.disk.limit - $0.disk.others } }

  private var isShortForLong: Bool { shortSince.map { context.now &- $0 >= Self.patience } ?? false }

  /// Where room is short and no command is taken, there will be no further snapshot: the log can only begin behind the last
  /// one, once that was read whole, and the one before it is room as well.
  private func trimIfDue(log index: LogIndex) {
    guard isShortForLong, underWay == nil, !isTrimming, !isTrimmed, let last, last.last.index >= index else { return }
    isTrimming = true
    context.snapshots.write(SnapshotJob(trimmingTo: last, from: kept.dropLast()))
  }

  /// Begins a snapshot if it is time for one. Of entries that this node's own disk has, alone: the log that is there at a
  /// start must go on behind it.
  func consider(_ lane: ApplyLane, durable: LogIndex, members: () -> Members) {
    isDue = false
    guard isTimeForOne(lane), !context.hasFailed else { return }
    guard lane.applied > (last?.last.index ?? .zero) else { return answerWithLast() }
    guard lane.applied <= durable else { return }
    guard let chain = lane.appliedChain, let frozen = lane.freeze() else {
      // An applier that always has more to do would never be at rest.
      isDue = lane.hold()
      return
    }
    (waiting, requests) = (requests, [])
    underWay = frozen.last.index
    appliedBytes = lane.appliedBytes
    self.due = context.now &+ context.limits.snapshotAge
    let header = SnapshotHeader(
      cluster: cluster, group: group,
      last: LogBase(id: frozen.last, chain: chain, members: Codec.packed(members())), addresses: addresses,
      machineVersion: frozen.machineVersion, time: frozen.time, digest: frozen.digest)
    context.snapshots.write(SnapshotJob(header: header, content: frozen.content, kept: kept))
  }

  /// Nothing has happened since the last one.
  private func answerWithLast() {
    due = context.now &+ context.limits.snapshotAge
    for answer in requests { answer(last.map { .success(SnapshotDone($0, nanoseconds: 0)) } ?? .failure(Self.nothing)) }
    requests = []
  }

  /// The node ends, and nobody gets one any more.
  func refuse(_ status: CallStatus) {
    let answers = waiting + requests
    (waiting, requests) = ([], [])
    for answer in answers { answer(.failure(status)) }
  }

  private static let nothing = CallStatus(
    .failedPrecondition, "nothing was applied so far: there is no state to write down")

  /// One that others were to read. The state that it was made of is here: another one takes its place. So it does where a
  /// start has found that already, and could not remove it: others are sent the newest.
  func isUnsound(_ index: LogIndex, _ reason: String) {
    guard kept.contains(where: { $0.last.index == index }) || index > last?.last.index ?? .zero else { return }
    kept.removeAll { $0.last.index == index }
    context.observe(.snapshotUnsound(group, index, reason))
    due = context.now
    isDue = true
  }

  func finished(_ result: SnapshotResult) {
    if case .trimmed = result.outcome { isTrimming = false } else { underWay = nil }
    isDue = true
    let answers = waiting
    waiting = []
    for one in result.unsound { context.observe(.snapshotUnsound(group, one.index, one.reason)) }
    for reason in result.left { context.observe(.snapshotLeft(group, reason)) }
    kept.removeAll { snapshot in result.unsound.contains { $0.index == snapshot.last.index } }
    switch result.outcome {
    case .written(let snapshot):
      roomAtFailure = nil
      // One that was overtaken by another node's is of no use.
      if snapshot.last.index > last?.last.index ?? .zero { keep(snapshot) }
      allowance = context.limits.snapshotAllowance(last: snapshot.fileBytes)
      context.observe(.snapshotTaken(group, snapshot.last, bytes: snapshot.fileBytes, nanoseconds: result.nanoseconds))
      for answer in answers { answer(.success(SnapshotDone(snapshot, nanoseconds: result.nanoseconds))) }
    case .trimmed:
      // In place of one that does not hold, another one is as good.
      if !result.unsound.isEmpty { due = context.now }
      guard result.unsound.isEmpty, let last, last.last == result.last else { return }
      (kept, isTrimmed) = ([last], true)
      context.observe(.snapshotsTrimmed(group, last.last))
    case .failed(let status):
      retryDue = context.now &+ Self.retryAfter
      due = min(due ?? .max, retryDue)
      roomAtFailure = room
      context.observe(.snapshotFailed(group, result.last.index, status.message))
      for answer in answers { answer(.failure(status)) }
    }
  }

  private func keep(_ snapshot: StoredSnapshot) {
    kept.append(snapshot)
    if kept.count > SnapshotStore.kept { kept.removeFirst() }
    heldUpSince = nil
    isTrimmed = false
    pausedUntil = context.now &+ Self.retryAfter
  }

  /// One that has come from another node is as good as one's own; and those before it are of no use to a log that begins
  /// behind it.
  func installed(_ snapshot: StoredSnapshot, appliedBytes: Int) {
    kept = []
    keep(snapshot)
    self.appliedBytes = appliedBytes
    due = context.now &+ context.limits.snapshotAge
  }

  // MARK: Invariants

  func check(applied: LogIndex, durable: LogIndex) {
    precondition(underWay ?? .zero <= applied, "a snapshot of what is not applied")
    precondition(last?.last.index ?? .zero <= durable, "a snapshot beyond the log on the disk")
    precondition(underWay != nil || waiting.isEmpty, "answers are owed for a snapshot that nobody writes")
  }
}
