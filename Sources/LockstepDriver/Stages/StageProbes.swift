import LockstepConsensus

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
