import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepStorage
import LockstepTransport
import LockstepWire
import Logging
import NIOCore

/// What one node does on its event loop: frames, disk results and ticks go to the `Node`, and one turn follows each
/// burst of them. Confined to the loop.
final class ServerLoop {
  let configuration: ServerConfiguration
  let identity: PeerIdentity
  let eventLoop: any EventLoop
  let logger: Logger
  let disk: DiskThread
  let peers: PeerPort
  private let receiver: SnapshotReceiver
  private let sender: SnapshotSender
  let clients: ClientPort
  private(set) var node: Node
  /// Between two turns of which the first has left work to the second.
  private static let breath = TimeAmount.microseconds(50)
  private var isTurnScheduled = false
  private var ticks: RepeatingTimer?
  /// How far the others have acknowledged is looked at so seldom: it costs a write when it has changed.
  private static let noteEvery = TimeAmount.seconds(1)
  private var notes: RepeatingTimer?
  private let started = NIODeadline.now()
  /// Called once, when the node cannot go on.
  private let failed: (ServerFailure) -> Void
  private var isStopping = false
  private var isStopped = false
  /// The node cannot go on; its directory and ports are held until `stop`.
  private var hasFailed = false

  init(
    configuration: ServerConfiguration, identity: PeerIdentity, eventLoop: any EventLoop, logger: Logger,
    disk: DiskThread, peers: PeerPort, receiver: SnapshotReceiver, sender: SnapshotSender, node: Node,
    failed: @escaping (ServerFailure) -> Void
  ) {
    self.configuration = configuration
    self.identity = identity
    self.eventLoop = eventLoop
    self.logger = logger
    self.disk = disk
    self.peers = peers
    self.receiver = receiver
    self.sender = sender
    self.node = node
    self.failed = failed
    clients = ClientPort(log: peers.log, requestBytes: configuration.maximumRequestBytes)
    peers.server = self
    receiver.server = self
    sender.server = self
    clients.server = self
  }

  /// Begins to serve; the ports are bound already.
  func start() {
    peers.dialAll()
    let interval = TimeAmount.milliseconds(Int64(configuration.tickMilliseconds))
    ticks = RepeatingTimer(on: eventLoop, every: interval) {
      self.node.tick(now: self.monotonic, wall: WallClock.now())
      self.disk.tick()
      self.receiver.tick()
      self.clients.tick()
      self.scheduleTurn()
    }
    notes = RepeatingTimer(on: eventLoop, every: Self.noteEvery) { self.peers.noteAcknowledged() }
    scheduleTurn()
  }

  /// In good order: the lead is handed over, and what is under way is answered, before the ports are closed. At once
  /// when that is asked for a second time, or there is nothing that could be put in order.
  func stop() {
    guard !isStopped else { return }
    // While it still leads.
    peers.noteAcknowledged()
    guard ticks != nil, !hasFailed, !isStopping else { return close() }
    isStopping = true
    node.stop()
    scheduleTurn()
  }

  private func close() {
    guard !isStopped else { return }
    isStopped = true
    ticks?.stop()
    notes?.stop()
    // The disk last: when it has closed, the node has stopped, and another may take its ports.
    peers.stop { self.clients.stop { self.disk.stop() } }
  }

  /// One turn for all that this pass of the loop brings: it runs after the sockets that are ready have been read.
  func scheduleTurn() {
    guard !isTurnScheduled, !isStopped else { return }
    isTurnScheduled = true
    eventLoop.assumeIsolated().execute { self.takeTurn() }
  }

  private func takeTurn() {
    isTurnScheduled = false
    guard !isStopped else { return }
    if node.turn(now: monotonic, wall: WallClock.now()) {
      // The loop looks at its sockets when no task is left that is due. One that is due at once would keep it from them
      // until all work is done: no acknowledgement would be read, and no answer written that the kernel did not take.
      isTurnScheduled = true
      eventLoop.assumeIsolated().scheduleTask(in: Self.breath) { self.takeTurn() }
    }
    checkFailure()
    if isStopping, node.isStopped { close() }
  }

  func diskFinished(_ result: DiskResult) {
    guard !isStopped else { return }
    node.diskFinished(result)
    scheduleTurn()
  }

  func snapshotFinished(_ result: SnapshotResult) {
    guard !isStopped else { return }
    node.snapshotFinished(result)
    scheduleTurn()
  }

  /// It was found when another node was to read it.
  func snapshotIsUnsound(_ name: SnapshotName, _ reason: String) {
    guard !isStopped else { return }
    node.snapshotIsUnsound(of: name.group, name.index, reason)
    scheduleTurn()
  }

  func applierReady(_ group: GroupID) {
    guard !isStopped else { return }
    node.applierReady(group)
    scheduleTurn()
  }

  /// `answer` is called on the loop.
  func takeSnapshot(answer: @escaping SnapshotAnswer) {
    node.takeSnapshot(of: .first, answer: answer)
    scheduleTurn()
  }

  /// Something else than the log could not be stored.
  func diskFailed(_ error: StorageError) {
    guard !isStopped else { return }
    node.diskFailed(error)
    checkFailure()
  }

  private var monotonic: UInt64 { NIODeadline.now().uptimeNanoseconds }

  private func checkFailure() {
    guard let failure = node.failure, !hasFailed else { return }
    hasFailed = true
    ticks?.stop()
    if isStopping { close() }
    failed(ServerFailure(failure))
  }

  func status(id: UInt64) -> NodeReport {
    var status = node.status()
    status.id = id
    status.incarnation = identity.incarnation
    status.version = LockstepVersion.current
    status.uptimeMilliseconds = UInt64(max(0, (NIODeadline.now() - started).nanoseconds / 1_000_000))
    status.connections = UInt64(clients.connectionCount)
    (status.refused, status.refusedBy) = peers.refusals
    status.residentBytes = ProcessMemory.residentBytes()
    return status
  }
}

extension ServerFailure {
  init(_ failure: NodeFailure) {
    switch failure {
    case .storage(let error): self.init(whileRunning: error)
    case .diverged(_, let index):
      self.init(
        .diverged,
        "entry \(index), or the history before it, is not the same here as at the leader, though it is committed: one of the two logs was changed from outside, or put back to an earlier state. This node stops; compare with 'lockstep log inspect', and replace the wrong node's directory"
      )
    case .machine(_, let failure): self.init(.machine, "\(failure)")
    case .corrupted(_, let index, let reason):
      self.init(.damaged, "entry \(index) cannot be read back from memory or disk: \(reason)")
    }
  }
}
