import LockstepConsensus
import LockstepDriver
import LockstepExecution
import LockstepPeers
import LockstepStorage
import LockstepWire

/// One node: the real driver, log and machine between a simulated disk, simulated links and a simulated clock.
final class SimulatedNode {
  enum State: Equatable {
    case down
    case up
    /// It does not start any more: its disk is not what it was.
    case refused(String)
  }

  let place: Int
  let disk: SimulatedDisk
  let links: SimulatedLinks
  var clock = SimulatedClock()
  var state = State.down
  /// Counts its processes.
  var life = 0
  /// How often one of them has come so far that it took part.
  var starts = 0
  var isPaused = false
  /// What came while it was paused.
  var deferred: [Event] = []

  // Of the process that runs.
  var node: Node?
  var worker: DiskWorker?
  var directory: NodeDirectory?
  /// What it is started with, where that is not as with the others.
  var diskBudget: Int?
  /// Of its disk, when it began; and what it counts itself.
  var bytesAtStart = 0
  var budget: DiskBudget?
  var identity: PeerIdentity?
  var memory = PeerMemory()
  var isTurnPlanned = false
  var ticks = 0
  var jobs: [DiskJob] = []
  var peerReplies: [(peer: NodeID, replies: FramedReplies)] = []
  var isDiskBusy = false
  var snapshot: SnapshotWork?
  /// Written, and read back, of it so far.
  var snapshotBytes = 0
  var installs: SimulatedInstalls?
  /// Those that are durable, as the process knows: of which entries.
  var snapshots: [LogIndex] = []
  /// For want of room one has to do.
  var hasTrimmed = false
  /// It takes no commands for want of room: as leader it may hand over.
  var isShortOfRoom = false
  /// The paths of those in which a bit has changed.
  var rottenSnapshots: [String] = []
  /// Its machine has said that it cannot go on.
  var machineHasFailed = false
  /// So far its machine was when the process before this one ended.
  var appliedBefore = LogIndex.zero
  /// It was told to stop in order.
  var isStopping = false
  /// The process dies as soon as the event is over, and nothing that it says from here on leaves it.
  var doom: FaultKind?
  /// Faults of the disk when the process began: those that came since can explain its end.
  var diskFaultsBefore = 0
  /// Its disk may lose what was synced.
  var isUnreliable = false
  var mayStart = true
  /// Its disk came in place of another one: it is started with that word.
  var isDiskReplaced = false
  /// The end of its log is lost since it stopped in order, and this is what was there: its next start must say so.
  var beforeDamage: SimulatedDisk.Image?
  /// How often its log was appended to, and how often when it last noted how far it is synced: beside an older copy of the
  /// log that note must keep it from starting. Zero when a power cut may have taken the note.
  var appends = 0
  var notedAppends = 0
  /// How much slower than it should be it gets to its turns, in nanoseconds.
  var starvation: UInt64 = 0
  /// So many times as slow; and until then nothing is finished.
  var diskSlowness: UInt64 = 1
  var diskStalledUntil: UInt64 = 0

  init(place: Int, disk: SimulatedDisk, links: SimulatedLinks) {
    self.place = place
    self.disk = disk
    self.links = links
  }

  var isUp: Bool { state == .up }

  /// Where the answers go to calls that this peer has passed on.
  func replies(to peer: NodeID, in world: World) -> FramedReplies {
    if let known = peerReplies.first(where: { $0.peer == peer }) { return known.replies }
    let replies = FramedReplies(
      SimulatedPeerReplies(world: world, links: links, peer: peer), codec: world.codec, form: .forwarded,
      limits: world.options.batchReplies)
    peerReplies.append((peer, replies))
    return replies
  }

  /// Faults that make a healthy process end.
  var diskFaults: Int {
    let kinds: [FaultKind] = [
      .readFailed, .writeFailed, .shortWrite, .syncFailed, .diskFull, .misdirectedWrite, .staleSector, .syncLied,
    ]
    return kinds.reduce(0) { $0 + disk.counts[$1] }
  }
}

/// The disk thread of one node: jobs in order, one at a time, finished after a while.
final class SimulatedQueue: DiskQueue {
  private unowned let world: World
  private let place: Int

  init(world: World, place: Int) {
    self.world = world
    self.place = place
  }

  func submit(_ job: DiskJob) -> DiskResult? { world.submit(job, at: place) }
}
