import Lockstep
import LockstepReflection

/// What a benchmark says: how it was made, and what came of it.
struct BenchReport: Sendable {
  var load: Load
  var warmup: Int
  var result: LoadResult
  var target: BenchTarget
  /// Nil when it ran on a cluster that was there already.
  var cluster: OwnCluster?
  var machine: Machine
  /// Nil when nobody has asked for it.
  var stages: StageReport?

  // MARK: JSON

  var json: JSONValue {
    var members: [JSONValue.Member] = []
    func add(_ key: String, _ value: JSONValue) { members.append(.init(key: key, value: value)) }
    add("ops_per_s", .init((result.rate * 10).rounded() / 10))
    members += times(result.latencies)
    add("longest_gap_ms", .init(milliseconds(result.outages.longestGap)))
    add(
      "outages",
      .array(
        result.outages.gaps.map {
          .object(["from_ms": .init(milliseconds($0.from)), "to_ms": .init(milliseconds($0.to))])
        }))
    add("missed", .init(result.outages.missed))
    add("answered", .object(times(result.answeredLatencies)))
    add("errors", .init(result.errorCount))
    add("errors_by_code", .object(errors.map { .init(key: $0.name, value: .init($0.count)) }))
    add("first_error", result.firstError.map { .init($0) } ?? .null)
    add("op", .init(load.operation.rawValue))
    add(load.operation.isCommand ? "ack" : "read", .init(level))
    if load.operation == .get { add("missing", .init(result.missing)) }
    if load.operation.isCommand {
      add("batch", .init(load.batch))
      if !load.sessions.isEmpty { add("sessions", .init(load.sessions.count)) }
      add("times_of", .init(load.batch > 1 ? "batches" : "calls"))
    }
    add("clients", .init(load.clients))
    switch load.pace {
    case .closed(let depth): add("depth", .init(depth))
    case .open(let rate, let depth):
      add("rate", .init(rate))
      if let depth { add("depth", .init(depth)) }
    }
    add("unanswered", .init(result.unanswered))
    add("failed_connections", .init(result.failedConnections))
    add("value_size", .init(load.valueBytes))
    if load.operation != .insert { add("keys", .init(load.keys)) }
    add("warmup", .init(warmup))
    add("seconds", .init(result.seconds))
    add("nodes", cluster.map { .init($0.nodes) } ?? .null)
    add("endpoints", .array(endpoints.map { .init($0.description) }))
    add("durability", .init(durability))
    add("version", .init(LockstepVersion.current))
    add("node_versions", .array(target.versions.map { .init($0) }))
    add("machine", machine.json)
    if let stages { add("explain", stages.json) }
    return .object(members)
  }

  private func times(_ latencies: LatencySummary) -> [JSONValue.Member] {
    [
      ("p50_us", latencies.p50), ("p90_us", latencies.p90), ("p99_us", latencies.p99), ("p999_us", latencies.p999),
      ("max_us", latencies.longest),
    ].map { .init(key: $0, value: .init(Double($1) / 1000)) }
  }

  private func milliseconds(_ nanoseconds: UInt64) -> Double { (Double(nanoseconds) / 1e5).rounded() / 10 }

  var errors: [(name: String, count: Int)] {
    result.errors.map { ($0.key.name, $0.value) }.sorted { $0.0 < $1.0 }
  }

  /// Those that got a client.
  var endpoints: ArraySlice<Endpoint> { target.endpoints.prefix(load.clients) }

  var level: String {
    guard !load.operation.isCommand else { return load.options.acknowledgement.name }
    return switch load.options.consistency {
    case .linearizable: "linearizable"
    case .lease: "lease"
    case .session: "session"
    case .bounded(let bound): "bounded:\(bound.wholeMilliseconds)ms"
    case .at(let index): "at:\(index)"
    case .any: "any"
    }
  }

  /// What an answer to a write rests on. Of nodes elsewhere only the level is known.
  var durability: String {
    let ack = load.operation.isCommand ? load.options.acknowledgement.name : Acknowledgement.quorum.name
    guard let cluster else { return "\(ack); on the disks of the nodes, which are not seen from here" }
    return "\(ack) of \(cluster.nodes), fdatasync, on \(cluster.fileSystem) in \(cluster.place)"
  }
}
