import LockstepReflection
import Synchronization

/// Clients that write as fast as they are answered, each a `lockstep call -` of its own with one call under way. Every
/// attempt has a key of its own, so that whether it was carried out can be told for each.
final class Load: Sendable {
  enum Outcome { case acknowledged, never, unknown }

  struct Attempt {
    let key: String
    let value: String
    let outcome: Outcome
    let asked: ContinuousClock.Instant
    let answered: ContinuousClock.Instant
    /// The log index, of what was acknowledged.
    let index: Int
    let answer: String
  }

  private struct State {
    var attempts: [Attempt] = []
    var isStopping = false
    var running = 0
    var problems: [String] = []
  }

  /// How many different keys a client uses; nil: another one each time.
  private let keys: Int?
  private let limit: Int
  private let timeout: String
  private let state = Mutex(State())

  /// `limit`: attempts of each client.
  init(
    _ cluster: Cluster, name: String = "load", clients: Int = 16, keys: Int? = nil, limit: Int = .max,
    timeout: String = "3s"
  ) {
    (self.keys, self.limit, self.timeout) = (keys, limit, timeout)
    state.withLock { $0.running = clients }
    for client in 0..<clients {
      // They begin at different nodes: some speak to the leader, some through a follower.
      let endpoints = cluster.endpoints(from: client % cluster.nodes + 1)
      inThread {
        self.run("\(name)-\(client)", endpoints)
        self.state.withLock { $0.running -= 1 }
      }
    }
  }

  var attempts: [Attempt] { state.withLock { $0.attempts } }
  var acknowledged: [Attempt] { attempts.filter { $0.outcome == .acknowledged } }
  var problems: [String] { state.withLock { $0.problems } }
  var isRunning: Bool { state.withLock { $0.running > 0 } }

  func count(_ outcome: Outcome) -> Int {
    state.withLock { state in state.attempts.count { $0.outcome == outcome } }
  }

  func stop() async throws {
    state.withLock { $0.isStopping = true }
    try await finish(.seconds(30))
  }

  /// Waits until every client has made its attempts.
  func finish(_ limit: Duration = .seconds(300)) async throws {
    try await wait(upTo: limit, "the load ends") { !isRunning }
    if let problem = problems.first { throw Failure(problem) }
  }

  func waitForAcknowledged(_ count: Int, _ limit: Duration = .seconds(30)) async throws {
    let before = self.count(.acknowledged)
    try await wait(upTo: limit, "\(count) more writes; last \(attempts.last?.answer ?? "none")") {
      self.count(.acknowledged) >= before + count
    }
  }

  /// From `start` to the first acknowledgement of something asked after it.
  func waitForWrite(askedAfter start: ContinuousClock.Instant) async throws -> Duration {
    var first: Attempt?
    try await wait(upTo: .seconds(20), "a write after the failure; last \(attempts.last?.answer ?? "none")") {
      first = attempts.filter { $0.outcome == .acknowledged && $0.asked >= start }.min { $0.answered < $1.answered }
      return first != nil
    }
    return first.map { start.duration(to: $0.answered) } ?? .zero
  }

  // MARK: One client

  private func run(_ name: String, _ endpoints: String) {
    let replies = Replies()
    let process: Program
    do {
      process = try Program(Setup.lockstep, ["call", "-", "--timeout", timeout, "--endpoints", endpoints]) {
        replies.append($0)
      }
    } catch {
      state.withLock { $0.problems.append("\(error)") }
      return
    }
    var number = 0
    while number < limit, !state.withLock({ $0.isStopping }) {
      number += 1
      let key = "\(name)-\(keys.map { number % $0 } ?? number)"
      let asked = ContinuousClock.now
      guard process.write(Line.put(key, "\(number)", timeout: timeout)), let answer = replies.next() else {
        state.withLock { $0.problems.append("client \(name) has no answer: \(process.errors)") }
        break
      }
      let attempt = Self.attempt(key, "\(number)", asked, answer)
      state.withLock { $0.attempts.append(attempt) }
      // Nobody leads, say: to ask at full speed would only heat the machine.
      if attempt.outcome != .acknowledged { replies.pause(milliseconds: 20) }
    }
    process.endInput()
  }

