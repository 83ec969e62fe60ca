import LockstepConsensus
import LockstepRequests

/// Calls that were passed on to the leader, and wait for its answer. They go out as they came, and their answers come
/// back as the leader wrote them: nothing is unpacked and packed again.
final class Forwarder {
  private struct Forwarded {
    let group: GroupID
    let target: ReplyTarget
    let leader: NodeID
    var deadline: UInt64
    /// Another node leads since, or none that is known: it is waited for no longer than for that.
    var isSuperseded = false
    /// A query has no effect.
    let isCommand: Bool
    let isBatch: Bool
    /// The permit.
    let calls: Int
    let bytes: Int
  }

  private let node: NodeID
  private let limits: DriverLimits
  private let links: any PeerLinks
  private let answers: Answers
  private let ledger: CallLedger
  private let deadlines: Deadlines
  /// Each has its permit, which is given back when it leaves the table.
  private var table: GrowingTable<Forwarded>

  init(
    node: NodeID, limits: DriverLimits, links: any PeerLinks, answers: Answers, ledger: CallLedger,
    deadlines: Deadlines, firstID: UInt64
  ) {
    self.node = node
    self.limits = limits
    self.links = links
    self.answers = answers
    self.ledger = ledger
    self.deadlines = deadlines
    table = GrowingTable(firstID: firstID)
  }

  var count: Int { table.count }
  var capacity: Int { table.capacity }

  /// Who can be asked in place of this node.
  func check(_ leader: NodeID?) throws(CallStatus) -> NodeID {
    guard let leader, leader != node else {
      let reason = "an election is under way, or a majority of the voters cannot be reached"
      throw CallStatus(.unavailable, "no leader is known to node \(node): \(reason)")
    }
    guard !limits.refusesToForward else {
      throw CallStatus(.unavailable, "node \(node) does not lead, and passes nothing on; node \(leader) does")
    }
    guard links.isConnected(leader) else {
      throw CallStatus(.unavailable, "node \(node) has no connection to the leader, node \(leader)")
    }
    return leader
  }

  /// Passes a call on, once: what came from another node already is answered instead. The call has its permit.
  func pass(
    _ request: Request, of group: GroupID, for target: ReplyTarget, to leader: NodeID?, deadline: UInt64, now: UInt64,
    isCommand: Bool
  ) {
    // Which group is the first is each node's own to know.
    var request = request
    request.group = group
    let (calls, bytes) = (request.payloads.count, CallLedger.bytes(request))
    do throws(CallStatus) {
      if request.options.isForwarded, let leader, leader != node {
        throw CallStatus(.unavailable, "node \(node) does not lead (any more); node \(leader) does")
      }
      let leader = try check(leader)
      let forwarded = Forwarded(
        group: group, target: target, leader: leader, deadline: deadline, isCommand: isCommand,
        isBatch: request.payloads.isBatch,
        calls: calls, bytes: bytes)
      let id = table.add(forwarded)
      let left = max(1, Self.leadersTime(of: (deadline - min(deadline, now)) / 1_000_000))
      switch links.forward(request, id: id, timeoutMilliseconds: left, to: leader) {
      case .sent: deadlines.note(deadline)
      case .full:
        _ = table.remove(id)
        throw CallStatus(.unavailable, "node \(node) has too much to say to the leader, node \(leader), already")
      case .notConnected:
        _ = table.remove(id)
        throw CallStatus(.unavailable, "node \(node) has no connection to the leader, node \(leader)")
      }
    } catch {
      ledger.giveBack(calls: calls, bytes: bytes)
      answers.refuse(target, error, leader: leader)
    }
  }

  /// In milliseconds, of what is left here: what the leader says in the end, such as who is missing, is to be here before
  /// that.
  private static func leadersTime(of left: UInt64) -> UInt64 { left - min(left / 8, 30) }

  /// Answers of a node that was not asked, or too late, are not believed.
  func answered(_ id: UInt64, _ answer: UnsafeRawBufferPointer, isBatch: Bool, by peer: NodeID) {
    guard let forwarded = table.remove(id) else { return }
    ledger.giveBack(calls: forwarded.calls, bytes: forwarded.bytes)
    if forwarded.leader != peer {
      fail(forwarded, .unavailable, "the answer came from another node than was asked")
    } else if forwarded.isBatch != isBatch {
      fail(forwarded, .internal, "node \(peer) has answered another kind of call than was passed on")
    } else {
      answers.pass(answer, to: forwarded.target)
    }
  }

  func linkLost(to peer: NodeID) {
    end(where: { $0.leader == peer }) {
      fail($0, .unavailable, "the connection to the leader, node \(peer), was lost")
    }
  }

  /// Who led before may still answer what it was asked, but it may also be cut off or stand still: it is waited for no
  /// longer than this.
  func leaderChanged(of group: GroupID, to leader: NodeID?, now: UInt64) {
    guard table.count > 0 else { return }
    let end = now + limits.formerLeaderTimeout * 1_000_000
    table.change {
      guard $0.group == group, $0.leader != leader, $0.deadline > end else { return }
      ($0.deadline, $0.isSuperseded) = (end, true)
    }
    deadlines.note(end)
  }

  /// A call whose time is over is told so, and never more than is known.
  func expire(_ now: UInt64, as lateness: CallStatus.Code) {
    end(where: { $0.deadline <= now }) {
      if $0.isSuperseded {
        fail($0, .unavailable, "node \($0.leader), which led when the call was passed on, leads no more, and is silent")
      } else {
        fail($0, lateness, "the leader, node \($0.leader), did not answer in time")
      }
    }
    table.forEach { deadlines.note($0.deadline) }
  }

  private func end(where matches: (Forwarded) -> Bool, _ body: (Forwarded) -> Void) {
    for forwarded in table.removeAll(where: matches) {
      ledger.giveBack(calls: forwarded.calls, bytes: forwarded.bytes)
      body(forwarded)
    }
  }

  /// What these calls count for in the ledger.
  var permits: (calls: Int, bytes: Int) {
    var (calls, bytes) = (0, 0)
    guard table.count > 0 else { return (0, 0) }
    table.forEach { (calls, bytes) = (calls + $0.calls, bytes + $0.bytes) }
    return (calls, bytes)
  }

  private func fail(_ forwarded: Forwarded, _ code: CallStatus.Code, _ message: String) {
    answers.refuse(
      forwarded.target, CallStatus(code, message), applied: forwarded.isCommand ? .unknown : .no,
      leader: forwarded.leader)
  }
}
