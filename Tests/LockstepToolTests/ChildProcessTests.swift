import Glibc
import Testing

@testable import LockstepTool

@Suite("child processes")
struct ChildProcessTests {
  private func end(_ program: String, _ arguments: [String], _ body: (ChildProcess) -> Void = { _ in }) async throws
    -> Termination
  {
    let log = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { close(log) }
    let child = try ChildProcess.start(program, arguments: arguments, log: log)
    body(child)
    await withCheckedContinuation { done in child.onExit { done.resume() } }
    return child.reap()
  }

  @Test("an exit code", arguments: [0, 1, 13])
  func code(code: Int32) async throws {
    #expect(try await end("/bin/sh", ["-c", "exit \(code)"]) == .code(code))
  }

  @Test("a signal, also one that the parent ignores", .timeLimit(.minutes(1)), arguments: [SIGTERM, SIGKILL, SIGPIPE])
  func signalled(number: Int32) async throws {
    // And goes on to ignore, as all that write to sockets here rely on.
    signal(SIGPIPE, SIG_IGN)
    #expect(try await end("/bin/sleep", ["100"]) { $0.send(number) } == .signal(number))
  }

  @Test("a program that cannot be run is an error that names it")
  func missing() {
    let failure = #expect(throws: ChildProcess.StartFailure.self) {
      try ChildProcess.start("/does/not/exist", arguments: [], log: STDERR_FILENO)
    }
    #expect(failure?.description == "'/does/not/exist' cannot be run: No such file or directory")
  }

  @Test("a child has stdin, stdout and stderr, and no other file of its parent's")
  func files() async throws {
    let leaky = open("/dev/null", O_RDONLY)
    defer { close(leaky) }
    // ls itself opens the directory, as the fourth.
    #expect(try await end("/bin/sh", ["-c", "test $(ls /proc/self/fd | wc -l) -le 4"]) == .code(0))
  }

  @Test("stdin stays open as long as the parent lives")
  func standardInput() async throws {
    #expect(try await end("/bin/sh", ["-c", "timeout 0.2 cat; test $? -eq 124"]) == .code(0))
  }
}
