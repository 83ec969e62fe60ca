import LockstepConsensus

// The sessions as records beside a stored machine's data, as numbers (SnapshotBuffer):
//
//   under sequence 0, of the session itself: index of its last use, the last sequence that is forgotten
//   under each sequence whose reply is kept: code (0: success), length, and the bytes of the reply or of the failure's message

extension SessionTable {
  /// Those that `records` gave, in order of session and sequence.
  init(from records: [SessionRecord], last: LogIndex) throws(StoredMachineFailure) {
    var sessions: [Session] = []
    for record in records {
      do throws(CallStatus) { try Self.read(record, into: &sessions, last) } catch {
        throw StoredMachineFailure(.damaged, "the record of session \(record.session): \(error.message)")
      }
    }
    guard sessions.count <= Self.maximumSessions else {
      throw StoredMachineFailure(.damaged, "\(sessions.count) sessions are stored, and there are never so many")
    }
    self.init(restoring: sessions)
  }

  private static func read(
    _ record: SessionRecord, into sessions: inout [Session], _ last: LogIndex
  ) throws(CallStatus) {
    var bytes = record.bytes
    var reader = SnapshotReader("it", version: 1) { () throws(CallStatus) -> [UInt8]? in
      defer { bytes = nil }
      return bytes
    }
    if record.sequence == 0 {
      let session = Session(
        id: record.session, lastUsed: LogIndex(try reader.varint()), forgotten: try reader.varint())
      guard session.id > sessions.last?.id ?? 0, session.id <= session.lastUsed.rawValue, session.lastUsed <= last
      else { throw reader.damage("last used by entry \(session.lastUsed)") }
      sessions.append(session)
    } else {
      guard let place = sessions.indices.last, sessions[place].id == record.session,
        record.sequence > sessions[place].replies.last?.sequence ?? sessions[place].forgotten,
        sessions[place].replies.count < maximumReplies
      else { throw reader.damage("reply \(record.sequence) out of order") }
      sessions[place].replies.append((record.sequence, try Session.reply(from: &reader)))
    }
    try reader.end()
  }

  /// Of a session as it is now: nil when it is gone.
  func record(of session: UInt64) -> SessionRecord {
    guard let found = self[session] else { return SessionRecord(session: session, sequence: 0, bytes: nil) }
    var buffer = SnapshotBuffer()
    buffer.append(varint: found.lastUsed.rawValue)
    buffer.append(varint: found.forgotten)
    return SessionRecord(session: session, sequence: 0, bytes: buffer.take(.max))
  }

  static func record(of reply: Replies.Reply, session: UInt64, sequence: UInt64) -> SessionRecord {
    var buffer = SnapshotBuffer()
    Session.append(reply, to: &buffer)
    return SessionRecord(session: session, sequence: sequence, bytes: buffer.take(.max))
  }
}
