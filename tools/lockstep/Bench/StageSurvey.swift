import Lockstep
import Synchronization

/// Asks the nodes for their counters when the measured time begins, and when it has ended.
final class StageSurvey: Sendable {
  private let survey: StatusSurvey
  private let before: Mutex<Task<[StatusSurvey.Answer], Never>>

  /// Asks for the first time, which also makes the connections.
  init(_ endpoints: [Endpoint]) async {
    let survey = StatusSurvey(endpoints: endpoints, timeout: .seconds(5))
    let answers = await survey.ask()
    self.survey = survey
    before = Mutex(Task { answers })
  }

  /// The measured time begins now.
  func begin() {
    let survey = survey
    before.withLock { $0 = Task { await survey.ask() } }
  }

  /// It has ended.
  func end() async -> StageReport {
    let after = await survey.ask()
    await survey.close()
    return StageReport(await before.withLock { $0 }.value, after)
  }
}
