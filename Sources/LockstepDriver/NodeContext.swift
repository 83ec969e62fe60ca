import LockstepConsensus
import LockstepRequests

/// What all groups of a node have in common.
final class NodeContext {
  let id: NodeID
  let limits: DriverLimits
  let links: any PeerLinks
  let disk: any DiskQueue
  let snapshots: any SnapshotQueue
  let installs: any InstallQueue
  let answers: Answers
  let ledger: CallLedger
  let forwarder: Forwarder
  let deadlines = Deadlines()
  let stop: StopInOrder
  let stages: StageRecorder
  let observe: (NodeEvent) -> Void

  /// Monotonic, and since 1970; both in nanoseconds, as of the last turn or tick. The first never goes back.
  private(set) var now: UInt64 = 0
  private(set) var wall: UInt64 = 0
  /// So often the monotonic clock said less than before: what was measured by it before then is worth nothing.
  private(set) var setBacks: UInt64 = 0
  /// Called for a job that was done at once.
  private var finished: (DiskResult) -> Void = { _ in }
  /// Set once: nothing is sent, stored or answered after that.
  private(set) var failure: NodeFailure?
  /// Whether there is a failure: asked often, and shorter to ask.
  private(set) var hasFailed = false
  /// What the disk has room for, as its last answer says; nil: nobody counts it.
  private(set) var space: LogSpace?
  private var measureDue: UInt64 = 0
  /// It was asked, and has not answered.
  private var isMeasuring = false

  init(
    _ configuration: Node.Configuration, links: any PeerLinks, disk: any DiskQueue, snapshots: any SnapshotQueue,
    installs: any InstallQueue, observe: @escaping (NodeEvent) -> Void, clock: @escaping () -> UInt64
  ) {
    id = configuration.id
    limits = configuration.driver
    self.links = links
    self.disk = disk
    self.snapshots = snapshots
    self.installs = installs
    self.observe = observe
    answers = Answers(node: id, limits: limits)
    ledger = CallLedger(limits: limits)
    stop = StopInOrder(node: id, limits: limits)
    stages = StageRecorder(clock: clock)
    forwarder = Forwarder(
      node: id, limits: limits, links: links, answers: answers, ledger: ledger, deadlines: deadlines,
      firstID: Node.firstID(seed: configuration.seed))
  }

  func advance(now: UInt64, wall: UInt64) {
    if now < self.now { setBacks += 1 }
    self.now = max(self.now, now)
    self.wall = wall
  }

  func onFinished(_ body: @escaping (DiskResult) -> Void) { finished = body }

  func submit(_ job: DiskJob) {
    if let result = disk.submit(job) { finished(result) }
  }

  /// The disk says with each answer how much room it has.
  func note(_ space: LogSpace?) {
    self.space = space ?? self.space
  }

  /// Whether it is to be asked, as what it has left may have changed without a job of ours.
  func isMeasureDue() -> Bool {
    guard limits.measureEvery > 0, now >= measureDue, !isMeasuring else { return false }
    measureDue = now &+ limits.measureEvery
    isMeasuring = true
    return true
  }

  func isMeasured() { isMeasuring = false }

  /// When this call's time is over, of which note is taken.
  func deadline(of request: Request) -> UInt64 {
    let asked = request.options.timeoutMilliseconds
    let deadline = now + min(asked == 0 ? limits.defaultTimeout : asked, limits.maximumTimeout) * 1_000_000
    deadlines.note(deadline)
    return deadline
  }

  /// What a call is refused with that is not answered when its time is over, or the node's.
  var lateness: CallStatus.Code { stop.isOver ? .unavailable : .deadlineExceeded }

  func fail(_ failure: NodeFailure) {
    self.failure = self.failure ?? failure
    hasFailed = true
  }
}

/// When the next call's time may be over. Early is harmless: then nothing is found, and the next one is looked for.
final class Deadlines {
  private(set) var next = UInt64.max

  func note(_ deadline: UInt64) { next = min(next, deadline) }

  /// Whether one may be over. If so, those that are still to come are to be noted again.
  func areOver(_ now: UInt64) -> Bool {
    guard now >= next else { return false }
    next = .max
    return true
  }
}
