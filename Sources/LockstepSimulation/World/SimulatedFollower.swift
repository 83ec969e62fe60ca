import LockstepConsensus
import LockstepDriver
import LockstepRequests
import LockstepWire

// Those who follow the changes of the group: at one node at a time, and at another one when that is lost, or for no reason.

/// One of them. What it is told is held against a replay of the log: each change once, in order, none left out.
final class SimulatedFollower: StreamWriter {
  let place: Int
  var isFlushDue = false
  let hasRoom = true
  let maximumReplyBytes = 1 << 20
  private unowned let world: World
  /// Where its stream is open, and in which process there.
  private(set) var node: Int?
  private var life = 0
  private var number: UInt64 = 0
  /// What it has not been told of begins here; nil: it has not begun.
  private var next: LogIndex?
  /// What it has granted.
  private var granted = 0
  /// On its way to it, and behind that how it has ended.
  private var inbox: [(items: [StreamItem], next: LogIndex?, node: NodeID)] = []
  private var ending: (status: CallStatus, index: LogIndex)?

  init(world: World, place: Int) {
    self.world = world
    self.place = place
  }

  private var isOpen: Bool { node.map { world.nodes[$0].isUp && world.nodes[$0].life == life } ?? false }

  /// Opens its stream, grants more, or goes elsewhere.
  func act() {
    // What was sent by a node that has died since may come all the same.
    if isOpen || world.followRandom.oneIn(2) { for told in inbox { judge(told.items, told.next, told.node) } }
    inbox = []
    if let (status, index) = ending { isOver(status, index) }
    ending = nil
    guard isOpen, let place = node, let node = world.nodes[place].node else { return open() }
    guard !world.followRandom.oneIn(8) else {
      // What comes next is lost on its way, or it says that it goes.
      if world.followRandom.oneIn(2) { _ = node.cancel(number, self) } else { node.closed(self) }
      world.faults.count(.followerMoved)
      return open()
    }
    grant(node)
    world.planTurn(place)
  }

  private func grant(_ node: Node) {
    let bytes = world.followRandom.below(4_000)
    granted += bytes
    node.credit(bytes, to: number, self)
  }

  private func open() {
    node = nil
    let place = world.followRandom.below(world.nodes.count)
    guard world.nodes[place].isUp, let chosen = world.nodes[place].node else { return }
    number += 1
    (node, life) = (place, world.nodes[place].life)
    granted = world.followRandom.below(8_000)
    // From the beginning, or from now on.
    if next == nil, world.followRandom.oneIn(2) { next = LogIndex(1) }
    let payload: [UInt8] = next == LogIndex(1) ? [2 << 3, 0] : []
    Array("\(ChangeMessages.service)/Watch".utf8).withUnsafeBytes { method in
      payload.withUnsafeBytes { payload in
        let from = next.flatMap { $0 > LogIndex(1) ? $0 : nil }
        chosen.open(
          StreamRequest(group: GroupID(0), method: method, payload: payload, from: from, credit: granted), id: number,
          self)
      }
    }
    world.planTurn(place)
  }

  // MARK: What it is told

  /// Judged when it has arrived: what a node has told, the books may know a moment later.
  func write(_ items: [StreamItem], of stream: UInt64, next told: LogIndex?, from node: NodeID) {
    if stream == number, self.node != nil { inbox.append((items, told, node)) }
  }

  private func judge(_ items: [StreamItem], _ told: LogIndex?, _ node: NodeID) {
    let name = "follower \(place), at node \(node)"
    guard let told else { return world.books.fail(.changesOnce, "\(name) is amid a state that it has not asked for") }
    // One that begins now is told where by the first that it is told of.
    var place = next ?? items.first?.index ?? told
    for item in items {
      granted -= item.credit
      guard let expected = world.books.replay.change(from: place) else {
        return world.books.fail(
          .changesOnce, "\(name) is told of entry \(item.index), and there is no change from \(place) on")
      }
      guard expected.index == item.index else {
        return world.books.fail(
          .changesOnce, "\(name) is told of entry \(item.index), and the change from \(place) on is \(expected.index)")
      }
      world.books.check(
        .changesOnce, item.payloads == [expected.bytes], "\(name) is told otherwise of entry \(item.index)")
      world.changesTold += 1
      place = item.index.next
    }
    if let missed = world.books.replay.change(from: place), missed.index < told {
      return world.books.fail(.changesOnce, "\(name) is not told of entry \(missed.index), and goes on with \(told)")
    }
    world.books.check(.changesOnce, told >= place, "\(name) goes on with \(told), and has got on to \(place)")
    next = max(told, place)
    // What was left over of one item may go beyond what was granted.
    world.books.check(
      .changesOnce, items.isEmpty || granted + (items.last?.credit ?? 0) > 0, "\(name) is told more than it has granted"
    )
  }

  func refuse(_ call: UInt64, _ outcome: Outcome, _ evidence: Evidence) {}
  func end(_ stream: UInt64, _ outcome: Outcome, _ evidence: Evidence) {
    guard stream == number, case .failure(let status) = outcome.answer else { return }
    ending = (status, outcome.index)
  }

  private func isOver(_ status: CallStatus, _ index: LogIndex) {
    node = nil
    guard status.code == .outOfRange else { return }
    world.faults.count(.followerTooLate)
    world.books.check(
      .changesOnce, index > next ?? .zero,
      "follower \(place) is told that entry \(next ?? .zero) is gone, and the first that is not is \(index)")
    // Mostly another node has it; if none has, it begins anew.
    if world.followRandom.oneIn(4) { next = nil }
  }

  func write(_ outcome: Outcome, position: Int, of call: UInt64, _ evidence: Evidence) {}
  func pass(_ answer: UnsafeRawBufferPointer, to call: UInt64) {}
  func flush() {}
}

extension World {
  func follow(_ place: Int) {
    followers[place].act()
    plan(.follow(place), in: 1_000_000 + UInt64(followRandom.below(200_000_000)))
  }
}
