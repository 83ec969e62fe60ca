import LockstepRequests

/// How much is under way on this node, whoever has it: waiting to be proposed, in the log, waiting to be read, or passed
/// on to the leader. A request takes its permit when it is taken in, and gives it back once.
final class CallLedger {
  private let limits: DriverLimits
  /// Requests, those of a batch each for itself. At most `limits.calls`.
  private(set) var calls = 0
  /// Of the requests and their methods. At most `limits.callBytes`; 0 when there are no calls.
  private(set) var bytes = 0

  init(limits: DriverLimits) { self.limits = limits }

  /// What a request, or all of a batch, counts for.
  static func bytes(_ request: Request) -> Int {
    request.payloads.count * request.method.count + request.payloads.bytes
  }

  /// All of it or nothing.
  func take(calls count: Int, bytes size: Int) throws(CallStatus) {
    guard calls + count <= limits.calls, bytes + size <= limits.callBytes else {
      let more = count == 1 ? "" : " \(count)"
      throw CallStatus(.resourceExhausted, "this node has \(calls) calls under way and takes no\(more) more")
    }
    calls += count
    bytes += size
  }

  /// A call that has its permit needs more memory. Returns whether there is room.
  func grow(by size: Int) -> Bool {
    guard bytes + size <= limits.callBytes else { return false }
    bytes += size
    return true
  }

  func giveBack(calls count: Int = 1, bytes size: Int) {
    calls -= count
    bytes -= size
    assert(calls >= 0 && bytes >= 0, "more permits are given back than were taken")
  }

  func check() {
    precondition(calls >= 0 && calls <= limits.calls && bytes >= 0 && bytes <= limits.callBytes)
    precondition(calls > 0 || bytes == 0, "\(bytes) bytes of no calls")
  }
}
