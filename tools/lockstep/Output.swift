import Glibc
import LockstepReflection
import Synchronization

/// The two streams of a program. Nothing is buffered here: a reader at the other end of a pipe gets a line when it is
/// written.
enum Output {
  private struct State {
    var isBegun = false
    var failure: Int32?
  }
  private static let state = Mutex(State())

  /// Whether anything has been written to stdout.
  static var isBegun: Bool { state.withLock { $0.isBegun } }
  /// Why something could not be written to stdout, an errno, unless its reader has merely gone: what a program prints is
  /// what it was run for.
  static var failure: Int32? { state.withLock { $0.failure } }

  /// False when nobody can read it any more.
  @discardableResult
  static func write(_ text: String, to file: Int32 = STDOUT_FILENO) -> Bool {
    var text = text
    return text.withUTF8 { write(UnsafeRawBufferPointer($0), to: file) }
  }

  static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32 = STDOUT_FILENO) -> Bool {
    if file == STDOUT_FILENO { state.withLock { $0.isBegun = true } }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if count < 0, errno == EAGAIN {
        // Whoever started this program made the stream non-blocking.
        var descriptor = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
        poll(&descriptor, 1, -1)
      } else if !(count < 0 && errno == EINTR) {
        let code = errno
        if file == STDOUT_FILENO, code != EPIPE { state.withLock { $0.failure = $0.failure ?? code } }
        return false
      }
    }
    return true
  }

  @discardableResult
  static func line(_ text: String) -> Bool { write(text + "\n") }

  @discardableResult
  static func line(_ json: JSONValue) -> Bool { line(json.text()) }

  static func error(_ message: String) { write(message + "\n", to: STDERR_FILENO) }

  /// Whether colours and redrawing make sense on stdout.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}

/// What the operating system says of an error number.
func systemMessage(_ number: Int32) -> String { String(cString: strerror(number)) }

/// A pipe whose ends no other program inherits.
func makePipe() -> (read: Int32, write: Int32)? {
  var ends: [Int32] = [-1, -1]
  guard pipe(&ends) == 0 else { return nil }
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return (ends[0], ends[1])
}

/// Runs `body` on a thread of its own, where blocking is no harm: the threads of tasks and event loops are few.
func startThread(_ body: @escaping @Sendable () -> Void) {
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
  precondition(code == 0, "no thread can be started: \(systemMessage(code))")
  pthread_detach(thread)
}
