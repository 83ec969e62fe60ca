import LockstepExecution
import LockstepReflection
import LockstepConsensus
import Testing

@testable import Lockstep
@testable import LockstepTool

@Suite("the object that a call prints")
struct CallResultTests {
  private func reply(_ level: Acknowledgement?, holders: [NodeID] = []) -> Reply {
    Reply(payload: [], index: 17, term: 2, node: 1, acknowledgement: level, holders: holders)
  }

  @Test("a command: the reply and its evidence")
  func command() {
    let text = CallResult.success(reply(.quorum, holders: [1, 2]), message: ["value": "5"]).envelope.text()
    #expect(
      text == #"{"ok":true,"reply":{"value":"5"},"index":17,"term":2,"node":1,"ack":"quorum","holders":[1,2]}"#)
  }

  @Test("a query has no evidence")
  func query() {
    let text = CallResult.success(reply(nil), message: ["found": false]).envelope.text()
    #expect(text == #"{"ok":true,"reply":{"found":false},"index":17,"term":2,"node":1}"#)
  }

  @Test("what the leader alone holds may be lost, and says so")
  func leaderOnly() {
    let text = CallResult.success(reply(.leader, holders: [1]), message: .null).envelope.text()
    #expect(
      text
        == #"{"ok":true,"reply":null,"index":17,"term":2,"node":1,"ack":"leader","holders":[1],"mayBeLost":true}"#)
  }

  @Test("a failure before anything was sent")
  func failure() {
    let text = CallResult.failure(.unavailable, "no node").envelope.text()
    #expect(text == #"{"ok":false,"code":"UNAVAILABLE","message":"no node","applied":"no"}"#)
  }

  @Test("a failure shows index, term and node where they are known")
  func failureWithPlace() {
    let failure = CallFailure(CallStatus(.notFound, "x"), applied: .yes, index: 9, term: 3, node: 2)
    #expect(
      CallResult.failure(failure).envelope.text()
        == #"{"ok":false,"code":"NOT_FOUND","message":"x","applied":"yes","index":9,"term":3,"node":2}"#)
    #expect(CallResult.text(failure) == "NOT_FOUND: x (applied: yes)")
  }
}
