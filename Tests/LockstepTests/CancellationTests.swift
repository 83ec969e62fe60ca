import LockstepExecution
import LockstepRequests
import Testing

@testable import Lockstep

@Suite("Clients: the task that made a call is cancelled", .timeLimit(.minutes(1)))
struct CancellationTests {
  /// Far less than any time-out here, and enough for a machine that is busy.
  private static let atOnce = Duration.seconds(2)
  private let options = CallOptions(timeout: .seconds(600))

  /// The failure of a call that was cancelled when `isTime`, and whether it came at once.
  private func cancelled(_ client: LockstepClient, _ what: Comment, when isTime: () async -> Bool) async throws
    -> CallFailure
  {
    let options = options
    let task = Task { try await client.call("a/b", [], options: options) }
    try await eventually(what, isTime)
    let began = ContinuousClock.now
    task.cancel()
    let failed = try await failure { _ = try await task.value }
    #expect(ContinuousClock.now - began < Self.atOnce)
    #expect(failed.status.code == .cancelled)
    return failed
  }

  @Test("sent, and not answered: it fails at once, applied unknown; its late answer is nobody's, and others go on")
  func sent() async throws {
    let node = try await ScriptedNode(1) { $0 == 0 ? .silence : .done }
    try await withLockstepClient(endpoints: [node.endpoint]) { client in
      let failed = try await cancelled(client, "the call is there") { node.calls == 1 }
      #expect(failed.applied == .unknown)
      await node.answerTheSilent()
      let reply = try await client.call("a/b", [], options: options)
      #expect(reply.node == 1)
    }
    await node.close()
  }

  @Test("refused, and waiting to be sent again: applied no, and it is not sent any more")
  func refused() async throws {
    let node = try await ScriptedNode(1) { _ in .refused() }
    try await withLockstepClient(endpoints: [node.endpoint]) { client in
      // Its pauses double, so that it waits for most of the time.
      let failed = try await cancelled(client, "it was refused some times") { node.calls >= 6 }
      if failed.applied == .no {
        let calls = node.calls
        node.answers { _ in .done }
        _ = try await client.call("a/b", [], options: options)
        #expect(node.calls == calls + 1)
      } else {
        // The moment was one in which it was under way.
        #expect(failed.applied == .unknown)
      }
    }
    await node.close()
  }

  @Test("waiting for a node that accepts and is silent: applied no")
  func waiting() async throws {
    let mute = try RawSocket()
    let endpoint = Endpoint(host: "127.0.0.1", port: try mute.listen())
    try await withLockstepClient(endpoints: [endpoint]) { client in
      let failed = try await cancelled(client, "at once") { true }
      #expect(failed.applied == .no)
    }
    mute.close()
  }

  @Test("a task that is cancelled already sends nothing")
  func before() async throws {
    let node = try await ScriptedNode(1) { _ in .done }
    try await withLockstepClient(endpoints: [node.endpoint]) { client in
      let options = options
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await client.call("a/b", [], options: options)
      }
      let failed = try await failure { _ = try await task.value }
      #expect(failed.status.code == .cancelled && failed.applied == .no && node.calls == 0)
      _ = try await client.call("a/b", [], options: options)
    }
    await node.close()
  }

  @Test("withLockstepClient closes its client, whatever comes of the body")
  func closed() async throws {
    let node = try await ScriptedNode(1) { _ in .done }
    var kept: LockstepClient?
    let failed = try await failure {
      try await withLockstepClient(endpoints: [node.endpoint]) { client in
        kept = client
        _ = try await client.call("a/b", [], options: options)
        throw CallFailure(CallStatus(.aborted, "the body's own"), applied: .no)
      }
    }
    #expect(failed.status.code == .aborted)
    let after = try await failure { _ = try await kept?.call("a/b", []) }
    #expect(after.status.code == .cancelled && after.applied == .no)
    await node.close()
  }
}
