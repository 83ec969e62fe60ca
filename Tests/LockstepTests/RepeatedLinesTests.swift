import Testing

@testable import Lockstep

@Suite("lines of what lasts")
struct RepeatedLinesTests {
  private let second: UInt64 = 1_000_000_000

  @Test("what goes on and on is told once, and its count with the change that ends it")
  func steady() {
    var lines = RepeatedLines()
    #expect(lines.happened("to node 2", "refused", "connection refused", now: 0) == ["connection refused"])
    for time in 1...120 as ClosedRange<UInt64> {
      #expect(lines.happened("to node 2", "refused", "connection refused", now: time * second).isEmpty)
    }
    #expect(
      lines.happened("to node 2", "up", "connected", now: 121 * second)
        == ["connection refused (120 times more in the last 2 min)", "connected"])
    #expect(lines.happened("to node 2", "refused", "connection refused", now: 122 * second) == ["connection refused"])
  }

  @Test("after an hour it is told again, with the count")
  func hourly() {
    var lines = RepeatedLines()
    var told: [String] = []
    for time in 0..<7300 as Range<UInt64> {
      told += lines.happened("role", "none", "candidate in term \(time)", now: time * second)
    }
    #expect(
      told == [
        "candidate in term 0", "candidate in term 3600 (3599 times more in the last 59 min)",
        "candidate in term 7200 (3599 times more in the last 59 min)",
      ])
  }

  @Test("what comes and goes is told ten times an hour, then counted")
  func flapping() {
    var lines = RepeatedLines()
    var told = 0
    for time in 0..<7200 as Range<UInt64> {
      told += lines.happened("to node 2", time.isMultiple(of: 2) ? "up" : "lost", "x", now: time * second).count
    }
    #expect(told >= 20 && told <= 60, "\(told) lines in two hours")
  }

  @Test("topics do not silence each other, and strangers do not fill the memory")
  func topics() {
    var lines = RepeatedLines()
    for peer in 0..<1000 {
      #expect(lines.happened("node \(peer)", "x", "x \(peer)", now: 0) == ["x \(peer)"])
    }
    for key in 0..<1000 { _ = lines.happened("strangers", "\(key)", "y", now: 0) }
    #expect(lines.count <= 256 * 16 && lines.count >= 256)
  }
}
