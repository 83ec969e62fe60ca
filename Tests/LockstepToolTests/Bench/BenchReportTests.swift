import Lockstep
import LockstepExecution
import LockstepReflection
import LockstepWire
import Testing

@testable import LockstepTool

@Suite("what bench says")
struct BenchReportTests {
  private let machine = Machine(processor: "Fast", cores: 2, memoryBytes: 4 << 30, kernel: "Linux 6.1")
  private let own = OwnCluster(nodes: 3, place: "/data", fileSystem: "xfs", endpoints: [])

  /// A thousand calls of 1 to 1000 µs in two seconds, and two that failed.
  private var result: LoadResult {
    var meter = LoadMeter()
    for microseconds in 1...1000 as ClosedRange<UInt64> {
      meter.succeeded(latency: microseconds * 1000, isMissing: false, isInTime: true, isMeasured: true)
    }
    meter.succeeded(latency: 60_000_000_000, isMissing: true, isInTime: false, isMeasured: false)
    meter.failed(.unavailable, isMeasured: true, "nobody leads")
    meter.failed(.deadlineExceeded, isMeasured: true, "late")
    meter.failed(.internal, isMeasured: false, "before")
    return meter.result(lasting: 2)
  }

  private func report(
    _ operation: Load.Operation = .put, _ pace: Load.Pace = .closed(depth: 4), cluster: OwnCluster?,
    result: LoadResult? = nil
  ) -> BenchReport {
    BenchReport(
      load: Load(
        operation: operation, clients: 8, pace: pace, extent: .time(warmup: 1, seconds: 2), valueBytes: 256,
        keys: 100_000), warmup: 1, result: result ?? self.result,
      target: BenchTarget(endpoints: [Endpoint(host: "h", port: 1)], versions: ["0.9"]), cluster: cluster,
      machine: machine)
  }

  @Test("percentiles are those of what was measured, to three digits")
  func percentiles() {
    let latencies = result.latencies
    for (value, expected) in [(latencies.p50, 500), (latencies.p90, 900), (latencies.p99, 990), (latencies.p999, 999)] {
      #expect(abs(Double(value) / 1000 - Double(expected)) <= Double(expected) / 1000)
    }
    #expect(latencies.longest == 1_000_000)
  }

  @Test("JSON: the figures, and all that they depend on")
  func json() throws {
    let json = try JSONValue(parsing: report(cluster: own).json.text())
    #expect(json["ops_per_s"] == 500 && json["max_us"] == 1000 && json["errors"] == 2)
    #expect(json["errors_by_code"] == ["DEADLINE_EXCEEDED": 1, "UNAVAILABLE": 1])
    #expect(json["first_error"] == "UNAVAILABLE: nobody leads")
    #expect(json["op"] == "put" && json["ack"] == "quorum" && json["read"] == nil && json["missing"] == nil)
    #expect(json["clients"] == 8 && json["depth"] == 4 && json["rate"] == nil && json["nodes"] == 3)
    #expect(json["durability"] == "quorum of 3, fdatasync, on xfs in /data")
    #expect(json["version"] == .string(LockstepVersion.current) && json["node_versions"] == ["0.9"])
    #expect(json["machine"]?["cpu"] == "Fast" && json["machine"]?["memory_bytes"] == .init(4 << 30))
    for key in ["p50_us", "p90_us", "p99_us", "p999_us", "value_size", "keys", "warmup", "seconds", "endpoints"] {
      #expect(json[key] != nil, "\(key)")
    }
  }

  @Test("JSON: an open loop has a rate and what was not answered, reads have a level and what was not there")
  func openLoop() {
    var meter = LoadMeter()
    meter.succeeded(latency: 1, isMissing: true, isInTime: true, isMeasured: true)
    meter.unanswered(9, waited: 3_000_000_000)
    let result = meter.result(lasting: 1)
    let json = report(.get, .open(rate: 50), cluster: nil, result: result).json
    #expect(json["rate"] == 50 && json["depth"] == nil && json["unanswered"] == 9 && json["ops_per_s"] == 1)
    #expect(json["read"] == "linearizable" && json["ack"] == nil && json["missing"] == 1 && json["nodes"] == .null)
    // They waited for so long at least, and count.
    #expect(json["max_us"] == 3_000_000 && result.latencies.p50 == 3_000_000_000)
  }

