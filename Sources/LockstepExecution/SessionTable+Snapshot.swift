import LockstepConsensus

// The sessions in a snapshot, as numbers (SnapshotBuffer):
//
//   number of sessions; for each, in order of their ids: id, index of its last use, the last sequence that is forgotten,
//   number of replies; for each, in order: sequence, code (0: success), length, and the bytes of the reply or of the
//   failure's message

extension SessionTable {
  func freeze() -> any Snapshot {
    EncodedSnapshot(of: (sessions: sessions[...], isBegun: false)) { state, buffer in
      if !state.isBegun {
        buffer.append(varint: UInt64(state.sessions.count))
        state.isBegun = true
      } else if let session = state.sessions.popFirst() {
        session.append(to: &buffer)
      }
      return !state.sessions.isEmpty
    }
  }

  /// `last`: of the snapshot. Bytes that no table has written are refused.
  init(from snapshot: inout SnapshotReader, last: LogIndex) throws(CallStatus) {
    let count = try snapshot.varint()
    guard count <= Self.maximumSessions else { throw snapshot.damage("\(count) sessions") }
    var sessions: [Session] = []
    while sessions.count < count {
      let session = try Session(from: &snapshot)
      guard session.id > sessions.last?.id ?? 0, session.id <= session.lastUsed.rawValue, session.lastUsed <= last
      else {
        throw snapshot.damage("session \(session.id), last used by entry \(session.lastUsed)")
      }
      sessions.append(session)
    }
    self.init(restoring: sessions)
  }
}

extension SessionTable.Session {
  fileprivate func append(to buffer: inout SnapshotBuffer) {
    for number in [id, lastUsed.rawValue, forgotten, UInt64(replies.count)] { buffer.append(varint: number) }
    for (sequence, reply) in replies {
      buffer.append(varint: sequence)
      Self.append(reply, to: &buffer)
    }
  }

  static func append(_ reply: Replies.Reply, to buffer: inout SnapshotBuffer) {
    switch reply {
    case .success(let bytes):
      buffer.append(varint: UInt64(CallStatus.Code.ok.rawValue))
      buffer.append(varint: UInt64(bytes.count))
      buffer.append(bytes)
    case .failure(let status):
      buffer.append(varint: UInt64(status.code.rawValue))
      buffer.append(text: status.message)
    }
  }

  static func reply(from snapshot: inout SnapshotReader) throws(CallStatus) -> Replies.Reply {
    let number = try snapshot.varint()
    guard let raw = UInt8(exactly: number), let code = CallStatus.Code(rawValue: raw) else {
      throw snapshot.damage("a reply with code \(number)")
    }
    return code == .ok
      ? .success(try snapshot.bytes(snapshot.varint())) : .failure(CallStatus(code, try snapshot.text()))
  }

  fileprivate init(from snapshot: inout SnapshotReader) throws(CallStatus) {
    id = try snapshot.varint()
    lastUsed = LogIndex(try snapshot.varint())
    forgotten = try snapshot.varint()
    let count = try snapshot.varint()
    guard count <= SessionTable.maximumReplies else { throw snapshot.damage("\(count) replies in session \(id)") }
    while replies.count < count {
      let sequence = try snapshot.varint()
      guard sequence > replies.last?.sequence ?? forgotten else {
        throw snapshot.damage("reply \(sequence) of session \(id) out of order")
      }
      replies.append((sequence, try Self.reply(from: &snapshot)))
    }
  }
}
