import ArgumentParser
import Glibc

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show who leads, and how far each node is.",
    discussion: """
      Asks every endpoint at the same time. The lags are behind the end of the leader's log, in entries and in the \
      leader's time: received (in the node's log), durable (on its disk), applied (in its state). What cannot be known is \
      shown as unknown, and is null in JSON: all lags when no leader answers, for instance.

      What nodes say that cannot all be true is named on stderr, and in JSON under "problems": nodes of different clusters, \
      two processes that are one node, two leaders, terms whose leader is said differently, different voters, states that \
      differ at one index. Lags are unknown then, where there is no one history to be behind.

      Exit code 1 when no node answers, or when there is a problem.
      """)

  @Flag(help: "Show it again every second.")
  var watch = false

  @Flag(help: "Print one JSON object; with --watch one a line.")
  var json = false

  @OptionGroup var cluster: ClusterOptions

  func run() async throws {
    let survey = StatusSurvey(endpoints: try cluster.resolved(), timeout: .seconds(1))
    let isColoured = Output.isTerminal && getenv("NO_COLOR") == nil
    guard watch else {
      let report = StatusReport(await survey.ask())
      show(report, isColoured)
      // The table and the object have said why.
      if !report.isAnyReachable { throw CommandFailure.failed("no node can be reached") }
      if !report.problems.isEmpty { throw CommandFailure.failed(Self.warnings(report)) }
      return
    }
    let clock = ContinuousClock()
    var next = clock.now
    while true {
      let report = StatusReport(await survey.ask())
      if !json, Output.isTerminal { Output.write("\u{1b}[H\u{1b}[2J") }
      guard show(report, isColoured) else { return }
      if !report.problems.isEmpty { Output.error(Self.warnings(report)) }
      if !json, !Output.isTerminal { Output.line("") }
      next = max(next + .seconds(1), clock.now)
      try await clock.sleep(until: next)
    }
  }

  private static func warnings(_ report: StatusReport) -> String {
    report.problems.map { "problem: \($0)" }.joined(separator: "\n")
  }

  /// False when nobody reads it any more.
  @discardableResult
  private func show(_ report: StatusReport, _ isColoured: Bool) -> Bool {
    json ? Output.line(report.json) : Output.write(StatusTable(report, isColoured: isColoured).text)
  }
}