  /// A call of 1 ms each millisecond of two seconds, but for the time between 0.5 and 1.5 s.
  private func outage(slots: Int?) -> LoadMeter {
    var meter = LoadMeter(slots: slots)
    meter.begin(at: 5_000_000_000)
    for millisecond in 1...2000 as ClosedRange<UInt64> where !(501..<1500).contains(millisecond) {
      meter.served(at: 5_000_000_000 + millisecond * 1_000_000)
      meter.succeeded(latency: 1_000_000, isMissing: false, isInTime: true, isMeasured: true)
    }
    meter.end(at: 7_000_000_000)
    return meter
  }

  @Test("an outage is said, and a closed loop counts what it would have done meanwhile")
  func outage() {
    var report = report(cluster: own, result: outage(slots: 4).result(lasting: 2))
    let json = report.json
    #expect(json["longest_gap_ms"] == 1000 && json["outages"] == [["from_ms": 500, "to_ms": 1500]])
    // A thousand a second, less the four that waited.
    #expect(json["missed"] == 996 || json["missed"] == 997, "\(json.text())")
    #expect(json["answered"]?["max_us"] == 1000 && report.result.latencies.longest > 990_000_000)
    #expect(abs(Double(report.result.latencies.p90) - 800e6) < 20e6)
    #expect(report.text.contains("no call succeeded for 1.00 s from 0.50 s to 1.50 s. About 99"))
    #expect(report.text.contains("without them: P99 1.00 ms, P99.9 1.00 ms, MAX 1.00 ms."))
    // One that lasts to the end.
    var meter = LoadMeter(slots: 1)
    meter.begin(at: 0)
    for millisecond in 1...500 as ClosedRange<UInt64> { meter.served(at: millisecond * 1_000_000) }
    meter.end(at: 1_000_000_000)
    report.result = meter.result(lasting: 1)
    #expect(report.result.outages.gaps == [.init(from: 500_000_000, to: 1_000_000_000, failures: 0)])
  }

  @Test("an open loop that was not answered in an outage is not said to be too fast for the cluster")
  func openLoopOutage() {
    var meter = outage(slots: nil)
    meter.unanswered(3, waited: 2_000_000_000)
    let lost = report(.put, .open(rate: 1000, depth: 8), cluster: nil, result: meter.result(lasting: 2))
    #expect(lost.text.contains("there was the time without service") && !lost.text.contains("cannot keep up"))
    #expect(lost.text.contains("1,000 calls a second on schedule, 8 under way on each at most"))
    #expect(lost.json["missed"] == 0 && lost.json["depth"] == 8 && lost.json["longest_gap_ms"] == 1000)
    var slow = LoadMeter()
    slow.unanswered(3, waited: 2_000_000_000)
    let late = report(.put, .open(rate: 1000), cluster: nil, result: slow.result(lasting: 2))
    #expect(late.text.contains("the cluster cannot keep up with this rate"))
  }

  @Test("few and slow calls are no outage")
  func slowCalls() {
    var meter = LoadMeter(slots: 1)
    meter.begin(at: 0)
    for call in 1...10 as ClosedRange<UInt64> {
      meter.served(at: call * 200_000_000)
      meter.succeeded(latency: 200_000_000, isMissing: false, isInTime: true, isMeasured: true)
    }
    let outages = meter.result(lasting: 2).outages
    #expect(outages.gaps == [] && outages.missed == 0 && outages.longestGap == 200_000_000)
  }

