package import LockstepConsensus

/// Replies of commands that carried a session and a sequence, so that a command that is sent again is answered and not
/// carried out again (Raft section 8, thesis section 6.3). Part of the replicated state: it changes by log entries
/// alone, and its limits are counted in entries, so that all replicas forget the same things at the same place.
package struct SessionTable: Sendable {
  /// How many sessions are kept; opening one more ends the one that was used least recently.
  package static let maximumSessions = 4096
  /// How many replies are kept for each: a client has at most so many calls under way in one session.
  package static let maximumReplies = 64

  struct Session: Sendable {
    /// The index of the entry that opened it.
    var id: UInt64
    var lastUsed: LogIndex
    /// In order of sequence.
    var replies: [(sequence: UInt64, reply: Replies.Reply)] = []
    /// Sequences up to here are forgotten.
    var forgotten: UInt64 = 0
  }

  /// Sorted by id: appending keeps the order.
  private(set) var sessions: [Session] = []

  package init() {}

  /// As a snapshot has them, which has checked them.
  init(restoring sessions: [Session]) { self.sessions = sessions }

  package var count: Int { sessions.count }

  package enum Lookup {
    case new
    case answered(Replies.Reply)
    case refused(CallStatus)
  }

  /// Returns the session that has ended to make room, if one has.
  @discardableResult
  package mutating func open(at index: LogIndex) -> UInt64? {
    var ended: UInt64?
    if sessions.count >= Self.maximumSessions,
      let oldest = sessions.indices.min(by: { sessions[$0].lastUsed < sessions[$1].lastUsed })
    {
      ended = sessions.remove(at: oldest).id
    }
    sessions.append(Session(id: index.rawValue, lastUsed: index))
    return ended
  }

  /// Must this command be carried out?
  package mutating func look(session: UInt64, sequence: UInt64, at index: LogIndex) -> Lookup {
    guard let place = find(session) else {
      return .refused(
        CallStatus(
          .failedPrecondition,
          "session \(session) is not open or has ended: whether call \(sequence) of it was carried out is not known any more"
        ))
    }
    sessions[place].lastUsed = index
    if let known = sessions[place].replies.first(where: { $0.sequence == sequence }) { return .answered(known.reply) }
    guard sequence > sessions[place].forgotten else {
      return .refused(
        CallStatus(
          .failedPrecondition, "call \(sequence) of session \(session) is too long ago: its reply is not kept any more")
      )
    }
    return .new
  }

  /// Returns the sequence that is forgotten to make room, if one is.
  @discardableResult
  package mutating func record(_ reply: Replies.Reply, session: UInt64, sequence: UInt64) -> UInt64? {
    guard let place = find(session) else { return nil }
    let position = sessions[place].replies.firstIndex { $0.sequence > sequence } ?? sessions[place].replies.count
    sessions[place].replies.insert((sequence, reply), at: position)
    guard sessions[place].replies.count > Self.maximumReplies else { return nil }
    sessions[place].forgotten = sessions[place].replies.removeFirst().sequence
    return sessions[place].forgotten
  }

  subscript(_ id: UInt64) -> Session? { find(id).map { sessions[$0] } }

  private func find(_ id: UInt64) -> Int? {
    var low = 0
    var high = sessions.count
    while low < high {
      let middle = (low + high) / 2
      if sessions[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < sessions.count && sessions[low].id == id ? low : nil
  }
}
