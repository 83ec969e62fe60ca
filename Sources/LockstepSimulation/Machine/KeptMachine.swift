import LockstepConsensus
package import LockstepExecution
package import LockstepRequests
package import LockstepStorage
import LockstepWire
import Synchronization

/// A machine in memory that is written down, whole, on a disk: what one with its own storage has to do, in few words.
///
/// `DIR/state` has a checksum of all that follows, the mark, the sessions' records and the machine as of one commit. A
/// commit that is not written is in memory alone, and with the next one that is: after a crash the state is one of a
/// while ago.
package struct KeptMachine: StoredMachine {
  private let first: any StateMachine
  private let disk: any Disk
  private let entriesBetweenWrites: UInt64

  /// - Parameters:
  ///   - first: as it is before the first command.
  ///   - entriesBetweenWrites: every one of so many entries is written down by the commit that has it.
  package init(_ first: any StateMachine, on disk: any Disk = PosixDisk(), entriesBetweenWrites: UInt64 = 1) {
    self.first = first
    self.disk = disk
    self.entriesBetweenWrites = entriesBetweenWrites
  }

  package var version: UInt32 { first.version }
  package var schemas: [Schema] { first.schemas }
  package var environment: String { "kept" }
  package func kind(ofMethod method: RawSpan) -> MethodKind? { first.kind(ofMethod: method) }
  package func validate(_ call: MethodCall) throws(CallStatus) { try first.validate(call) }

  package func open(_ directory: String) throws(StoredMachineFailure) -> any StoredState {
    let file = KeptFile(disk: disk, directory: directory)
    guard let bytes = try file.read() else {
      return KeptState(KeptContent(machine: first), file, entriesBetweenWrites)
    }
    return KeptState(try KeptContent(bytes, of: file.path, first: first), file, entriesBetweenWrites)
  }

  package func restore(_ directory: String, from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    var bytes: [UInt8] = []
    do throws(CallStatus) {
      while try !snapshot.isAtEnd() { bytes += try snapshot.some(atMost: 1 << 20) }
    } catch { throw StoredMachineFailure(.damaged, error.message) }
    try KeptFile(disk: disk, directory: directory).write(bytes)
  }
}

/// The file of a kept state: what was written last, whole, or what was there before.
private struct KeptFile {
  let disk: any Disk
  let directory: String
  var path: String { "\(directory)/state" }
  private var next: String { "\(directory)/state.next" }

  init(disk: any Disk, directory: String) {
    self.disk = disk
    self.directory = directory
  }

  /// Nil: nothing was ever written.
  func read() throws(StoredMachineFailure) -> [UInt8]? {
    let all: [UInt8]
    do throws(DiskError) {
      guard try disk.list(directory)?.contains("state") ?? false else { return nil }
      let file = try disk.open(path, for: .reading)
      defer { file.close() }
      var bytes = [UInt8](repeating: 0, count: try file.size())
      bytes.removeLast(bytes.count - (try bytes.read(from: file)))
      all = bytes
    } catch { throw StoredMachineFailure(.storage, "'\(path)' cannot be read: \(error)") }
    let content = Array(all.dropFirst(8))
    guard all.prefix(8).elementsEqual(Self.checksum(of: content)) else {
      throw StoredMachineFailure(.damaged, "'\(path)' is damaged: its \(all.count) bytes do not match their checksum")
    }
    return content
  }

  private static func checksum(of content: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: Checksum.of(content, seed: 0).littleEndian) { Array($0) }
  }

  func write(_ bytes: [UInt8]) throws(StoredMachineFailure) {
    do throws(DiskError) {
      if try disk.list(directory)?.contains("state.next") ?? false { try disk.remove(next) }
      let file = try disk.create(next)
      defer { file.close() }
      try (Self.checksum(of: bytes) + bytes).write(to: file)
      try file.sync()
      // The directory is not synced: what was there before is as good.
      try disk.rename(next, to: path)
    } catch { throw StoredMachineFailure(.storage, "'\(path)' cannot be written: \(error)") }
  }
}

extension [UInt8] {
  fileprivate mutating func read(from file: any DiskFile) throws(DiskError) -> Int {
    var result = Result<Int, DiskError>.success(0)
    withUnsafeMutableBytes { buffer in
      do throws(DiskError) { result = .success(try file.read(into: buffer, at: 0)) } catch { result = .failure(error) }
    }
    return try result.get()
  }

  fileprivate func write(to file: any DiskFile) throws(DiskError) {
    var result = Result<Void, DiskError>.success(())
    withUnsafeBytes { bytes in
      do throws(DiskError) { try file.write(bytes, at: 0) } catch { result = .failure(error) }
    }
    try result.get()
  }
}

/// The state as of a commit.
private struct KeptContent: Sendable {
  var mark = StoredMark()
  var sessions: [SessionRecord] = []
  var machine: any StateMachine

  init(machine: any StateMachine) { self.machine = machine }

