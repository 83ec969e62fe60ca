import Glibc

// The handler runs in the middle of anything, on any thread: it may only write to a pipe. A constant initial value
// means that no lazy initialisation is hidden in the access.
// Set once, before the first handler is installed, so no thread sees it change.
nonisolated(unsafe) private var signalPipe: Int32 = -1

private func handle(_ signal: Int32) {
  let saved = errno
  var number = UInt8(truncatingIfNeeded: signal)
  _ = write(signalPipe, &number, 1)
  errno = saved
}

/// SIGINT, SIGTERM and SIGHUP, as calls on a thread that may do anything.
enum StopSignals {
  /// To be called once in a process.
  static func onSignal(_ body: @escaping @Sendable (Int32) -> Void) throws(CommandFailure) {
    guard let (input, output) = makePipe() else { throw .failed("no pipe for signals: \(systemMessage(errno))") }
    signalPipe = output
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = handle
      action.sa_flags = Int32(SA_RESTART)
      sigaction(number, &action, nil)
    }
    startThread {
      var number: UInt8 = 0
      while true {
        let count = read(input, &number, 1)
        if count == 1 { body(Int32(number)) } else if !(count < 0 && errno == EINTR) { return }
      }
    }
  }
}