  private static func attempt(
    _ key: String, _ value: String, _ asked: ContinuousClock.Instant, _ answer: String
  ) -> Attempt {
    let json = (try? JSONValue(parsing: answer)) ?? .null
    let outcome: Outcome = json.isOK ? .acknowledged : json["applied"]?.string == "no" ? .never : .unknown
    return Attempt(
      key: key, value: value, outcome: outcome, asked: asked, answered: .now, index: json["index"]?.integer ?? 0,
      answer: json.isOK ? "" : answer)
  }
}

extension Cluster {
  struct Verdict: CustomStringConvertible {
    var acknowledged = 0
    var missing: [String] = []
    var never = 0
    var appeared: [String] = []
    var unknown = 0
    var unknownApplied = 0

    var description: String {
      "\(acknowledged) acknowledged writes checked, \(missing.count) missing; \(never) refused for certain, "
        + "\(appeared.count) of them carried out; \(unknown) unknown, \(unknownApplied) of them carried out"
    }
  }

  /// Reads every key back, linearizably. A node that was killed last may take the lead back meanwhile, and for that moment
  /// reads are refused: those are asked again.
  func verify(_ attempts: [Load.Attempt]) async throws -> Verdict {
    var verdict = Verdict()
    var rest = attempts
    try await wait(upTo: .seconds(60), "\(rest.count) reads are answered", every: .milliseconds(200)) {
      rest = try await verify(rest, &verdict)
      return rest.isEmpty
    }
    return verdict
  }

  /// Returns those whose reads were refused because nobody led.
  private func verify(_ attempts: [Load.Attempt], _ verdict: inout Verdict) async throws -> [Load.Attempt] {
    var refused: [Load.Attempt] = []
    let answers = try await calls(attempts.map { Line.get($0.key) })
    for (attempt, answer) in zip(attempts, answers) {
      if answer["code"]?.string == "UNAVAILABLE" {
        refused.append(attempt)
        continue
      }
      guard answer.isOK, let reply = answer["reply"] else { throw Failure("a read failed: \(answer.text())") }
      let isThere = reply["found"]?.isTrue == true && reply["value"]?.string == attempt.value
      switch attempt.outcome {
      case .acknowledged:
        verdict.acknowledged += 1
        if !isThere { verdict.missing.append("\(attempt.key): \(answer.text())") }
      case .never:
        verdict.never += 1
        if isThere { verdict.appeared.append("\(attempt.key): \(attempt.answer)") }
      case .unknown:
        verdict.unknown += 1
        if isThere { verdict.unknownApplied += 1 }
      }
    }
    return refused
  }

  /// What `log verify` says of each node's files; the cluster has stopped.
  func logProblems() async throws -> [String] {
    var problems: [String] = []
    for node in 1...nodes {
      let finished = try await Finished.run(["log", "verify", data(node)], limit: .seconds(60))
      if finished.code != 0 { problems.append("node \(node): \(finished.errors)") }
    }
    return problems
  }
}

/// Lines from one thread to another.
final class Replies: Sendable {
  private let lines = Mutex<[String]>([])
  private let ready = Semaphore()

  func append(_ line: String) {
    lines.withLock { $0.append(line) }
    ready.signal()
  }

  /// Waits, for a minute at most.
  func next() -> String? {
    guard ready.wait(milliseconds: 60_000) else { return nil }
    return lines.withLock { $0.isEmpty ? nil : $0.removeFirst() }
  }

  func pause(milliseconds: Int) { _ = Semaphore().wait(milliseconds: milliseconds) }
}
