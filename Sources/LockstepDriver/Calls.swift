import LockstepConsensus
import LockstepWire

/// Who waits for the answer of a call.
enum Origin {
  case client(any ReplySink, id: UInt64)
  /// It came to another node, which passed it on.
  case node(NodeID, forward: UInt64, id: UInt64)
  /// It is one request of a batch, the one at this place.
  case batch(PendingBatch, place: Int)

  var callID: UInt64 {
    switch self {
    case .client(_, let id): id
    case .node(_, _, let id): id
    case .batch: 0
    }
  }
}

/// A call that was taken in; method and payload are ranges of its buffer's bytes.
struct PendingCall {
  var header: CallHeader
  var origin: Origin
  /// On the node's monotonic clock, in nanoseconds.
  var deadline: UInt64
  var method: Range<Int>
  var payload: Range<Int>

  var bytes: Int { method.count + payload.count }
}

/// Calls of one turn, their bytes in one piece.
struct CallBuffer {
  private(set) var bytes: [UInt8] = []
  private(set) var calls: [PendingCall] = []
  /// Of all calls together, each with its method.
  private(set) var callBytes = 0

  var isEmpty: Bool { calls.isEmpty }

  mutating func append(
    _ header: CallHeader, _ origin: Origin, deadline: UInt64, method: UnsafeRawBufferPointer,
    payload: UnsafeRawBufferPointer
  ) {
    let start = bytes.count
    bytes.append(contentsOf: method)
    bytes.append(contentsOf: payload)
    let middle = start + method.count
    callBytes += bytes.count - start
    calls.append(
      PendingCall(
        header: header, origin: origin, deadline: deadline, method: start..<middle, payload: middle..<bytes.count))
  }

  /// The requests of a batch, whose method is here once for all of them.
  mutating func append(
    _ header: CallHeader, _ batch: PendingBatch, deadline: UInt64, method: UnsafeRawBufferPointer,
    payloads: BatchPayloads
  ) {
    let start = bytes.count
    bytes.append(contentsOf: method)
    let method = start..<bytes.count
    callBytes += payloads.count * method.count + payloads.bytes
    var place = 0
    for payload in payloads {
      let start = bytes.count
      bytes.append(contentsOf: payload)
      calls.append(
        PendingCall(
          header: header, origin: .batch(batch, place: place), deadline: deadline, method: method,
          payload: start..<bytes.count))
      place += 1
    }
  }

  /// Where method and payload of each call are in `bytes`. Without its origin, which would be counted as held.
  func forEach(_ body: (CallHeader, _ method: Range<Int>, _ payload: Range<Int>) -> Void) {
    calls.withUnsafeBufferPointer { calls in
      for place in calls.indices { body(calls[place].header, calls[place].method, calls[place].payload) }
    }
  }

  mutating func removeAll() {
    // A burst must not keep its memory for ever.
    if bytes.capacity > 4 * 1024 * 1024 { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
    calls.removeAll(keepingCapacity: true)
    callBytes = 0
  }
}

/// A command in the log whose client waits.
struct PendingCommand {
  let id: EntryID
  /// nil: answered already.
  var origin: Origin?
  let deadline: UInt64
  let bytes: Int
}

/// Values by ids that are given out in growing order: an array in their order. Places that have become free are reused
/// when they are more than half, so that one value that stays keeps no others' room.
struct GrowingTable<Value> {
  private var slots: [(id: UInt64, value: Value?)] = []
  private(set) var nextID: UInt64
  private(set) var count = 0

  /// Ids go out to other nodes: each start of a node begins elsewhere, so that a late answer to an earlier one finds
  /// nothing.
  init(firstID: UInt64 = 1) { nextID = firstID }

  /// Places, free ones among them.
  var capacity: Int { slots.count }

  mutating func add(_ value: Value) -> UInt64 {
    slots.append((nextID, value))
    count += 1
    nextID += 1
    return nextID - 1
  }

  mutating func remove(_ id: UInt64) -> Value? {
    guard let place = place(of: id), let value = slots[place].value else { return nil }
    slots[place].value = nil
    count -= 1
    if slots.count > 2 * count + 1024 { slots.removeAll { $0.value == nil } }
    return value
  }

  private func place(of id: UInt64) -> Int? {
    guard let first = slots.first, id >= first.id, id < nextID else { return nil }
    // Where none has been taken out in between, it is as far from the first as its id.
    if let offset = Int(exactly: id - first.id), offset < slots.count, slots[offset].id == id { return offset }
    var (low, high) = (0, slots.count)
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < slots.count && slots[low].id == id ? low : nil
  }

  /// Takes out all that match, in order of their ids.
  mutating func removeAll(where matches: (Value) -> Bool) -> [Value] {
    var removed: [Value] = []
    slots.removeAll { slot in
      guard let value = slot.value else { return true }
      guard matches(value) else { return false }
      removed.append(value)
      return true
    }
    count = slots.count
    return removed
  }

  func forEach(_ body: (Value) -> Void) { for case (_, let value?) in slots { body(value) } }
}
