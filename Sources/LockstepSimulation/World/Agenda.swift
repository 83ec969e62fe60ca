/// What is to happen, by time and, at the same time, in the order in which it was planned: a binary heap of plain keys.
/// The events themselves do not move: they hold references, and to move them would be to count those.
struct Agenda {
  private struct Key {
    let time: UInt64
    let number: UInt64
    let slot: Int

    func precedes(_ other: Key) -> Bool { time != other.time ? time < other.time : number < other.number }
  }

  private var keys: [Key] = []
  private var events: [Event?] = []
  private var free: [Int] = []
  private var planned: UInt64 = 0

  var count: Int { keys.count }
  var nextTime: UInt64? { keys.first?.time }

  mutating func add(_ event: Event, at time: UInt64) {
    planned += 1
    let slot: Int
    if let old = free.popLast() {
      slot = old
      events[slot] = event
    } else {
      slot = events.count
      events.append(event)
    }
    let key = Key(time: time, number: planned, slot: slot)
    keys.append(key)
    var place = keys.count - 1
    while place > 0 {
      let parent = (place - 1) / 2
      guard key.precedes(keys[parent]) else { break }
      keys[place] = keys[parent]
      place = parent
    }
    keys[place] = key
  }

  mutating func next() -> (time: UInt64, event: Event)? {
    guard let first = keys.first, let moved = keys.popLast() else { return nil }
    if !keys.isEmpty { sink(moved) }
    guard let event = events[first.slot].take() else { return nil }
    free.append(first.slot)
    return (first.time, event)
  }

  /// Puts a key in at the top, and lets it down to where it belongs.
  private mutating func sink(_ key: Key) {
    var place = 0
    while true {
      var child = 2 * place + 1
      guard child < keys.count else { break }
      if child + 1 < keys.count, keys[child + 1].precedes(keys[child]) { child += 1 }
      guard keys[child].precedes(key) else { break }
      keys[place] = keys[child]
      place = child
    }
    keys[place] = key
  }
}

/// Nodes and clients by their places. `life` is that of the process that planned it: what a dead one had planned does
/// not happen.
enum Event {
  case tick(node: Int, life: Int)
  case turn(node: Int, life: Int)
  case disk(node: Int, life: Int)
  case applied(node: Int, life: Int)
  case snapshot(node: Int, life: Int)
  case install(node: Int, life: Int, InstallEvent)
  case start(node: Int)
  case resume(node: Int)
  case dial(from: Int, to: Int, life: Int)
  case deliver(SimulatedConnection, [UInt8])
  case welcome(SimulatedConnection)
  case handshakeDue(SimulatedConnection)
  case hangUp(SimulatedConnection)
  case tireOf(SimulatedConnection)
  case arrive(CallUnderWay, node: Int, life: Int)
  case reply(client: Int, call: UInt64, bytes: [UInt8]?)
  case read(SimulatedSink, number: Int)
  case giveUp(client: Int, call: UInt64)
  case act(client: Int)
  case follow(Int)
  case fault
  case heal([Int])
  case widen([Int])
}

/// A call on its way to a node, or a batch of them.
struct CallUnderWay {
  let client: Int
  let id: UInt64
  let isBatch: Bool
  let bytes: [UInt8]
}
