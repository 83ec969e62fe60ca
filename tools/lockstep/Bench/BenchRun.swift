import Lockstep
import NIOCore
import NIOPosix

/// One benchmark, from the choice of nodes to the report.
struct BenchRun: Sendable {
  var load: Load
  var warmup: Int
  var target: BenchTarget.Choice
  var fills: Bool
  var isQuiet: Bool
  /// Say where the time of commands goes.
  var explains = false
  /// Each client makes its commands in a session.
  var opensSessions = false

  func on(_ endpoints: [Endpoint], _ cluster: OwnCluster?) async throws -> BenchReport {
    let found = try await BenchTarget.find(target, among: endpoints)
    if let remark = found.remark { Output.error("lockstep: \(remark)") }
    var load = try await found.prepare(load)
    if opensSessions { load.sessions = try await found.openSessions(load.clients) }
    try await found.tryOut(load)
    if load.operation == .get, fills || cluster != nil { try await fill(endpoints, found) }
    let survey = explains ? await StageSurvey(endpoints) : nil
    let warmup = warmup
    let prepared = load
    let result = try await measure(prepared, found.targets) { second in
      if second.number == warmup { survey?.begin() }
      return second.text
    }
    return BenchReport(
      load: load, warmup: warmup, result: result, target: found, cluster: cluster, machine: .current(),
      stages: await survey?.end())
  }

  /// Writes every key, as fast as that goes.
  private func fill(_ endpoints: [Endpoint], _ readers: BenchTarget) async throws {
    var fill = load
    // Large values: no more under way than a leader takes.
    let depth = max(1, min(64, (8 << 20) / max(1, load.valueBytes)))
    (fill.operation, fill.pace, fill.extent) = (.put, .closed(depth: depth), .everyKey)
    (fill.clients, fill.batch) = (8, 1)
    fill.options = CallOptions()
    let leader = try await BenchTarget.find(.leader, among: endpoints)
    let keys = fill.keys
    let result = try await measure(fill, leader.targets) { second in
      "\(second.number) s: \(grouped(second.result.succeeded)) more of \(grouped(keys)) keys are written"
    }
    if result.errorCount > 0 || result.succeeded < keys {
      throw CommandFailure.failed("not every key could be written: \(result.firstError ?? "no reason is known")")
    }
    // A follower hears of the last commits with the next message only, and `--read any` would find nothing: a
    // linearizable read waits until it has applied them.
    var barrier = load
    barrier.options.consistency = .linearizable
    try await readers.tryOut(barrier)
  }

  private func measure(
    _ load: Load, _ targets: LoadTargets, _ line: @escaping @Sendable (LoadGenerator.Second) -> String
  ) async throws -> LoadResult {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let isQuiet = isQuiet
    let result = await withCheckedContinuation {
      (done: CheckedContinuation<Result<LoadResult, CommandFailure>, Never>) in
      loop.execute {
        let generator = LoadGenerator(load, targets, on: loop) { second in
          let text = line(second)
          if !isQuiet { Output.error(text) }
        } finished: {
          done.resume(returning: $0)
        }
        generator.start()
      }
    }
    return try result.get()
  }
}
