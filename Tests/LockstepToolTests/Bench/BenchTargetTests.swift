import Lockstep
import LockstepConsensus
import LockstepExecution
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("nodes that get a load")
struct BenchTargetTests {
  private func answer(_ port: Int, _ role: String, term: UInt64 = 1, version: String = "1") -> StatusSurvey.Answer {
    var (status, group) = (NodeReport(), GroupReport())
    (group.role, group.term, status.version, status.node) = (RoleKind(rawValue: role), term, version, UInt64(port))
    status.groups = [group]
    return StatusSurvey.Answer(endpoint: Endpoint(host: "h", port: port), result: .success(status))
  }

  private func silence(_ port: Int) -> StatusSurvey.Answer {
    StatusSurvey.Answer(
      endpoint: Endpoint(host: "h", port: port),
      result: .failure(CallFailure(CallStatus(.unavailable, "gone"), applied: .no)))
  }

  @Test("the leader, of the newest term, even if others do not answer")
  func leader() throws {
    let answers = [answer(1, "leader"), answer(2, "follower"), answer(3, "leader", term: 2), silence(4)]
    let target = try BenchTarget.choose(.leader, answers)
    #expect(target.endpoints.map(\.port) == [3] && target.remark == nil)
    // When it is gone the others are asked, also one that did not answer now.
    #expect(target.targets.endpoints.map(\.port) == [3, 1, 2, 4] && target.targets.first == [0])
    #expect(target.targets.place(ofLeader: 2) == 2 && target.targets.place(ofLeader: 4) == nil)
  }

  @Test("a leader that is not named cannot be found, and that is said")
  func elsewhere() throws {
    let target = try BenchTarget.choose(.leader, [answer(1, "follower"), answer(2, "follower")])
    #expect(target.endpoints.map(\.port) == [1] && target.remark?.contains("h:1, which passes commands on") == true)
  }

  @Test("all, in their order, with the versions that there are")
  func all() throws {
    let target = try BenchTarget.choose(.all, [answer(1, "follower", version: "2"), answer(2, "leader")])
    #expect(target.endpoints.map(\.port) == [1, 2] && target.versions == ["1", "2"])
    #expect(target.targets.first == [0, 1] && target.targets.place(ofLeader: 2) == nil)
  }

  @Test("all means all: one that does not answer is named")
  func missing() {
    let failure = #expect(throws: CommandFailure.self) {
      try BenchTarget.choose(.all, [answer(1, "leader"), silence(2)])
    }
    #expect(failure?.message.contains("h:2: gone") == true && failure?.exitCode == 1)
    #expect(throws: CommandFailure.self) { try BenchTarget.choose(.leader, [silence(1)]) }
  }
}