  init(_ bytes: [UInt8], of path: String, first: any StateMachine) throws(StoredMachineFailure) {
    var rest: [UInt8]? = bytes
    var reader = SnapshotReader("'\(path)'", version: first.version) { () throws(CallStatus) in
      defer { rest = nil }
      return rest?.isEmpty == true ? nil : rest
    }
    do throws(CallStatus) {
      mark = StoredMark(
        last: EntryID(term: Term(try reader.varint()), index: LogIndex(try reader.varint())), time: try reader.varint())
      for _ in 0..<(try reader.varint()) {
        let (session, sequence) = (try reader.varint(), try reader.varint())
        sessions.append(
          SessionRecord(session: session, sequence: sequence, bytes: try reader.bytes(reader.varint())))
      }
      machine = try first.restored(from: &reader)
      try reader.end()
    } catch { throw StoredMachineFailure(.damaged, error.message) }
  }

  func encode(into buffer: inout SnapshotBuffer) throws(CallStatus) {
    for number in [mark.last.term.rawValue, mark.last.index.rawValue, mark.time, UInt64(sessions.count)] {
      buffer.append(varint: number)
    }
    for record in sessions {
      buffer.append(varint: record.session)
      buffer.append(varint: record.sequence)
      buffer.append(varint: UInt64(record.bytes?.count ?? 0))
      buffer.append(record.bytes ?? [])
    }
    var content = machine.freeze()
    while let piece = try content.next(maximumBytes: 1 << 20) { buffer.append(piece) }
  }

  mutating func take(_ changes: [SessionRecord]) {
    guard !changes.isEmpty else { return }
    for change in changes {
      sessions.removeAll {
        $0.session == change.session
          && ($0.sequence == change.sequence || change.sequence == 0 && change.bytes == nil)
      }
      if change.bytes != nil { sessions.append(change) }
    }
    sessions.sort { ($0.session, $0.sequence) < ($1.session, $1.sequence) }
  }
}

private final class KeptState: StoredState {
  /// With what is not committed yet.
  private var machine: any StateMachine
  private var isCommitted = true
  /// As of the last commit; readers look at it on their threads.
  private let committed: Committed
  private let file: KeptFile
  private let entriesBetweenWrites: UInt64

  final class Committed: Sendable {
    private let state: Mutex<KeptContent>
    init(_ content: KeptContent) { state = Mutex(content) }
    var content: KeptContent {
      get { state.withLock { $0 } }
      set { state.withLock { $0 = newValue } }
    }
  }

  init(_ content: KeptContent, _ file: KeptFile, _ entriesBetweenWrites: UInt64) {
    machine = content.machine
    committed = Committed(content)
    self.file = file
    self.entriesBetweenWrites = entriesBetweenWrites
  }

  var mark: StoredMark { committed.content.mark }
  var digest: UInt64 { committed.content.machine.digest }
  func sessionRecords() -> [SessionRecord] { committed.content.sessions }

  func apply(_ batch: CommandBatch, into replies: inout Replies) {
    precondition(isCommitted, "a state is given a batch before the one before it was committed")
    isCommitted = false
    machine.apply(batch, into: &replies)
  }

  func commit(_ mark: StoredMark, _ changes: [SessionRecord]) throws(StoredMachineFailure) {
    var content = committed.content
    let isDue =
      content.mark.last.index.rawValue / entriesBetweenWrites < mark.last.index.rawValue / entriesBetweenWrites
    content.mark = mark
    content.take(changes)
    content.machine = machine
    if isDue {
      var buffer = SnapshotBuffer()
      do throws(CallStatus) { try content.encode(into: &buffer) } catch {
        throw StoredMachineFailure(.storage, error.message)
      }
      try file.write(buffer.take(.max) ?? [])
    }
    committed.content = content
    isCommitted = true
  }

  func freeze() -> any Snapshot { KeptSnapshot(content: committed.content) }
  func makeReader() -> any StoredStateReader { Reader(committed) }
  func close() {}

  private final class Reader: StoredStateReader {
    private let committed: Committed
    init(_ committed: Committed) { self.committed = committed }

    func query(_ call: MethodCall, isLate: () -> Bool) -> StoredAnswer {
      let content = committed.content
      let context = QueryContext(group: .first, index: content.mark.last.index, time: content.mark.time)
      do throws(CallStatus) {
        return StoredAnswer(mark: content.mark, result: .success(try content.machine.query(call, context)))
      } catch { return StoredAnswer(mark: content.mark, result: .failure(error)) }
    }
  }
}

private struct KeptSnapshot: Snapshot {
  let content: KeptContent
  private var buffer: SnapshotBuffer?

  init(content: KeptContent) { self.content = content }

  mutating func next(maximumBytes: Int) throws(CallStatus) -> [UInt8]? {
    if buffer == nil {
      var made = SnapshotBuffer()
      try content.encode(into: &made)
      buffer = made
    }
    return buffer?.take(maximumBytes)
  }
}
