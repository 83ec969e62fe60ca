import Glibc
import Synchronization

/// What the tests run, and how much of it.
enum Setup {
  /// The programs of the same build as the tests, unless the environment names others: so tests of a debug build can
  /// drive release programs.
  static let lockstep = program("lockstep", variable: "LOCKSTEP_BINARY")
  static let bank = program("bank", variable: "LOCKSTEP_BANK")

  /// Programs named by hand are taken for optimised ones, of which times are asked.
  static var measuresTime: Bool { variable("LOCKSTEP_BINARY") != nil }

  /// LOCKSTEP_ROUNDS=full or a number, instead of the few rounds of a quick run.
  static func rounds(quick: Int, full: Int) -> Int {
    guard let text = variable("LOCKSTEP_ROUNDS") else { return quick }
    return text == "full" ? full : Int(text) ?? quick
  }

  static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  static func say(_ text: String) {
    var line = "  \(text)\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private static func program(_ name: String, variable: String) -> String {
    if let path = self.variable(variable) { return path }
    // The test bundle, or a runner beside which the products lie.
    let candidates = [executable()] + CommandLine.arguments
    for candidate in candidates {
      guard let slash = candidate.lastIndex(of: "/") else { continue }
      let path = candidate[..<slash] + "/" + name
      if access(String(path), X_OK) == 0 { return String(path) }
    }
    return name
  }

  private static func executable() -> String {
    var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = path.withUnsafeMutableBytes {
      readlink("/proc/self/exe", $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return String(decoding: path.prefix(max(0, count)), as: UTF8.self)
  }
}

/// Something that should have happened did not.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The one place where these tests sleep: asks again every few milliseconds, until it is so or the time is over.
func wait(
  upTo limit: Duration, _ what: @autoclosure () -> String, every pause: Duration = .milliseconds(10),
  until condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < end else { throw Failure("not within \(limit): \(what())") }
    try await Task.sleep(for: pause)
  }
}

/// Ended, whether somebody has asked for its status or not.
func hasEnded(_ pid: pid_t) -> Bool {
  let state = Files.text("/proc/\(pid)/stat").split(separator: ")").last?.first { $0 != " " }
  return state == nil || state == "Z"
}

/// A stretch of time in which something else goes on.
func pass(_ duration: Duration) async throws {
  let end = ContinuousClock.now + duration
  try await wait(upTo: duration + .seconds(60), "the time passes") { ContinuousClock.now >= end }
}

/// A directory of the test's own, removed when the test has ended.
struct TemporaryDirectory: ~Copyable {
  let path: String

  init() throws {
    var template = Array("\(Setup.variable("TMPDIR") ?? "/tmp")/lockstep-e2e-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure("no temporary directory: errno \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Files.remove(path) }
}

/// Ports that nobody uses: the lowest is one more than the base, as `lockstep up` counts them.
enum Ports {
  private static let taken = Mutex<Set<Int>>([])

  static func freeBase() throws -> Int {
    for _ in 0..<500 {
      // Below those that the system gives to connections by itself, from 32768.
      let base = Int.random(in: 100..<225) * 100 + 10_000
      guard taken.withLock({ $0.insert(base).inserted }) else { continue }
      _ = taken.withLock { $0.insert(base + 100) }
      if (1...9).allSatisfy({ isFree(base + $0) && isFree(base + 100 + $0) }) { return base }
    }
    throw Failure("no free ports")
  }

  private static func isFree(_ port: Int) -> Bool {
    guard let file = try? Socket.listen(port: port) else { return false }
    close(file)
    return true
  }
}
