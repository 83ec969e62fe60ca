import Histogram
import LockstepExecution

/// Times of calls in nanoseconds, to three significant digits whatever their size.
typealias Latencies = Histogram<UInt64>

/// The figures of a histogram, in nanoseconds.
struct LatencySummary: Sendable, Equatable {
  var p50: UInt64 = 0
  var p90: UInt64 = 0
  var p99: UInt64 = 0
  var p999: UInt64 = 0
  var longest: UInt64 = 0

  init(_ latencies: Latencies) {
    guard latencies.totalCount > 0 else { return }
    longest = latencies.maxRecorded
    // A percentile is the upper end of its bucket, which may lie beyond the longest call.
    func percentile(_ percent: Double) -> UInt64 { min(latencies.valueAtPercentile(percent), latencies.maxRecorded) }
    (p50, p90, p99, p999) = (percentile(50), percentile(90), percentile(99), percentile(99.9))
  }
}

/// What came of a load, or of one second of it.
struct LoadResult: Sendable {
  var seconds = 0.0
  /// Commands or reads answered with success in these seconds.
  var succeeded = 0
  /// Of them, reads of keys that had no value.
  var missing = 0
  var errors: [CallStatus.Code: Int] = [:]
  var firstError: String?
  /// Connections that could not be made. No command was lost by them.
  var failedConnections = 0
  /// Calls that were under way, or of an open loop due, and had not been answered when there was no more waiting. The
  /// latencies contain them with what they had waited by then.
  var unanswered = 0
  /// With the calls that were missed.
  var latencies = LatencySummary(LoadMeter.emptyLatencies())
  /// Without them.
  var answeredLatencies = LatencySummary(LoadMeter.emptyLatencies())
  var outages = Outages()

  var errorCount: Int { errors.values.reduce(0, +) }
  var rate: Double { seconds > 0 ? Double(succeeded) / seconds : 0 }
}

/// Counts what happens to calls, for the measured time and for the second that passes.
struct LoadMeter {
  /// Longer than any run.
  private static let longestLatency: UInt64 = 100_000 * 1_000_000_000

  static func emptyLatencies() -> Latencies { Latencies(highestTrackableValue: longestLatency) }

  private var total = LoadResult()
  private var second = LoadResult()
  private var totalLatencies = LoadMeter.emptyLatencies()
  private var secondLatencies = LoadMeter.emptyLatencies()
  private var gaps = ServiceGaps()
  private var callsInTime = 0
  private var failedCalls = 0
  /// Calls that may be under way in a closed loop; nil: it is an open one.
  private let slots: Int?
  private(set) var firstError: String?

  init(slots: Int? = nil) { self.slots = slots }

  var isSound: Bool { total.errors.isEmpty && total.failedConnections == 0 }

  /// The measured time begins, or has ended.
  mutating func begin(at now: UInt64) { gaps.begin(at: now, failures: failedCalls) }
  mutating func end(at now: UInt64) { gaps.end(at: now, failures: failedCalls) }

  /// A call was answered in the measured time, and not all of it failed.
  mutating func served(at now: UInt64) {
    callsInTime += 1
    gaps.end(at: now, failures: failedCalls)
  }

  /// `commands`: of one call, whose latency counts once. `isInTime`: it was answered in the measured time. `isMeasured`:
  /// its latency counts; an open loop asks for calls that were due in the measured time, whenever they are answered.
  mutating func succeeded(
    latency: UInt64, commands: Int = 1, isMissing: Bool, isInTime: Bool, isMeasured: Bool
  ) {
    second.succeeded += commands
    secondLatencies.record(latency)
    if isInTime {
      total.succeeded += commands
      if isMissing { total.missing += 1 }
    }
    if isMeasured { totalLatencies.record(latency) }
  }

  mutating func failed(
    _ code: CallStatus.Code, commands: Int = 1, isMeasured: Bool, _ message: @autoclosure () -> String
  ) {
    failedCalls += 1
    second.errors[code, default: 0] += commands
    if isMeasured { total.errors[code, default: 0] += commands }
    if firstError == nil { firstError = "\(code.name): \(message())" }
  }

  mutating func connectionFailed(isMeasured: Bool, _ message: @autoclosure () -> String) {
    if isMeasured { total.failedConnections += 1 }
    if firstError == nil { firstError = "\(CallStatus.Code.unavailable.name): \(message())" }
  }

  mutating func unanswered(_ count: UInt64, waited: UInt64) {
    total.unanswered += Int(count)
    totalLatencies.record(waited, count: count)
  }

  /// What came of the second that ends here.
  mutating func takeSecond(lasting seconds: Double) -> LoadResult {
    second.seconds = seconds
    second.latencies = LatencySummary(secondLatencies)
    defer {
      second = LoadResult()
      secondLatencies.reset()
    }
    return second
  }

  func result(lasting seconds: Double) -> LoadResult {
    var result = total
    result.seconds = seconds
    result.firstError = firstError
    result.answeredLatencies = LatencySummary(totalLatencies)
    let usual = totalLatencies.totalCount > 0 ? totalLatencies.valueAtPercentile(1) : 0
    result.outages = Outages(gaps, calls: callsInTime, seconds: seconds, usual: usual, slots: slots)
    var corrected = totalLatencies
    result.outages.forEachMissed { corrected.record($0, count: $1) }
    result.latencies = LatencySummary(corrected)
    return result
  }
}
