import Dispatch
import Synchronization

/// The file of a snapshot that is on its way, for one thread that reads it while another one writes: a read waits until the
/// bytes that it asks for are there.
package final class ArrivingFile: DiskFile, @unchecked Sendable {
  // Unchecked: the file's own reads, at offsets, may be made while others write to it; all else is behind the lock.

  private struct State {
    var received: Int
    /// Nothing more comes: what is not there never will be.
    var isOver = false
    /// Nobody needs it any more.
    var isAbandoned = false
    var isReaderWaiting = false
  }

  package let path: String
  package let name: SnapshotName
  /// Of the whole file, as its source says.
  package let total: Int
  private let file: any DiskFile
  private let state: Mutex<State>
  private let wake = DispatchSemaphore(value: 0)

  /// `received` bytes are there by now.
  init(_ file: any DiskFile, path: String, name: SnapshotName, received: Int, total: Int) {
    (self.file, self.path, self.name, self.total) = (file, path, name, total)
    state = Mutex(State(received: received))
  }

  deinit { file.close() }

  // MARK: Who writes

  package func grown(to received: Int) { change { $0.received = received } }
  package func finish() { change { $0.isOver = true } }
  package func abandon() { change { $0.isAbandoned = true } }

  private func change(_ body: (inout State) -> Void) {
    let isAwaited = state.withLock { state in
      body(&state)
      defer { state.isReaderWaiting = false }
      return state.isReaderWaiting
    }
    if isAwaited { wake.signal() }
  }

  // MARK: Who reads

  package func size() throws(DiskError) -> Int { total }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
    let end = min(total, offset + buffer.count)
    while true {
      let (isThere, isEnd) = state.withLock { state in
        let isThere = state.received >= end && !state.isAbandoned
        let isEnd = state.isOver || state.isAbandoned
        state.isReaderWaiting = !isThere && !isEnd
        return (isThere, isEnd)
      }
      if isThere { return try file.read(into: buffer, at: offset) }
      if isEnd { throw failure("read", "no more of it comes") }
      wake.wait()
    }
  }

  package func birth() throws(DiskError) -> UInt64? { try file.birth() }
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) { throw readOnly("write") }
  package func allocate(_ range: Range<Int>) throws(DiskError) { throw readOnly("allocate") }
  package func sync() throws(DiskError) { throw readOnly("sync") }
  /// The file is closed when nobody holds it any more: who writes may be told so by this as well.
  package func close() {}

  private func readOnly(_ operation: String) -> DiskError { failure(operation, "it is there to be read") }

  private func failure(_ operation: String, _ text: String) -> DiskError {
    DiskError(operation: operation, path: path, reason: .other, text: text)
  }
}

extension SnapshotFile {
  /// What has come of it is read; what has not is waited for.
  package convenience init(arriving file: ArrivingFile) throws(StorageError) {
    try self.init(file, path: file.path, name: file.name)
  }
}
