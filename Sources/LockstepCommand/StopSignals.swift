import Dispatch
import Glibc
import UnixSignals

/// SIGINT, SIGTERM and SIGHUP: what ends a node or a launcher in good order.
package enum StopSignals {
  /// Calls `body` for each from now on, until the task is cancelled. None is lost once this has returned; before, a signal
  /// ends the process.
  package static func watch(_ body: @escaping @Sendable (Int32) -> Void) async -> Task<Void, Never> {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
    return Task { for await signal in signals { body(signal.rawValue) } }
  }
}

/// The end of standard input: a launcher that dies, by whatever way, takes its nodes along.
final class EndOfInput {
  private let source: any DispatchSourceRead

  init(_ body: @escaping @Sendable () -> Void) {
    source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: DispatchQueue(label: "lockstep-input"))
    source.setEventHandler { [source] in
      var byte: UInt8 = 0
      if read(STDIN_FILENO, &byte, 1) == 0 {
        source.cancel()
        body()
      }
    }
    source.resume()
  }

  func cancel() { source.cancel() }
}
