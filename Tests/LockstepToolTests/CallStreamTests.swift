import Glibc
import Lockstep
import LockstepReflection
import Testing

@testable import LockstepTool

@Suite("call - without a cluster")
struct CallStreamTests {
  /// A stream whose nodes cannot be reached, between two pipes.
  private struct Session {
    let input: Int32
    let output: Int32
    let result: Task<CommandFailure?, Never>

    init(concurrency: Int) throws {
      let (stdin, stdout) = (try #require(makePipe()), try #require(makePipe()))
      (input, output) = (stdin.write, stdout.read)
      // Port 1 is nobody's.
      let client = LockstepClient(endpoints: [Endpoint(host: "127.0.0.1", port: 1)])
      let stream = CallStream(
        caller: Caller(client), defaults: CallOptions(), concurrency: concurrency, input: stdin.read,
        output: stdout.write)
      result = Task {
        defer {
          close(stdin.read)
          close(stdout.write)
        }
        do throws(CommandFailure) {
          try await stream.run()
          return nil
        } catch {
          return error
        }
      }
    }

    func send(_ text: String) { Output.write(text, to: input) }

    /// One line, which has to come without anything more being sent.
    func line() async throws -> JSONValue {
      let output = output
      let bytes = await withCheckedContinuation { (done: CheckedContinuation<[UInt8], Never>) in
        startThread {
          var bytes: [UInt8] = []
          var byte: UInt8 = 0
          while read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { bytes.append(byte) }
          done.resume(returning: bytes)
        }
      }
      return try JSONValue(parsing: bytes)
    }
  }

  @Test("who writes one line and waits gets its answer", .timeLimit(.minutes(1)))
  func interactive() async throws {
    let session = try Session(concurrency: 1)
    for _ in 0..<3 {
      session.send("{\"method\":\"a.B/C\"}\n")
      let answer = try await session.line()
      #expect(answer["ok"] == false)
      #expect(answer["code"] == "UNAVAILABLE")
      #expect(answer["applied"] == "no")
    }
    close(session.input)
    #expect(await session.result.value == nil)
    close(session.output)
  }

  @Test("every line that is not blank is answered, in order", .timeLimit(.minutes(1)), arguments: [1, 8])
  func order(concurrency: Int) async throws {
    let session = try Session(concurrency: concurrency)
    session.send("nonsense\n\n  \r\n{\"method\":\"a.B/C\"}\n{\"method\":\"a.B/C\",\"x\":1}")
    close(session.input)
    #expect(try await session.line()["code"] == "INVALID_ARGUMENT")
    #expect(try await session.line()["code"] == "UNAVAILABLE")
    let last = try await session.line()
    #expect(last["code"] == "INVALID_ARGUMENT")
    #expect(last["message"]?.string?.contains("unknown key \"x\"") == true)
    #expect(await session.result.value == nil)
    close(session.output)
  }

  @Test("input that cannot be read is an error", .timeLimit(.minutes(1)))
  func unreadable() async throws {
    let directory = open("/", O_RDONLY | O_CLOEXEC)
    defer { close(directory) }
    let client = LockstepClient(endpoints: [Endpoint(host: "127.0.0.1", port: 1)])
    let stream = CallStream(
      caller: Caller(client), defaults: CallOptions(), concurrency: 1, input: directory, output: STDERR_FILENO)
    await #expect(throws: CommandFailure.failed("stdin cannot be read: Is a directory")) { try await stream.run() }
  }
}
