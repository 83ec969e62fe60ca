import DequeModule
import LockstepConsensus

// The sessions in a snapshot, as numbers (SnapshotBuffer):
//
//   number of sessions; for each, in order of their ids:
//     id, patience, index and time of its last use, the last sequence that is forgotten, number of records
//     for each record, in order: sequence, fingerprint, index, and one of
//       0                    never
//       1, bytes             carried out, the reply was too long
//       2, code (0: success), length, and the bytes of the reply or of the failure's message

extension SessionTable {
  func freeze() -> any Snapshot {
    EncodedSnapshot(of: (sessions: sessions[...], isBegun: false)) { state, buffer in
      if !state.isBegun {
        buffer.append(varint: UInt64(state.sessions.count))
        state.isBegun = true
      } else if let session = state.sessions.popFirst() {
        buffer.append(varint: session.id)
        session.append(to: &buffer)
        buffer.append(varint: UInt64(session.records.count))
        for record in session.records {
          buffer.append(varint: record.sequence)
          record.append(to: &buffer)
        }
      }
      return !state.sessions.isEmpty
    }
  }

  /// `last`: of the snapshot. Bytes that no table has written are refused.
  init(from snapshot: inout SnapshotReader, last: LogIndex, _ limits: SessionLimits) throws(CallStatus) {
    let count = try snapshot.varint()
    guard count <= limits.sessions else { throw snapshot.damage("\(count) sessions") }
    var sessions: [Session] = []
    while sessions.count < count {
      var session = try Session(try snapshot.varint(), from: &snapshot)
      let records = try snapshot.varint()
      guard records <= limits.records else {
        throw snapshot.damage("\(records) calls in session \(session.id)")
      }
      for _ in 0..<records { try session.take(try snapshot.varint(), from: &snapshot, last: last, limits) }
      try session.check(after: sessions.last?.id ?? 0, last, &snapshot)
      sessions.append(session)
    }
    self.init(restoring: sessions, limits)
  }
}

extension Session {
  /// Without its id and its records.
  func append(to buffer: inout SnapshotBuffer) {
    for number in [patience, lastUsed.rawValue, lastUsedAt, forgotten] { buffer.append(varint: number) }
  }

  init(_ id: UInt64, from reader: inout SnapshotReader) throws(CallStatus) {
    self.init(
      id: id, patience: try reader.varint(), lastUsed: LogIndex(try reader.varint()), lastUsedAt: try reader.varint(),
      forgotten: try reader.varint())
  }

  func check(after id: UInt64, _ last: LogIndex, _ reader: inout SnapshotReader) throws(CallStatus) {
    guard self.id > id, self.id <= lastUsed.rawValue, lastUsed <= last else {
      throw reader.damage("session \(self.id), last used by entry \(lastUsed)")
    }
  }

  /// The next record.
  mutating func take(
    _ sequence: UInt64, from reader: inout SnapshotReader, last: LogIndex, _ limits: SessionLimits
  ) throws(CallStatus) {
    guard sequence > records.last?.sequence ?? forgotten, records.count < limits.records else {
      throw reader.damage("call \(sequence) of session \(id) out of order")
    }
    let record = try Record(sequence, from: &reader)
    guard record.index <= last else { throw reader.damage("call \(sequence) by entry \(record.index)") }
    insert(record)
  }
}

extension Session.Record {
  /// Without its sequence.
  func append(to buffer: inout SnapshotBuffer) {
    buffer.append(varint: fingerprint)
    buffer.append(varint: index.rawValue)
    switch result {
    case .never: buffer.append(varint: 0)
    case .tooLong(let bytes):
      buffer.append(varint: 1)
      buffer.append(varint: bytes)
    case .reply(let reply):
      buffer.append(varint: 2)
      reply.append(to: &buffer)
    case .pending: preconditionFailure("a state is written down while a command is under way")
    }
  }

  init(_ sequence: UInt64, from reader: inout SnapshotReader) throws(CallStatus) {
    self.init(
      sequence: sequence, fingerprint: try reader.varint(), index: LogIndex(try reader.varint()),
      result: try Self.result(from: &reader))
  }

  private static func result(from reader: inout SnapshotReader) throws(CallStatus) -> Result {
    switch try reader.varint() {
    case 0: return .never
    case 1: return .tooLong(bytes: try reader.varint())
    case 2: return .reply(try Replies.Reply(from: &reader))
    case let other: throw reader.damage("a result of kind \(other)")
    }
  }
}

extension Replies.Reply {
  fileprivate func append(to buffer: inout SnapshotBuffer) {
    switch self {
    case .success(let bytes):
      buffer.append(varint: UInt64(CallStatus.Code.ok.rawValue))
      buffer.append(varint: UInt64(bytes.count))
      buffer.append(bytes)
    case .failure(let status):
      buffer.append(varint: UInt64(status.code.rawValue))
      buffer.append(text: status.message)
    }
  }

  fileprivate init(from reader: inout SnapshotReader) throws(CallStatus) {
    let number = try reader.varint()
    guard let raw = UInt8(exactly: number), let code = CallStatus.Code(rawValue: raw) else {
      throw reader.damage("a reply with code \(number)")
    }
    self = code == .ok ? .success(try reader.bytes(reader.varint())) : .failure(CallStatus(code, try reader.text()))
  }
}
