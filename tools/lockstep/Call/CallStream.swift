import Dispatch
import Glibc
import Lockstep
import LockstepReflection
import Synchronization

/// `call -`: lines in, lines out, in the same order.
///
/// Three parties: a thread that reads stdin and starts a task per line, the tasks, and a thread that writes. The reader
/// stops reading while as many calls are under way as may be, or while too many results wait to be written: memory is
/// bounded however long the input is, and however slow its consumer.
final class CallStream: Sendable {
  /// The longest line that is read: a request of the largest size that a node takes fits, also as base64.
  static let longestLine = 64 << 20
  /// Results that may wait for an earlier one, beyond the calls under way.
  private static let waitingResults = 4096
  private static let readBytes = 256 << 10

  private let caller: Caller
  private let defaults: CallOptions
  private let input: Int32
  private let places: DispatchSemaphore
  private let unwritten: DispatchSemaphore
  private let output: OrderedOutput

  init(
    caller: Caller, defaults: CallOptions, concurrency: Int, input: Int32 = STDIN_FILENO,
    output file: Int32 = STDOUT_FILENO
  ) {
    self.caller = caller
    self.defaults = defaults
    self.input = input
    places = Self.semaphore(concurrency)
    let unwritten = Self.semaphore(concurrency + Self.waitingResults)
    self.unwritten = unwritten
    output = OrderedOutput(
      write: { Output.write($0, to: file) },
      onWritten: { count in for _ in 0..<count { unwritten.signal() } })
  }

  /// A semaphore must not be freed below the value that it was made with, which may happen when the output breaks.
  private static func semaphore(_ value: Int) -> DispatchSemaphore {
    let semaphore = DispatchSemaphore(value: 0)
    for _ in 0..<value { semaphore.signal() }
    return semaphore
  }

  /// Returns when the input has ended and every line is answered.
  func run() async throws(CommandFailure) {
    let readError = Mutex<Int32>(0)
    let isComplete = await withCheckedContinuation { (done: CheckedContinuation<Bool, Never>) in
      startThread { done.resume(returning: self.output.run()) }
      startThread {
        let error = self.readAll()
        readError.withLock { $0 = error.code }
        self.output.end(total: error.lines)
      }
    }
    guard isComplete else { throw .failed("nobody reads the results any more: \(systemMessage(EPIPE))") }
    let code = readError.withLock { $0 }
    guard code == 0 else { throw .failed("stdin cannot be read: \(systemMessage(code))") }
  }

  private func readAll() -> (lines: Int, code: Int32) {
    var splitter = LineSplitter(limit: Self.longestLine)
    var lines = 0
    let take = { (line: LineSplitter.Line) in
      if self.start(line, lines) { lines += 1 }
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.readBytes, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = read(input, buffer.baseAddress, buffer.count)
      if count > 0 {
        splitter.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]), take)
      } else if count == 0 {
        splitter.finish(take)
        return (lines, 0)
      } else if errno == EAGAIN {
        // Whoever started this program made stdin non-blocking.
        var descriptor = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
        poll(&descriptor, 1, -1)
      } else if errno != EINTR {
        let code = errno
        splitter.finish(take)
        return (lines, code)
      }
    }
  }

  /// Starts the call of a line, waiting for a place if need be; false for a blank line.
  private func start(_ line: LineSplitter.Line, _ number: Int) -> Bool {
    if case .text(let bytes) = line, bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return false }
    unwritten.wait()
    places.wait()
    Task {
      let (call, result) = await answer(line)
      output.finish(number, result.envelope(of: call).text())
      places.signal()
    }
    return true
  }

  private func answer(_ line: LineSplitter.Line) async -> (CallRequest?, CallResult) {
    switch line {
    case .tooLong:
      return (nil, .failure(.invalidArgument, "the line is longer than \(Self.longestLine >> 20) MiB"))
    case .text(let bytes):
      let call: CallRequest
      do throws(CallRequest.Malformed) { call = try CallRequest(line: bytes, defaults: defaults) } catch {
        return (nil, .failure(.invalidArgument, error.description))
      }
      return (call, await caller.perform(call))
    }
  }
}
