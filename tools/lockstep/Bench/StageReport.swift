import Lockstep
import LockstepConsensus
import LockstepReflection
import LockstepRequests
import LockstepWire

/// Where the time of commands went, on each node: what its counters say between two questions. What is not known is nil,
/// and never 0.
struct StageReport: Sendable {
  /// How long a command was in a stage.
  struct Time: Equatable, Sendable {
    var count: UInt64
    var nanoseconds: UInt64

    /// Nil: no command was there.
    var mean: Double? { count > 0 ? Double(nanoseconds) / Double(count) / 1000 : nil }
  }

  struct Figures: Equatable, Sendable {
    /// Between the two questions, by the node's clock.
    var seconds: Double
    var times: [Stage: Time]
    /// Of each other node, if this one leads.
    var replicate: [UInt64: Time]
    var counters: [StageCounter: UInt64]
  }

  struct Member: Sendable {
    let endpoint: Endpoint
    let node: UInt64?
    let role: String?
    let figures: Figures?
    /// Why there are no figures.
    let problem: String?
    /// From the leader to this node's disk and back, as the leader sees it.
    var replicate: Time?

    /// What is left of `replicate` without this node's disk. The two are sampled apart from each other: a difference that
    /// cannot be is none.
    var network: Double? {
      guard let whole = replicate?.mean, let sync = figures?.times[.sync]?.mean, whole >= sync else { return nil }
      return whole - sync
    }

    func perSecond(_ counter: StageCounter) -> Double? {
      guard let figures, let value = figures.counters[counter], figures.seconds > 0 else { return nil }
      return Double(value) / figures.seconds
    }

    func ratio(_ counter: StageCounter, per other: StageCounter) -> Double? {
      guard let value = figures?.counters[counter], let whole = figures?.counters[other], whole > 0 else { return nil }
      return Double(value) / Double(whole)
    }

    /// Commands that were proposed together.
    var commandsPerBatch: Double? {
      guard let count = figures?.times[.queue]?.count, let batches = figures?.counters[.batches], batches > 0 else {
        return nil
      }
      return Double(count) / Double(batches)
    }
  }

  private(set) var members: [Member]

  /// The same nodes in the same order, before and after.
  init(_ before: [StatusSurvey.Answer], _ after: [StatusSurvey.Answer]) {
    members = zip(before, after).map { Self.member($0, $1) }
    for place in members.indices {
      guard let node = members[place].node else { continue }
      // Usually one node has led all the time; else each that did has seen a part.
      let seen = members.compactMap { $0.figures?.replicate[node] }.filter { $0.count > 0 }
      guard !seen.isEmpty else { continue }
      members[place].replicate = Time(
        count: seen.reduce(0) { $0 &+ $1.count }, nanoseconds: seen.reduce(0) { $0 &+ $1.nanoseconds })
    }
  }

  private static func member(_ before: StatusSurvey.Answer, _ after: StatusSurvey.Answer) -> Member {
    let known = after.status ?? before.status
    let role = after.status?.groups.first?.role?.rawValue
    func unknown(_ problem: String) -> Member {
      Member(
        endpoint: after.endpoint, node: known.flatMap { $0.node == 0 ? nil : $0.node }, role: role, figures: nil,
        problem: problem)
    }
    for answer in [before, after] {
      if case .failure(let failure) = answer.result { return unknown(failure.status.message) }
    }
    guard let first = before.status, let last = after.status else { return unknown("no answer") }
    guard first.node == last.node, first.incarnation == last.incarnation else {
      return unknown("it was started anew meanwhile, and counts from then on")
    }
    guard !first.stages.isEmpty, !last.stages.isEmpty else {
      return unknown("its version, \(last.version.isEmpty ? "unknown" : last.version), counts no stages")
    }
    return Member(
      endpoint: after.endpoint, node: last.node == 0 ? nil : last.node, role: role, figures: Figures(first, last),
      problem: nil)
  }
}

extension StageReport.Figures {
  /// What was counted from the one to the other. Of the maximum there is no difference: it is left out.
  init(_ first: NodeReport, _ last: NodeReport) {
    seconds = Double(last.uptimeMilliseconds &- first.uptimeMilliseconds) / 1000
    times = [:]
    replicate = [:]
    counters = [:]
    for row in last.stages {
      // A follower that has not acknowledged anything at first has no row.
      let former = first.stages.first { $0.name == row.name && $0.peer == row.peer }
      guard let stage = Stage(rawValue: row.name) else { continue }
      let time = StageReport.Time(
        count: row.count &- (former?.count ?? 0),
        nanoseconds: row.totalNanoseconds &- (former?.totalNanoseconds ?? 0))
      if stage == .replicate { replicate[row.peer] = time } else { times[stage] = time }
    }
    for row in last.counters {
      guard let counter = StageCounter(rawValue: row.name),
        let former = first.counters.first(where: { $0.name == row.name })
      else { continue }
      counters[counter] = row.value &- former.value
    }
  }
}
