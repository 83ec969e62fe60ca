import LockstepConsensus
import LockstepRequests
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

  func status(_ stage: Stage, peer: UInt64 = 0) -> StageFigures {
    StageFigures(
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

  mutating func replicated(to peer: NodeID, from start: UInt64, to end: UInt64, commands: Int) {
    if let place = replicate.firstIndex(where: { $0.peer == peer }) {
      replicate[place].time.record(from: start, to: end, commands: commands)
    } else {
      var time = StageTime()
      time.record(from: start, to: end, commands: commands)
      replicate.append((peer, time))
    }
  }

  var status: [StageFigures] {
    [queue.status(.queue), append.status(.append), sync.status(.sync), disk.status(.disk)]
      + replicate.sorted { $0.peer < $1.peer }.map { $0.time.status(.replicate, peer: $0.peer.rawValue) }
      + [quorum.status(.quorum), apply.status(.apply), reply.status(.reply)]
  }

  var counters: [CounterFigure] {
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
      return CounterFigure(name: counter.rawValue, value: value)
    }
  }
}
