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
    let latencies = result.latencies
    var members: [JSONValue.Member] = []
    func add(_ key: String, _ value: JSONValue) { members.append(.init(key: key, value: value)) }
    add("ops_per_s", .init((result.rate * 10).rounded() / 10))
    for (name, value) in [
      ("p50_us", latencies.p50), ("p90_us", latencies.p90), ("p99_us", latencies.p99), ("p999_us", latencies.p999),
      ("max_us", latencies.longest),
    ] { add(name, .init(Double(value) / 1000)) }
    add("errors", .init(result.errorCount))
    add("errors_by_code", .object(errors.map { .init(key: $0.name, value: .init($0.count)) }))
    add("first_error", result.firstError.map { .init($0) } ?? .null)
    add("op", .init(load.operation.rawValue))
    add(load.operation == .put ? "ack" : "read", .init(level))
    if load.operation == .get { add("missing", .init(result.missing)) }
    if load.operation == .put {
      add("batch", .init(load.batch))
      add("times_of", .init(load.batch > 1 ? "batches" : "calls"))
    }
    add("clients", .init(load.clients))
    switch load.pace {
    case .closed(let depth): add("depth", .init(depth))
    case .open(let rate): add("rate", .init(rate))
    }
    add("unanswered", .init(result.unanswered))
    add("failed_connections", .init(result.failedConnections))
    add("value_size", .init(load.valueBytes))
    add("keys", .init(load.keys))
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

  private var errors: [(name: String, count: Int)] {
    result.errors.map { ($0.key.name, $0.value) }.sorted { $0.0 < $1.0 }
  }

  /// Those that got a client.
  private var endpoints: ArraySlice<Endpoint> { target.endpoints.prefix(load.clients) }

  private var level: String {
    guard load.operation == .get else { return load.options.acknowledgement.rawValue }
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
    let ack = load.operation == .put ? load.options.acknowledgement.rawValue : Acknowledgement.quorum.rawValue
    guard let cluster else { return "\(ack); on the disks of the nodes, which are not seen from here" }
    return "\(ack) of \(cluster.nodes), fdatasync, on \(cluster.fileSystem) in \(cluster.place)"
  }

  // MARK: Text

  /// Lines, each with its newline.
  var text: String {
    let pace =
      switch load.pace {
      case .closed(let depth) where load.batch > 1:
        "\(depth) batches of \(grouped(load.batch)) commands under way on each; times are those of batches"
      case .closed(let depth): "\(depth) under way on each"
      case .open(let rate): "\(grouped(rate)) calls a second on schedule"
      }
    let nodes = cluster.map { "\($0.nodes), started on this machine for this run" } ?? "running already"
    var lines = [
      ("load", "\(load.operation.rawValue), \(level); \(load.clients) clients, \(pace)"),
      ("data", "values of \(load.valueBytes) bytes, \(grouped(load.keys)) keys"),
      ("nodes", "\(nodes); the load goes to \(endpoints.map(\.description).joined(separator: ", "))"),
      ("durability", durability), ("machine", machine.description), ("version", version),
    ].map { name, value in name + String(repeating: " ", count: 12 - name.count) + value }
    lines.append("")
    let latencies = result.latencies
    let cells =
      [(load.batch > 1 ? "COMMANDS/S" : "CALLS/S", grouped(Int(result.rate.rounded())))]
      + [
        ("P50", latencies.p50), ("P90", latencies.p90), ("P99", latencies.p99), ("P99.9", latencies.p999),
        ("MAX", latencies.longest),
      ].map { ($0, timeText($1)) } + [("ERRORS", grouped(result.errorCount))]
    let widths = cells.map { max($0.0.count, $0.1.count) + 2 }
    lines.append(zip(cells, widths).map { padded($0.0, $1) }.joined())
    lines.append(zip(cells, widths).map { padded($0.1, $1) }.joined())
    let result = (lines.map(trimmed) + remarks).joined(separator: "\n") + "\n"
    return stages.map { "\(result)\n\($0.text)" } ?? result
  }

  private var version: String {
    target.versions == [LockstepVersion.current]
      ? LockstepVersion.current
      : "\(LockstepVersion.current); nodes: \(target.versions.joined(separator: ", "))"
  }

  private var remarks: [String] {
    var remarks: [String] = []
    if !result.errors.isEmpty {
      remarks.append("errors: " + errors.map { "\(grouped($0.count)) \($0.name)" }.joined(separator: ", "))
    }
    if let cluster, FileSystem.inMemory.contains(cluster.fileSystem) {
      remarks.append("on \(cluster.fileSystem) a sync costs nothing; TMPDIR names another place")
    }
    if result.missing > 0 { remarks.append("\(grouped(result.missing)) reads found no value; --fill writes every key") }
    if result.unanswered > 0 {
      let isOpen = if case .open = load.pace { true } else { false }
      let reason = isOpen ? "the cluster cannot keep up with this rate" : "something stood still"
      remarks.append(
        "\(grouped(result.unanswered)) calls were not answered within a second of the end: \(reason). They count with the "
          + "time that they had waited by then.")
    }
    if result.failedConnections > 0 {
      remarks.append("\(grouped(result.failedConnections)) times a connection could not be made")
    }
    return remarks
  }
}

extension LoadGenerator.Second {
  /// The line that is printed while the load runs.
  var text: String {
    let latencies = result.latencies
    func time(_ nanoseconds: UInt64) -> String { result.succeeded > 0 ? timeText(nanoseconds) : "-" }
    let cells = [
      padded("\(number) s", 8), padded(phase == .warmUp ? "warm-up" : "", 9),
      padded("\(grouped(Int(result.rate.rounded())))/s", 13), padded("p50 \(time(latencies.p50))", 14),
      padded("p99 \(time(latencies.p99))", 14), padded("max \(time(latencies.longest))", 14),
      result.errorCount > 0 ? "errors \(grouped(result.errorCount))" : "",
    ]
    return trimmed(cells.joined())
  }
}

/// `251 µs`, `1.72 ms`, `2.50 s`: three digits.
func timeText(_ nanoseconds: UInt64) -> String {
  let (value, unit): (Double, String) =
    switch nanoseconds {
    case ..<999_500: (Double(nanoseconds) / 1e3, "µs")
    case ..<999_500_000: (Double(nanoseconds) / 1e6, "ms")
    default: (Double(nanoseconds) / 1e9, "s")
    }
  let decimals = unit == "µs" || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  guard decimals > 0 else { return "\(Int(value.rounded())) \(unit)" }
  let scale = decimals == 1 ? 10 : 100
  let scaled = Int((value * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  return "\(scaled / scale).\(String(repeating: "0", count: decimals - fraction.count))\(fraction) \(unit)"
}

/// `35,121`.
func grouped(_ number: Int) -> String {
  var text = ""
  for (place, digit) in String(number).reversed().enumerated() {
    if place > 0, place % 3 == 0, digit != "-" { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}

private func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}

private func trimmed(_ text: String) -> String {
  var text = text
  while text.last == " " { text.removeLast() }
  return text
}
