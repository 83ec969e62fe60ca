import Lockstep

extension BenchReport {
  /// Lines, each with its newline.
  var text: String {
    let pace =
      switch load.pace {
      case .closed(let depth) where load.batch > 1:
        "\(depth) batches of \(grouped(load.batch)) commands under way on each; times are those of batches"
      case .closed(let depth): "\(depth) under way on each"
      case .open(let rate, nil): "\(grouped(rate)) calls a second on schedule"
      case .open(let rate, let depth?):
        "\(grouped(rate)) calls a second on schedule, \(grouped(depth)) under way on each at most"
      }
    let nodes = cluster.map { "\($0.nodes), started on this machine for this run" } ?? "running already"
    var lines = [
      ("load", "\(load.operation.rawValue), \(level); \(load.clients) clients, \(pace)"),
      (
        "data",
        "values of \(load.valueBytes) bytes, \(load.operation == .insert ? "rows of new keys" : "\(grouped(load.keys)) keys")"
      ),
      ("nodes", "\(nodes); the load goes to \(endpoints.map(\.description).joined(separator: ", "))"),
      ("durability", durability), ("machine", machine.description), ("version", version),
    ].map { name, value in name + String(repeating: " ", count: 12 - name.count) + value }
    lines.append("")
    let latencies = result.latencies
    let cells =
      [(load.batch > 1 ? "COMMANDS/S" : "CALLS/S", grouped(Int(result.rate.rounded())))]
      + [
        ("P50", latencies.p50), ("P90", latencies.p90), ("P99", latencies.p99), ("P99.9", latencies.p999),
        ("MAX", latencies.longest), ("GAP", result.outages.longestGap),
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
    if let outage { remarks.append(outage) }
    if let cluster, FileSystem.inMemory.contains(cluster.fileSystem) {
      remarks.append("on \(cluster.fileSystem) a sync costs nothing; TMPDIR names another place")
    }
    if result.missing > 0 { remarks.append("\(grouped(result.missing)) reads found no value; --fill writes every key") }
    if result.unanswered > 0 {
      remarks.append(
        "\(grouped(result.unanswered)) calls were not answered within a second of the end: \(standstill). They count with "
          + "the time that they had waited by then.")
    }
    if result.failedConnections > 0 {
      remarks.append("\(grouped(result.failedConnections)) times a connection could not be made")
    }
    return remarks
  }

  /// Why calls are left over at the end.
  private var standstill: String {
    if !result.outages.gaps.isEmpty { return "there was the time without service, and what was due in it" }
    return if case .open = load.pace { "the cluster cannot keep up with this rate" } else { "something stood still" }
  }

  /// That nobody answered for a while, when, and what it means for the figures.
  private var outage: String? {
    let outages = result.outages
    guard !outages.gaps.isEmpty else { return nil }
    let longest = outages.gaps.sorted { $0.length > $1.length }.prefix(3).sorted { $0.from < $1.from }
    let times = longest.map { "\(timeText($0.length)) from \(seconds($0.from)) to \(seconds($0.to))" }
    let more = outages.gaps.count > longest.count ? " and \(outages.gaps.count - longest.count) more times" : ""
    var text = "no call succeeded for \(times.joined(separator: ", "))\(more)."
    if outages.missed > 0 {
      let answered = result.answeredLatencies
      text +=
        " About \(grouped(outages.missed)) more calls would have been made in that time, and count as if each had waited for "
        + "its end; without them: P99 \(timeText(answered.p99)), P99.9 \(timeText(answered.p999)), "
        + "MAX \(timeText(answered.longest))."
    }
    return text
  }

  private func seconds(_ nanoseconds: UInt64) -> String {
    let hundredths = Int((Double(nanoseconds) / 1e7).rounded())
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) s"
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
