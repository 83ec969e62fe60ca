import Lockstep
import LockstepConsensus
import LockstepReflection
import LockstepRequests
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("what nodes say that cannot be true")
struct StatusProblemTests {
  private func answer(
    _ id: UInt64, _ role: String, term: UInt64 = 2, leader: UInt64 = 1, applied: UInt64 = 7, digest: UInt64 = 5,
    voters: [UInt64] = [1, 2, 3], cluster: UInt8 = 1, incarnation: UInt64 = 1, port: Int? = nil
  ) -> StatusSurvey.Answer {
    var (status, group) = (NodeReport(), GroupReport())
    (group.role, group.term, group.leader, group.voters) = (RoleKind(rawValue: role), term, leader, voters)
    (group.lastIndex, group.durableIndex, group.appliedIndex, group.digest) = (applied, applied, applied, digest)
    (status.node, status.cluster, status.incarnation, status.groups) = (id, [cluster], incarnation, [group])
    return StatusSurvey.Answer(endpoint: Endpoint(host: "h", port: port ?? Int(id)), result: .success(status))
  }

  /// The one problem of these answers, and whether lags are given beside it.
  private func problem(_ answers: StatusSurvey.Answer..., sourceLocation: SourceLocation = #_sourceLocation)
    -> (text: String, hasLags: Bool)
  {
    let report = StatusReport(answers)
    #expect(report.problems.count == 1, "\(report.problems)", sourceLocation: sourceLocation)
    #expect(report.json["problems"]?[0]?.string == report.problems.first, sourceLocation: sourceLocation)
    return (report.problems.first ?? "", report.rows[0].lags.applied.entries != nil)
  }

  @Test("a cluster in which all agree has none, also when one is behind, campaigns, or does not answer")
  func none() {
    let silent = StatusSurvey.Answer(
      endpoint: Endpoint(host: "h", port: 9),
      result: .failure(CallFailure(CallStatus(.unavailable, "gone"), applied: .no)))
    let report = StatusReport([
      answer(1, "leader"), answer(2, "follower", applied: 6, digest: 4), answer(3, "candidate", term: 3, leader: 0),
      silent,
    ])
    #expect(report.problems == [] && report.json["problems"] == [])
    #expect(report.rows[1].lags.applied.entries == 1)
    #expect(StatusReport([silent]).problems == [])
  }

  @Test("a node that is refused for its disk, with the remedy; one whose replaced disk waits, until it is a learner")
  func disks() {
    func said(_ answer: StatusSurvey.Answer, _ change: (inout NodeReport) -> Void) -> StatusSurvey.Answer {
      var status = answer.status ?? NodeReport()
      change(&status)
      return StatusSurvey.Answer(endpoint: answer.endpoint, result: .success(status))
    }
    let refusal = RefusalReport(node: 2, reason: "start it with --replace-disk on an empty directory")
    let (text, hasLags) = problem(
      said(answer(1, "leader")) { $0.refused = [refusal] }, said(answer(3, "follower")) { $0.refused = [refusal] },
      said(answer(2, "follower", leader: 0)) { $0.refusedBy = [RefusalReport(node: 1, reason: "no")] })
    #expect(
      text == "node 2 is refused for its disk by node 1 and node 3: start it with --replace-disk on an empty directory")
    #expect(hasLags)
    let waiting = said(answer(2, "follower", leader: 0, applied: 0)) { $0.groups[0].isAwaitingAdmission = true }
    #expect(problem(answer(1, "candidate", leader: 0), waiting).text.hasPrefix("node 2 at h:2 waits with a replaced"))
    let both = StatusReport([
      answer(1, "candidate", leader: 0), waiting,
      said(answer(3, "follower")) { $0.groups[0].isAwaitingAdmission = true },
    ])
    #expect(
      both.problems.last?.hasPrefix("2 of 3 voters have lost their disks, and no leader can be elected") == true,
      "\(both.problems)")
    let leader = said(answer(1, "leader", voters: [1, 3])) { $0.groups[0].learners = [2] }
    let learner = StatusReport([leader, answer(3, "follower"), waiting])
    #expect(learner.problems == [])
    #expect(learner.json["nodes"]?[2]?["kind"] == "waiting" && learner.json["nodes"]?[0]?["learners"] == [2])
    #expect(StatusTable(learner, isColoured: false).text.contains("follower (waiting)"))
  }

  @Test("two leaders of one term: lags are unknown, not 0")
  func twoLeadersOfATerm() {
    let found = StatusReport([answer(1, "leader"), answer(2, "leader", leader: 2)])
    #expect(found.problems.first?.hasPrefix("node 1 at h:1 and node 2 at h:2 both lead in term 2") == true)
    #expect(found.problems.count == 2 && found.rows.allSatisfy { $0.lags.applied == StatusReport.Lag() })
  }

  @Test("a leader of an older term")
  func olderLeader() {
    let (text, hasLags) = problem(answer(1, "leader", term: 4), answer(2, "leader", term: 5, leader: 2))
    #expect(text.contains("two nodes say that they lead: node 1 at h:1 in term 4 and node 2 at h:2 in term 5"))
    // Behind the newer one.
    #expect(hasLags)
  }

  @Test("who leads in a term is said differently")
  func terms() {
    let (text, hasLags) = problem(answer(2, "follower", leader: 1), answer(3, "follower", leader: 2))
    #expect(text.contains("who leads in term 2") && text.contains("node 3 at h:3 says node 2") && !hasLags)
  }

  @Test("states that differ at one index")
  func digests() {
    let (text, hasLags) = problem(answer(1, "leader"), answer(2, "follower", digest: 6), answer(3, "follower"))
    #expect(text.contains("the states at index 7 differ") && text.contains("node 2 at h:2 has 0000000000000006"))
    #expect(!hasLags)
  }

  @Test("different voters")
  func voters() {
    let (text, hasLags) = problem(
      answer(1, "leader", applied: 5), answer(2, "follower", voters: [2, 1]), answer(3, "follower", voters: [3, 1, 2]))
    #expect(text.contains("node 1 at h:1 and node 3 at h:3 say 1, 2, 3; node 2 at h:2 say 1, 2; ") && !hasLags)
  }

  @Test("nodes of different clusters are not compared with each other")
  func clusters() {
    let (text, hasLags) = problem(
      answer(1, "leader"), answer(2, "leader", leader: 2, digest: 9, voters: [2], cluster: 2))
    #expect(text.contains("2 different clusters: node 1 at h:1 of 01; node 2 at h:2 of 02"))
    #expect(hasLags)
  }

  @Test("two processes that say they are one node; one process under two names is none")
  func clones() {
    let (text, _) = problem(answer(1, "leader"), answer(1, "follower", incarnation: 2, port: 8))
    #expect(text.contains("h:1 and h:8 are two processes that both say they are node 1"))
    #expect(StatusReport([answer(1, "leader"), answer(1, "leader", port: 8)]).problems == [])
  }
}
