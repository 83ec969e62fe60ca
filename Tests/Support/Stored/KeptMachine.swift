import Foundation
import LockstepConsensus
package import LockstepExecution
package import LockstepRequests
import Synchronization

/// A machine in memory that is written down, whole, with each commit: what one with its own storage has to do, in few words.
package struct KeptMachine: StoredMachine {
  private let first: any StateMachine

  package init(_ first: any StateMachine) { self.first = first }

  package var version: UInt32 { first.version }
  package var schemas: [Schema] { first.schemas }
  package var environment: String { "kept" }
  package func kind(ofMethod method: RawSpan) -> MethodKind? { first.kind(ofMethod: method) }
  package func validate(_ call: Call) throws(Status) { try first.validate(call) }

  package func open(_ directory: String) throws(StoredMachineFailure) -> any StoredState {
    try KeptState(first, directory)
  }

  package func restore(_ directory: String, from snapshot: inout SnapshotReader) throws(StoredMachineFailure) {
    var bytes: [UInt8] = []
    do throws(Status) {
      while try !snapshot.isAtEnd() { bytes += try snapshot.some(atMost: 1 << 20) }
    } catch { throw StoredMachineFailure(.damaged, error.message) }
    try KeptState.write(bytes, in: directory)
  }
}

/// `directory/state`: the mark, the sessions' records, and what the machine's own snapshot says.
private final class KeptState: StoredState {
  private let directory: String
  /// With what is not stored yet.
  private var machine: any StateMachine
  private var sessions: [SessionRecord] = []
  private let stored: Stored

  /// What readers see, on their threads.
  final class Stored: Sendable {
    let state: Mutex<(mark: StoredMark, machine: any StateMachine, bytes: [UInt8])>
    init(_ mark: StoredMark, _ machine: any StateMachine, _ bytes: [UInt8]) { state = Mutex((mark, machine, bytes)) }
  }

  var mark: StoredMark { stored.state.withLock { $0.mark } }
  var digest: UInt64 { stored.state.withLock { $0.machine.digest } }

  private static func path(_ directory: String) -> String { "\(directory)/state" }

  static func write(_ bytes: [UInt8], in directory: String) throws(StoredMachineFailure) {
    do { try Data(bytes).write(to: URL(fileURLWithPath: path(directory)), options: .atomic) } catch {
      throw StoredMachineFailure(.storage, "'\(path(directory))' cannot be written: \(error)")
    }
  }

  init(_ first: any StateMachine, _ directory: String) throws(StoredMachineFailure) {
    self.directory = directory
    machine = first
    guard let bytes = FileManager.default.contents(atPath: Self.path(directory)) else {
      stored = Stored(StoredMark(), first, [])
      return
    }
    var rest: [UInt8]? = [UInt8](bytes)
    var reader = SnapshotReader("'\(Self.path(directory))'", version: first.version) { () throws(Status) in
      defer { rest = nil }
      return rest?.isEmpty == true ? nil : rest
    }
    do throws(Status) {
      let mark = StoredMark(
        last: EntryID(term: Term(try reader.varint()), index: LogIndex(try reader.varint())), time: try reader.varint())
      for _ in 0..<(try reader.varint()) {
        let (session, sequence) = (try reader.varint(), try reader.varint())
        sessions.append(
          SessionRecord(session: session, sequence: sequence, bytes: try reader.bytes(reader.varint())))
      }
      machine = try first.restored(from: &reader)
      try reader.end()
      stored = Stored(mark, machine, [UInt8](bytes))
    } catch { throw StoredMachineFailure(.damaged, error.message) }
  }

  func sessionRecords() -> [SessionRecord] { sessions }

  func apply(_ batch: CommandBatch, into replies: inout Replies) { machine.apply(batch, into: &replies) }

  func commit(_ mark: StoredMark, _ changes: [SessionRecord]) throws(StoredMachineFailure) {
    for change in changes {
      sessions.removeAll {
        $0.session == change.session
          && ($0.sequence == change.sequence || change.sequence == 0 && change.bytes == nil)
      }
      if change.bytes != nil { sessions.append(change) }
    }
    sessions.sort { ($0.session, $0.sequence) < ($1.session, $1.sequence) }
    var buffer = SnapshotBuffer()
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
    do throws(Status) {
      while let piece = try content.next(maximumBytes: 1 << 20) { buffer.append(piece) }
    } catch { throw StoredMachineFailure(.storage, error.message) }
    let bytes = buffer.take(.max) ?? []
    try Self.write(bytes, in: directory)
    let machine = machine
    stored.state.withLock { $0 = (mark, machine, bytes) }
  }

  func freeze() -> any Snapshot {
    EncodedSnapshot(of: stored.state.withLock { $0.bytes }) { bytes, buffer in
      buffer.append(bytes)
      return false
    }
  }

  func makeReader() -> any StoredStateReader { Reader(stored) }
  func close() {}

  private final class Reader: StoredStateReader {
    private let stored: Stored
    init(_ stored: Stored) { self.stored = stored }

    func query(_ call: Call, isLate: () -> Bool) -> StoredAnswer {
      let (mark, machine, _) = stored.state.withLock { $0 }
      let context = QueryContext(group: .first, index: mark.last.index, time: mark.time)
      do throws(Status) { return StoredAnswer(mark: mark, result: .success(try machine.query(call, context))) } catch {
        return StoredAnswer(mark: mark, result: .failure(error))
      }
    }
  }
}
