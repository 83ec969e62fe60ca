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

/// Values by ids that are given out in growing order: an array with a moving beginning.
struct GrowingTable<Value> {
  private var slots: [Value?] = []
  private var head = 0
  private var base: UInt64

  /// Ids go out to other nodes: each start of a node begins elsewhere, so that a late answer to an earlier one finds
  /// nothing.
  init(firstID: UInt64 = 1) { base = firstID }

  var nextID: UInt64 { base + UInt64(slots.count - head) }
  private(set) var count = 0

  mutating func add(_ value: Value) -> UInt64 {
    slots.append(value)
    count += 1
    return nextID - 1
  }

  mutating func remove(_ id: UInt64) -> Value? {
    guard id >= base, id < nextID else { return nil }
    let place = head + Int(id - base)
    guard let value = slots[place] else { return nil }
    slots[place] = nil
    count -= 1
    while head < slots.count, slots[head] == nil {
      head += 1
      base += 1
    }
    if head > 1024, head > slots.count / 2 {
      slots.removeFirst(head)
      head = 0
    }
    return value
  }

  /// Takes out all that match, in order of their ids.
  mutating func removeAll(where matches: (Value) -> Bool) -> [Value] {
    var removed: [Value] = []
    for id in base..<nextID {
      if let value = slots[head + Int(id - base)], matches(value) { removed.append(value) }
    }
    // Ids of what remains must stay: each is taken out by its own id.
    var id = base
    let end = nextID
    while id < end {
      if id >= base, let value = slots[head + Int(id - base)], matches(value) { _ = remove(id) }
      id += 1
    }
    return removed
  }
}
