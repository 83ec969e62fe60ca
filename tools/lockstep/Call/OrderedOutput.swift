import Dispatch
import Synchronization

/// Writes results in the order of their numbers, whatever the order in which they come. A thread of its own writes what
/// has gathered since its last write: one result at once when there is no more, many in one write under load.
final class OrderedOutput: Sendable {
  private struct State {
    /// The number whose turn it is.
    var next = 0
    /// Results that came before their turn.
    var early: [Int: String] = [:]
    var ready: [UInt8] = []
    var readyCount = 0
    /// How many there will be, once that is known.
    var total: Int?
    var written = 0
    var isWakeDue = false

    mutating func append(_ line: String) {
      ready.append(contentsOf: line.utf8)
      ready.append(UInt8(ascii: "\n"))
      readyCount += 1
      next += 1
    }
  }

  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let write: @Sendable (UnsafeRawBufferPointer) -> Bool
  private let onWritten: @Sendable (Int) -> Void

  /// `write` puts bytes out and says whether anyone can still read them; `onWritten` is told how many results have
  /// gone out.
  init(
    write: @escaping @Sendable (UnsafeRawBufferPointer) -> Bool, onWritten: @escaping @Sendable (Int) -> Void
  ) {
    self.write = write
    self.onWritten = onWritten
  }

  func finish(_ number: Int, _ line: String) {
    update { state in
      guard number == state.next else {
        state.early[number] = line
        return
      }
      state.append(line)
      while let line = state.early.removeValue(forKey: state.next) { state.append(line) }
    }
  }

  /// There are no more results than these.
  func end(total: Int) { update { $0.total = total } }

  private func update(_ change: (inout State) -> Void) {
    let wakes = state.withLock { state in
      change(&state)
      guard !state.isWakeDue, state.readyCount > 0 || state.total == state.written else { return false }
      state.isWakeDue = true
      return true
    }
    if wakes { wake.signal() }
  }

  /// Writes until all results are out (true) or nobody can read them any more (false). Blocks its thread.
  func run() -> Bool {
    while true {
      wake.wait()
      let (bytes, count) = state.withLock { state in
        state.isWakeDue = false
        defer {
          state.ready = []
          state.readyCount = 0
        }
        return (state.ready, state.readyCount)
      }
      if count > 0 {
        guard bytes.withUnsafeBytes(write) else { return false }
        onWritten(count)
      }
      let isDone = state.withLock { state in
        state.written += count
        return state.total == state.written
      }
      if isDone { return true }
    }
  }
}
