import LockstepConsensus

// The sessions as records beside a stored machine's data, as numbers (SnapshotBuffer):
//
//   under sequence 0, of the session itself: patience, index and time of its last use, the last sequence that is forgotten
//   under each sequence that is not forgotten: what a snapshot has of it

extension SessionTable {
  /// Those that `records` gave, in order of session and sequence.
  init(from records: [SessionRecord], last: LogIndex, _ limits: SessionLimits) throws(StoredMachineFailure) {
    var sessions: [Session] = []
    for record in records {
      do throws(CallStatus) { try Self.read(record, into: &sessions, last, limits) } catch {
        throw StoredMachineFailure(.damaged, "the record of session \(record.session): \(error.message)")
      }
    }
    guard sessions.count <= limits.sessions else {
      throw StoredMachineFailure(.damaged, "\(sessions.count) sessions are stored, and there are never so many")
    }
    self.init(restoring: sessions, limits, keepsChanges: true)
  }

  private static func read(
    _ record: SessionRecord, into sessions: inout [Session], _ last: LogIndex, _ limits: SessionLimits
  ) throws(CallStatus) {
    var bytes = record.bytes
    var reader = SnapshotReader("it", version: 1) { () throws(CallStatus) -> [UInt8]? in
      defer { bytes = nil }
      return bytes
    }
    if record.sequence == 0 {
      let session = try Session(record.session, from: &reader)
      try session.check(after: sessions.last?.id ?? 0, last, &reader)
      sessions.append(session)
    } else {
      guard let place = sessions.indices.last, sessions[place].id == record.session else {
        throw reader.damage("call \(record.sequence) of a session that is not there")
      }
      try sessions[place].take(record.sequence, from: &reader, last: last, limits)
    }
    try reader.end()
  }

  static func record(of session: Session) -> SessionRecord {
    var buffer = SnapshotBuffer()
    session.append(to: &buffer)
    return SessionRecord(session: session.id, sequence: 0, bytes: buffer.take(.max))
  }

  static func record(of record: Session.Record, in session: UInt64) -> SessionRecord {
    var buffer = SnapshotBuffer()
    record.append(to: &buffer)
    return SessionRecord(session: session, sequence: record.sequence, bytes: buffer.take(.max))
  }
}
