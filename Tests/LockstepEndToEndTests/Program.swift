import Glibc
import Synchronization

/// A process under test. Its lines are gathered by threads, so that it never waits for this one; it is killed when
/// nobody refers to it any more.
final class Program: Sendable {
  private struct State {
    var lines: [String] = []
    var openStreams = 2
    var errors = ""
    var status: Int32?
    var input: Int32
  }

  let id: pid_t
  private let state: Mutex<State>
  private let onLine: (@Sendable (String) -> Void)?

  /// `onLine` takes the lines of stdout on a thread of their own, and then they are not kept.
  init(_ program: String, _ arguments: [String], onLine: (@Sendable (String) -> Void)? = nil) throws {
    let (id, input, output, errors) = try Self.spawning.withLock { _ in try Self.spawn(program, arguments) }
    signal(SIGPIPE, SIG_IGN)
    self.id = id
    self.onLine = onLine
    state = Mutex(State(input: input))
    // The threads hold the state and not the program, which could never go otherwise.
    let sink = Sink(self)
    inThread { Self.readLines(output) { sink.line($0) } }
    inThread { Self.readAll(errors) { sink.error($0) } }
    inThread {
      var status: Int32 = 0
      while waitpid(id, &status, 0) < 0, errno == EINTR {}
      sink.ended(status)
    }
  }

  /// One at a time: a child that is started while another's pipes are not marked yet would hold them open.
  private static let spawning = Mutex(())

  private static func spawn(
    _ program: String, _ arguments: [String]
  ) throws -> (id: pid_t, input: Int32, output: Int32, errors: Int32) {
    var pipes: [[Int32]] = []
    for _ in 0..<3 {
      var ends: [Int32] = [-1, -1]
      guard pipe(&ends) == 0 else { throw Failure("no pipe: errno \(errno)") }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      pipes.append(ends)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[0][0], 0)
    posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1)
    posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2)
    var strings: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var id: pid_t = 0
    let code = posix_spawnp(&id, program, &actions, nil, &strings, environ)
    for end in [pipes[0][0], pipes[1][1], pipes[2][1]] { close(end) }
    guard code == 0 else {
      for end in [pipes[0][1], pipes[1][0], pipes[2][0]] { close(end) }
      throw Failure("\(program) cannot be run: \(String(cString: strerror(code)))")
    }
    return (id, pipes[0][1], pipes[1][0], pipes[2][0])
  }

  deinit {
    if isRunning { kill(id, SIGKILL) }
    endInput()
  }

  var isRunning: Bool { state.withLock { $0.status == nil } }
  var lines: [String] { state.withLock { $0.lines } }
  var errors: String { state.withLock { $0.errors } }

  /// The exit code, or minus the signal; nil while it runs.
  var exitCode: Int32? {
    state.withLock { state in
      guard let status = state.status, state.openStreams == 0 else { return nil }
      return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }
  }

  func send(_ signal: Int32) { if isRunning { kill(id, signal) } }

  /// False when it takes no more.
  @discardableResult
  func write(_ line: String) -> Bool {
    let input = state.withLock { $0.input }
    guard input >= 0 else { return false }
    var rest = Array((line + "\n").utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if !(count < 0 && errno == EINTR) { return false }
    }
    return true
  }

  func endInput() {
    state.withLock { state in
      if state.input >= 0 { close(state.input) }
      state.input = -1
    }
  }

  func waitForExit(_ limit: Duration = .seconds(30)) async throws -> Int32 {
    try await wait(upTo: limit, "process \(id) ends; it said: \(errors.suffix(2000))") { exitCode != nil }
    return exitCode ?? -1
  }

  // MARK: Threads

  private final class Sink: Sendable {
    private struct Weak: Sendable { weak var program: Program? }
    private let program: Mutex<Weak>
    init(_ program: Program) { self.program = Mutex(Weak(program: program)) }
    private var target: Program? { program.withLock { $0.program } }

    func line(_ line: String?) {
      guard let target else { return }
      if let line, let onLine = target.onLine {
        onLine(line)
      } else {
        target.state.withLock { state in
          if let line { state.lines.append(line) } else { state.openStreams -= 1 }
        }
      }
    }
    func error(_ text: String?) {
      target?.state.withLock { state in
        if let text { state.errors += text } else { state.openStreams -= 1 }
      }
    }
    func ended(_ status: Int32) { target?.state.withLock { $0.status = status } }
  }

  /// Nil is the end.
  private static func readAll(_ file: Int32, _ take: (String?) -> Void) {
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file, &part, part.count)
      if count > 0 {
        take(String(decoding: part[..<count], as: UTF8.self))
      } else if !(count < 0 && errno == EINTR) {
        break
      }
    }
    close(file)
    take(nil)
  }

  private static func readLines(_ file: Int32, _ take: (String?) -> Void) {
    var rest: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file, &part, part.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      rest += part[..<count]
      var start = rest.startIndex
      while let end = rest[start...].firstIndex(of: 10) {
        take(String(decoding: rest[start..<end], as: UTF8.self))
        start = end + 1
      }
      rest.removeSubrange(..<start)
    }
    close(file)
    take(nil)
  }
}

/// Runs `body` where blocking is no harm.
func inThread(_ body: @escaping @Sendable () -> Void) {
  final class Work {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let work = Unmanaged.passRetained(Work(body))
  let code = pthread_create(
    &thread, nil,
    { work in
      guard let work else { return nil }
      Unmanaged<Work>.fromOpaque(work).takeRetainedValue().body()
      return nil
    }, work.toOpaque())
  precondition(code == 0, "no thread can be started")
  pthread_detach(thread)
}

/// A program run to its end.
struct Finished {
  let code: Int32
  let lines: [String]
  let errors: String

  static func run(
    _ arguments: [String], input: [String] = [], limit: Duration = .seconds(30)
  ) async throws -> Finished {
    let process = try Program(Setup.lockstep, arguments)
    inThread {
      for line in input where !process.write(line) { break }
      process.endInput()
    }
    let code = try await process.waitForExit(limit)
    return Finished(code: code, lines: process.lines, errors: process.errors)
  }
}
