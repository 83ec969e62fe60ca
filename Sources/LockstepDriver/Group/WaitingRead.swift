import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// A query whose client waits for the answer, with a copy of what it asked. In one list at a time: an object, so that it
/// goes from list to list without being copied.
final class WaitingRead {
  let target: ReplyTarget
  /// What it is answered at: a read on a lease that there is not is made linearizable as all others are.
  var consistency: Consistency
  let deadline: UInt64
  /// By the node's clock.
  let arrivedAt: UInt64
  /// The state that it must see.
  var index = LogIndex.zero
  /// Of a token: it must be in that state's history.
  var token: EntryID?
  /// The machine was asked of a state in which nothing was missing that was committed by then; nil: not known.
  var freshAt: UInt64?
  /// The method's name and the payload behind it: one piece of memory, which is this object's alone.
  private let bytes: UnsafeMutableRawBufferPointer
  private let methodBytes: Int

  init(_ request: Request, _ target: ReplyTarget, deadline: UInt64, arrivedAt: UInt64) {
    self.target = target
    consistency = request.options.consistency
    self.deadline = deadline
    self.arrivedAt = arrivedAt
    let (method, payload) = (request.method, request.payloads[0])
    bytes = .allocate(byteCount: method.count + payload.count, alignment: 1)
    bytes.copyMemory(from: method)
    UnsafeMutableRawBufferPointer(rebasing: bytes[method.count...]).copyMemory(from: payload)
    methodBytes = method.count
  }

  deinit { bytes.deallocate() }

  /// What it counts for in the ledger.
  var byteCount: Int { bytes.count }

  func withCall<Result>(_ body: (MethodCall) -> Result) -> Result {
    let bytes = UnsafeRawBufferPointer(bytes)
    return body(
      MethodCall(
        method: UnsafeRawBufferPointer(rebasing: bytes[..<methodBytes]),
        request: UnsafeRawBufferPointer(rebasing: bytes[methodBytes...])))
  }
}
