import LockstepConsensus
import LockstepRequests

/// A request that was taken in; method and payload are ranges of its buffer's bytes.
struct PendingCall {
  let target: ReplyTarget
  /// On the node's monotonic clock, in nanoseconds.
  let deadline: UInt64
  let options: RequestOptions
  let method: Range<Int>
  let payload: Range<Int>
  /// It is one of a batch, whose others stand before and behind it.
  let isInBatch: Bool

  var bytes: Int { method.count + payload.count }
}

/// Commands that wait for the same thing, their bytes in one piece.
struct CallBuffer {
  private(set) var bytes: [UInt8] = []
  private(set) var calls: [PendingCall] = []
  /// Of all calls together, each with its method.
  private(set) var callBytes = 0

  var isEmpty: Bool { calls.isEmpty }

  /// The requests of a batch have their method here once for all of them.
  mutating func append(_ request: Request, for target: ReplyTarget, deadline: UInt64) {
    let start = bytes.count
    bytes.append(contentsOf: request.method)
    let method = start..<bytes.count
    switch request.payloads {
    case .one(let payload): append(payload, method, request, target, deadline, isInBatch: false)
    case .batch(let all, let ranges):
      var target = target
      for (position, range) in ranges.enumerated() {
        target.position = position
        append(UnsafeRawBufferPointer(rebasing: all[range]), method, request, target, deadline, isInBatch: true)
      }
    }
  }

  private mutating func append(
    _ payload: UnsafeRawBufferPointer, _ method: Range<Int>, _ request: Request, _ target: ReplyTarget,
    _ deadline: UInt64, isInBatch: Bool
  ) {
    let start = bytes.count
    bytes.append(contentsOf: payload)
    callBytes += method.count + payload.count
    var options = request.options
    if options.session != 0 { options.sequence += UInt64(target.position) }
    calls.append(
      PendingCall(
        target: target, deadline: deadline, options: options, method: method, payload: start..<bytes.count,
        isInBatch: isInBatch))
  }

  /// Where method and payload of each call are in `bytes`. Without its target, which would be counted as held.
  func forEach(_ body: (RequestOptions, _ method: Range<Int>, _ payload: Range<Int>) -> Void) {
    calls.withUnsafeBufferPointer { calls in
      for position in calls.indices {
        body(calls[position].options, calls[position].method, calls[position].payload)
      }
    }
  }

  /// The calls as they were taken in, a batch in one piece again.
  func forEachRequest(of group: GroupID, _ body: (Request, ReplyTarget, _ deadline: UInt64) -> Void) {
    bytes.withUnsafeBytes { bytes in
      var position = 0
      while position < calls.count {
        let call = calls[position]
        var end = position + 1
        var payloads = Payloads.one(UnsafeRawBufferPointer(rebasing: bytes[call.payload]))
        if call.isInBatch {
          // The first of the next batch stands at 0 again, also where it is of the same client.
          while end < calls.count, calls[end].isInBatch, calls[end].target.position > 0 { end += 1 }
          payloads = .batch(in: bytes, calls[position..<end].map(\.payload))
        }
        let request = Request(
          group: group, method: UnsafeRawBufferPointer(rebasing: bytes[call.method]), payloads: payloads,
          options: call.options)
        body(request, call.target, call.deadline)
        position = end
      }
    }
  }

  mutating func removeAll() {
    // A burst must not keep its memory for ever.
    if bytes.capacity > 4 * 1024 * 1024 { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
    calls.removeAll(keepingCapacity: true)
    callBytes = 0
  }
}
