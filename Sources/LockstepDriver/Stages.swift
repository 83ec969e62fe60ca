import LockstepConsensus
import LockstepWire

/// How long commands were in one stage. What is measured is a batch; each command of it counts with the batch's time,
/// since it waits for all of it.
struct StageTime: Sendable, Equatable {
  private(set) var count: UInt64 = 0
  /// Wraps around after some weeks of a full load; who takes the difference of two is right all the same.
  private(set) var total: UInt64 = 0
  private(set) var maximum: UInt64 = 0

  mutating func record(_ nanoseconds: UInt64, commands: Int) {
    guard commands > 0 else { return }
    count &+= UInt64(commands)
    total &+= nanoseconds &* UInt64(commands)
    maximum = max(maximum, nanoseconds)
  }

  /// A clock that was set back between the two makes no time, and no enormous one.
  mutating func record(from start: UInt64, to end: UInt64, commands: Int) {
    record(end > start ? end - start : 0, commands: commands)
  }

  func status(_ stage: Stage, peer: UInt64 = 0) -> StageStatus {
    StageStatus(
      name: stage.rawValue, peer: peer, count: count, totalNanoseconds: total, maximumNanoseconds: maximum)
  }
}

/// What a node counts of its own work: a few additions a batch, and nothing a command. It never decides anything.
struct StageTimes: Sendable {
  var queue = StageTime()
  var append = StageTime()
  var sync = StageTime()
  var disk = StageTime()
  var replicate: [(peer: NodeID, time: StageTime)] = []
  var quorum = StageTime()
  var apply = StageTime()
  var reply = StageTime()

  var turns: UInt64 = 0
  var batches: UInt64 = 0
  var syncs: UInt64 = 0
  var entries: UInt64 = 0
  var bytes: UInt64 = 0
  var frames: UInt64 = 0

  /// Something was proposed or sent in some group, and has not left this node.
  var isHandingOver = false
  /// The append that the disk is at.
  var writing: (start: UInt64, entries: Int, bytes: Int)?

  mutating func replicated(to peer: NodeID, from start: UInt64, to end: UInt64, commands: Int) {
    if let place = replicate.firstIndex(where: { $0.peer == peer }) {
      replicate[place].time.record(from: start, to: end, commands: commands)
    } else {
      var time = StageTime()
      time.record(from: start, to: end, commands: commands)
      replicate.append((peer, time))
    }
  }

  var status: [StageStatus] {
    [queue.status(.queue), append.status(.append), sync.status(.sync), disk.status(.disk)]
      + replicate.sorted { $0.peer < $1.peer }.map { $0.time.status(.replicate, peer: $0.peer.rawValue) }
      + [quorum.status(.quorum), apply.status(.apply), reply.status(.reply)]
  }

  var counters: [CounterStatus] {
    StageCounter.allCases.map { counter in
      let value =
        switch counter {
        case .turns: turns
        case .batches: batches
        case .syncs: syncs
        case .entries: entries
        case .bytes: bytes
        case .frames: frames
        }
      return CounterStatus(name: counter.rawValue, value: value)
    }
  }
}

/// What a group's stages wait for. Of what takes many turns, one batch at a time is followed: the next one that is
/// measured is the next that begins when it has come to its end.
struct StageProbes {
  struct Probe {
    let last: LogIndex
    let commands: Int
    let start: UInt64
  }

  /// Entries on their way to a follower and back.
  struct Replication {
    let peer: NodeID
    var last = LogIndex.zero
    /// 0: nothing is on its way.
    var commands = 0
    /// Nil until they have left this node.
    var start: UInt64?
  }

  /// When the first of the commands came that wait to be proposed.
  var arrival: UInt64?
  /// Proposed in this turn, and not yet handed to the links.
  var proposed: Probe?
  /// On its way to being committed.
  var quorum: Probe?
  var replicate: [Replication] = []
  /// Who leads has changed, and with it what becomes of all that is under way.
  mutating func forget() {
    proposed = nil
    quorum = nil
    replicate.removeAll(keepingCapacity: true)
  }

  mutating func send(_ slice: LogSlice, to peer: NodeID) {
    for place in replicate.indices where replicate[place].peer == peer {
      guard replicate[place].commands == 0 else { return }
      replicate[place].last = slice.last
      replicate[place].commands = slice.count
      replicate[place].start = nil
      return
    }
    replicate.append(Replication(peer: peer, last: slice.last, commands: slice.count))
  }

  mutating func leave(at time: UInt64) {
    for place in replicate.indices where replicate[place].start == nil { replicate[place].start = time }
  }

  /// The follower has all up to `match`: returns what that measures, if anything.
  mutating func acknowledge(_ match: LogIndex, by peer: NodeID) -> (start: UInt64, commands: Int)? {
    for place in replicate.indices where replicate[place].peer == peer {
      let commands = replicate[place].commands
      guard commands > 0, match >= replicate[place].last, let start = replicate[place].start else { return nil }
      replicate[place].commands = 0
      return (start, commands)
    }
    return nil
  }

  mutating func lose(_ peer: NodeID) {
    for place in replicate.indices where replicate[place].peer == peer { replicate[place].commands = 0 }
  }
}
