/// What is to happen, by time and, at the same time, in the order in which it was planned: a binary heap.
struct Agenda {
  struct Item {
    let time: UInt64
    let number: UInt64
    let event: Event
  }

  private var items: [Item] = []
  private var planned: UInt64 = 0

  var count: Int { items.count }
  var nextTime: UInt64? { items.first?.time }

  private static func precedes(_ left: Item, _ right: Item) -> Bool {
    left.time != right.time ? left.time < right.time : left.number < right.number
  }

  mutating func add(_ event: Event, at time: UInt64) {
    planned += 1
    items.append(Item(time: time, number: planned, event: event))
    var place = items.count - 1
    while place > 0 {
      let parent = (place - 1) / 2
      guard Self.precedes(items[place], items[parent]) else { break }
      items.swapAt(place, parent)
      place = parent
    }
  }

  mutating func next() -> Item? {
    guard let last = items.popLast() else { return nil }
    guard let first = items.first else { return last }
    items[0] = last
    var place = 0
    while true {
      var least = place
      for child in (2 * place + 1)...(2 * place + 2) where child < items.count {
        if Self.precedes(items[child], items[least]) { least = child }
      }
      guard least != place else { return first }
      items.swapAt(place, least)
      place = least
    }
  }
}

/// Nodes and clients by their places. `life` is that of the process that planned it: what a dead one had planned does
/// not happen.
enum Event {
  case tick(node: Int, life: Int)
  case turn(node: Int, life: Int)
  case disk(node: Int, life: Int)
  case start(node: Int)
  case resume(node: Int)
  case dial(from: Int, to: Int, life: Int)
  case deliver(SimulatedConnection, [UInt8])
  case welcome(SimulatedConnection)
  case hangUp(SimulatedConnection)
  case tireOf(SimulatedConnection)
  case arrive(CallUnderWay, node: Int, life: Int)
  case reply(client: Int, call: UInt64, bytes: [UInt8]?)
  case giveUp(client: Int, call: UInt64)
  case act(client: Int)
  case fault
  case heal([Int])
}

/// A call on its way to a node.
struct CallUnderWay {
  let client: Int
  let id: UInt64
  let bytes: [UInt8]
}
