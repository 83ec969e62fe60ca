import LockstepConsensus
import LockstepExecution
import LockstepRequests

/// A query whose client waits for the answer, with a copy of what it asked.
struct WaitingRead {
  let target: ReplyTarget
  let consistency: Consistency
  let deadline: UInt64
  /// The method's name and the payload behind it: one piece of memory, as each read has its own.
  let bytes: [UInt8]
  let methodBytes: Int
  /// The state that it must see.
  var index: LogIndex
  /// Of a token: it must be in that state's history.
  var token: EntryID?
  /// The machine was asked of a state in which nothing was missing that was committed by then; nil: not known.
  var freshAt: UInt64?
  /// By the node's clock.
  let arrivedAt: UInt64

  init(_ request: Request, _ target: ReplyTarget, deadline: UInt64, arrivedAt: UInt64) {
    self.target = target
    consistency = request.options.consistency
    self.deadline = deadline
    let (method, payload) = (request.method, request.payloads[0])
    bytes = [UInt8](unsafeUninitializedCapacity: method.count + payload.count) { memory, count in
      let memory = UnsafeMutableRawBufferPointer(memory)
      memory.copyMemory(from: method)
      UnsafeMutableRawBufferPointer(rebasing: memory[method.count...]).copyMemory(from: payload)
      count = method.count + payload.count
    }
    methodBytes = method.count
    index = .zero
    self.arrivedAt = arrivedAt
  }

  func withCall<Result>(_ body: (MethodCall) -> Result) -> Result {
    bytes.withUnsafeBytes { bytes in
      body(
        MethodCall(
          method: UnsafeRawBufferPointer(rebasing: bytes[..<methodBytes]),
          request: UnsafeRawBufferPointer(rebasing: bytes[methodBytes...])))
    }
  }
}