  @Test("batches: commands are counted, and the times are said to be those of batches")
  func batches() {
    var meter = LoadMeter()
    meter.succeeded(latency: 2_000_000, commands: 60, isMissing: false, isInTime: true, isMeasured: true)
    meter.failed(.aborted, commands: 4, isMeasured: true, "no")
    var report = report(cluster: own, result: meter.result(lasting: 2))
    #expect(report.json["batch"] == 1 && report.json["times_of"] == "calls")
    report.load.batch = 64
    let json = report.json
    #expect(json["batch"] == 64 && json["times_of"] == "batches" && json["ops_per_s"] == 30 && json["errors"] == 4)
    #expect(json["p50_us"] == json["max_us"])
    #expect(report.text.contains("4 batches of 64 commands under way on each; times are those of batches"))
    #expect(report.text.contains("COMMANDS/S") && !report.text.contains("CALLS/S"))
  }

  @Test("a table for people")
  func text() {
    let lines = report(cluster: own).text.split(separator: "\n").map(String.init)
    #expect(lines[0] == "load        put, quorum; 8 clients, 4 under way on each")
    #expect(lines.contains("durability  quorum of 3, fdatasync, on xfs in /data"))
    #expect(lines.contains("machine     Fast, 2 cores, 4 GiB, Linux 6.1"))
    #expect(lines.contains("version     \(LockstepVersion.current); nodes: 0.9"))
    #expect(lines[6] == "CALLS/S  P50     P90     P99     P99.9   MAX      GAP   ERRORS")
    #expect(lines.last == "errors: 1 DEADLINE_EXCEEDED, 1 UNAVAILABLE")
    let memory = OwnCluster(nodes: 3, place: "/dev/shm", fileSystem: "tmpfs", endpoints: [])
    #expect(report(cluster: memory).text.contains("on tmpfs a sync costs nothing"))
  }

  @Test("the second that passes does not know the one before")
  func seconds() {
    var meter = LoadMeter()
    meter.succeeded(latency: 2_000_000, isMissing: false, isInTime: true, isMeasured: true)
    #expect(meter.takeSecond(lasting: 0.5).rate == 2)
    let second = LoadGenerator.Second(phase: .warmUp, number: 2, result: meter.takeSecond(lasting: 1))
    #expect(second.result.succeeded == 0 && second.text.contains("warm-up") && second.text.hasSuffix("max -"))
  }

  @Test(
    "times have three digits",
    arguments: [
      (0, "0 µs"), (251_400, "251 µs"), (999_499, "999 µs"), (999_500, "1.00 ms"), (1_724_000, "1.72 ms"),
      (9_996_000, "10.0 ms"), (99_949_999, "99.9 ms"), (99_960_000, "100 ms"), (2_500_000_000, "2.50 s"),
    ])
  func times(nanoseconds: UInt64, text: String) { #expect(timeText(nanoseconds) == text) }

  @Test("big numbers have commas", arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")])
  func numbers(number: Int, text: String) { #expect(grouped(number) == text) }
}

@Suite("where bench was measured")
struct MachineTests {
  @Test("the processor's name, or that it has none")
  func processor() {
    #expect(Machine.processor(in: "processor\t: 0\nmodel name\t: Fast 3000\nmodel name\t: other\n") == "Fast 3000")
    #expect(Machine.processor(in: "processor\t: 0\nBogoMIPS\t: 50\n") == "unknown processor")
    #expect(Machine.current().cores > 0 && Machine.current().kernel.hasPrefix("Linux "))
  }

  @Test("the file system of a path: of the innermost mount, and of several at one place the last")
  func fileSystem() {
    let mounts = """
      21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
      22 21 0:20 / /data rw shared:1 master:2 - tmpfs tmpfs rw
      23 22 0:21 / /data rw - xfs /dev/vdb rw
      24 21 0:22 / /data/inner rw - btrfs /dev/vdc rw
      """
    #expect(FileSystem.type(of: "/tmp/x", mounts: mounts) == "ext4")
    #expect(FileSystem.type(of: "/data", mounts: mounts) == "xfs")
    #expect(FileSystem.type(of: "/data/inner/x", mounts: mounts) == "btrfs")
    #expect(FileSystem.type(of: "/database", mounts: mounts) == "ext4")
    #expect(FileSystem.type(of: "/", mounts: "") == nil)
    #expect(FileSystem.type(of: "/does/not/exist") == "unknown")
  }
}
