package import LockstepConsensus
package import LockstepDriver
package import LockstepExecution
package import LockstepStorage
package import LockstepWire

/// What a world is made of, apart from what goes wrong in it.
package struct WorldOptions: Sendable {
  package var seed: UInt64
  package var nodes = 3
  package var clients = 4
  package var preferredLeader: NodeID?
  package var limits = Limits()
  package var driver = DriverLimits()
  /// Every other process begins with lower limits: of requests, of messages, of what it writes and applies at a time.
  package var limitsDiffer = false
  package var log = LogOptions()
  /// Of each node's directory.
  package var diskBudget: Int?
  /// Virtual nanoseconds.
  package var tick: UInt64 = 10_000_000
  package var latency: UInt64 = 50_000
  /// Between the answer to a client and its next call, up to twice as long; 0: at once.
  package var thinkTime: UInt64 = 20_000_000
  /// After about so many calls a client rests, up to twice as long as this; 0: it never does.
  package var restTime: UInt64 = 0
  package var callsInBurst = 16
  /// One of so many commands is the first of a batch; 0: none is.
  package var batchesIn = 0
  /// One of so many commands asks for another level of acknowledgement than a quorum; 0: none does.
  package var levelsIn = 0
  /// One of so many clients has a session, and sends again what it has heard nothing of; 0: none has.
  package var sessionsIn = 0
  package var sessionLimits = SessionLimits.usual
  /// So many follow the changes.
  package var followers = 0
  /// So many callers share one process, and with it its connections.
  package var callsAtOnce = 1
  /// Most calls of a process go to one node.
  package var hasFavorites = false
  /// Bytes that may wait on a link, and on a connection of a client; over half of that there is no room for what is
  /// long. As with real ones, the longest frame must fit in twice, or more.
  package var linkBytes = 64 << 20
  package var clientBytes = 16 << 20
  package var batchReplies = BatchReplyLimits()
  /// In which a frame that was begun must be whole.
  package var frameDeadline: UInt64 = 1_000_000_000
  /// Machines answer some time after they were given commands.
  package var appliesLate = false
  /// Machines keep their state on the disk of their node, by themselves; they answer late, too.
  package var keepsState = false
  /// Every one of so many entries is on the disk when it is carried out, with all before it.
  package var entriesBetweenWrites: UInt64 = 1
  /// A short append may run at once, as on a real server.
  package var runsAtOnce = true

  package init(seed: UInt64) {
    self.seed = seed
    driver.measureEvery = 300_000_000
    (driver.reservedLogBytes, driver.roomForProposed) = (1_000, 4_000)
    log.segmentBytes = 64 << 10
    log.firstSegmentBytes = 64 << 10
    log.recoveredBytes = 64 << 10
    log.indexSpacing = 4 << 10
  }

  package var electionTimeout: UInt64 { UInt64(limits.electionTicks) * tick }

  /// Reads at level `lease`, where the rates of two clocks differ by so many per cent at most.
  package mutating func serveLeases(drift: UInt64) {
    limits.leases = .served
    driver.leaseTime = UInt64(Replica.peacefulTicks(limits)) * tick * (100 - drift) / 100
  }
}
