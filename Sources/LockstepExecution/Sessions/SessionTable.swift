import DequeModule
package import LockstepConsensus

/// The sessions of a group's clients. Part of the replicated state: it changes by log entries alone, time is the log's, and
/// its limits do not depend on how many entries a replica carries out at once, so that all forget the same at the same
/// entry.
package struct SessionTable: Sendable {
  /// As a table beside a machine's data has numbers: with a sign.
  package static let sequences: ClosedRange<UInt64> = 1...UInt64(Int64.max)
  /// How long a session is kept without use, in milliseconds, where its client does not say, and at most.
  package static let patience = (usual: UInt64(3_600_000), most: UInt64(30 * 86_400_000))

  /// Sorted by id: appending keeps the order.
  private(set) var sessions: [Session] = []
  private let limits: SessionLimits
  /// Of all sessions.
  private(set) var bytes = 0
  /// What replicas compare: it depends on everything in the table. 0: there are no sessions.
  package private(set) var digest: UInt64 = 0
  /// Where each change is stored beside a machine's data; nil where the table is in memory alone.
  private(set) var changes: SessionChanges?

  package init(limits: SessionLimits = .usual) { self.limits = limits }

  /// As a snapshot, or the records beside a machine's data, have them, which has been checked.
  init(restoring sessions: [Session], _ limits: SessionLimits, keepsChanges: Bool = false) {
    self.sessions = sessions
    self.limits = limits
    bytes = sessions.reduce(0) { $0 + $1.bytes }
    digest = sessions.reduce(0) { $0 &+ $1.digest }
    changes = keepsChanges ? SessionChanges() : nil
  }

  package var count: Int { sessions.count }

  /// What one session may keep of replies. Changes only with their number, and so only where nothing is pending.
  private var bytesEach: Int { limits.bytes / max(16, sessions.count) }

  /// How many calls of a session may be under way.
  var window: Int { limits.records }

  // MARK: The sessions' own calls; nothing is pending at these

  /// Opens a session, whose number is the entry's index. Those that nobody has used for long end, and if there are too
  /// many, the one that was used least recently.
  package mutating func open(at index: LogIndex, time: UInt64, patienceMilliseconds: UInt64) -> UInt64 {
    let asked = patienceMilliseconds == 0 ? Self.patience.usual : min(patienceMilliseconds, Self.patience.most)
    for place in sessions.indices.reversed() where sessions[place].isOver(at: time) { end(place) }
    if sessions.count >= limits.sessions,
      let oldest = sessions.indices.min(by: { sessions[$0].lastUsed < sessions[$1].lastUsed })
    {
      end(oldest)
    }
    let session = Session(id: index.rawValue, patience: asked * 1_000_000, lastUsed: index, lastUsedAt: time)
    sessions.append(session)
    digest &+= session.digest
    changes?.touched(session.id)
    if bytes > limits.bytes {
      for place in sessions.indices { trim(place) }
    }
    return index.rawValue
  }

  package mutating func keep(_ session: UInt64, at index: LogIndex, time: UInt64) throws(CallStatus) {
    touch(try live(session, time), index, time)
  }

  package mutating func close(_ session: UInt64) {
    if let place = find(session) { end(place) }
  }

  package enum Resolution: Sendable, Hashable {
    case committed(Session.Record)
    case never
    /// Why nobody knows any more.
    case unknown(String)
  }

  /// What became of a call. One that is not there yet never takes effect after this.
  package mutating func resolve(_ session: UInt64, _ sequence: UInt64, at index: LogIndex, time: UInt64) -> Resolution {
    let place: Int
    do throws(CallStatus) { place = try live(session, time) } catch { return .unknown(error.message) }
    touch(place, index, time)
    if let record = sessions[place].record(sequence) {
      if case .never = record.result { return .never }
      return .committed(record)
    }
    guard sequence > sessions[place].forgotten else { return .unknown(Self.tooLongAgo(session, sequence).message) }
    let record = Session.Record(sequence: sequence, fingerprint: 0, index: index, result: .never)
    change(place) { $0.insert(record) }
    changes?.recorded(record, in: session)
    trim(place)
    return .never
  }

  // MARK: Commands in sessions

  package enum Lookup {
    /// To be carried out, and then recorded.
    case new
    case answered(Replies.Reply)
  }

  /// What is pending is to be carried out and recorded before this command is looked at: what is asked for may be among it,
  /// or be pushed out by it.
  func mustWait(for entry: Executor.Entry, time: UInt64) -> Bool {
    guard let place = find(entry.session), !sessions[place].isOver(at: time), sessions[place].pending > 0 else {
      return false
    }
    return (sessions[place].records.last?.sequence ?? 0) >= entry.sequence
  }

  /// Must this command be carried out? Fails when it must not be, with what is known of its effect.
  mutating func look(_ entry: Executor.Entry, time: UInt64) -> Result<Lookup, CallStatus> {
    do throws(CallStatus) { return .success(try found(entry, time)) } catch { return .failure(error) }
  }

  private mutating func found(_ entry: Executor.Entry, _ time: UInt64) throws(CallStatus) -> Lookup {
    let place = try live(entry.session, time)
    let (index, sequence, fingerprint) = (entry.id.index, entry.sequence, entry.fingerprint)
    let isBehindAll = (sessions[place].records.last?.sequence ?? sessions[place].forgotten) < sequence
    guard Self.sequences.contains(sequence) else {
      throw CallStatus(.invalidArgument, "sequence \(sequence) of session \(entry.session)", applied: .no)
    }
    if !isBehindAll {
      precondition(sessions[place].pending == 0, "a call is looked up while others of its session are carried out")
      touch(place, index, time)
      if let record = sessions[place].record(sequence) {
        return .answered(try Self.answer(again: record, entry.session, fingerprint))
      }
      guard sequence > sessions[place].forgotten else { throw Self.tooLongAgo(entry.session, sequence) }
    }
    touch(place, index, time) {
      $0.insert(Session.Record(sequence: sequence, fingerprint: fingerprint, index: index, result: .pending))
    }
    return .new
  }

  private static func answer(
    again record: Session.Record, _ session: UInt64, _ fingerprint: UInt64
  ) throws(CallStatus) -> Replies.Reply {
    let call = "call \(record.sequence) of session \(session)"
    switch record.result {
    case .never:
      throw CallStatus(.aborted, "\(call) was asked for before it was there, and is carried out no more", applied: .no)
    case _ where record.fingerprint != fingerprint:
      throw CallStatus(
        .invalidArgument, "\(call) was another request: a sequence stands for one, whatever became of it", applied: .no)
    case .reply(let reply): return reply
    case .tooLong(let bytes):
      return .failure(
        CallStatus(
          .resourceExhausted,
          "\(call) was carried out by entry \(record.index); its reply of \(bytes) bytes is not kept any more"))
    case .pending: preconditionFailure("\(call) is asked for while it is carried out")
    }
  }

  /// What a command was answered that `look` said is new.
  package mutating func record(_ reply: Replies.Reply, session: UInt64, sequence: UInt64) {
    guard let place = find(session) else { return }
    let position = sessions[place].place(of: sequence)
    guard position < sessions[place].records.count, sessions[place].records[position].sequence == sequence else {
      return
    }
    change(place) { $0.settle(position, as: .reply(reply)) }
    changes?.recorded(sessions[place].records[position], in: session)
    trim(place)
  }

  // MARK: Parts

  private func live(_ session: UInt64, _ time: UInt64) throws(CallStatus) -> Int {
    guard let place = find(session), !sessions[place].isOver(at: time) else {
      throw CallStatus(
        .failedPrecondition,
        "session \(session) is not open, or has ended because nobody used it: which of its calls were carried out is not known any more",
        applied: .unknown)
    }
    return place
  }

  private static func tooLongAgo(_ session: UInt64, _ sequence: UInt64) -> CallStatus {
    CallStatus(
      .failedPrecondition,
      "call \(sequence) of session \(session) is too long ago: what became of it is not kept any more",
      applied: .unknown)
  }

  /// With what else changes in it.
  private mutating func touch(
    _ place: Int, _ index: LogIndex, _ time: UInt64, _ body: (inout Session) -> Void = { _ in }
  ) {
    change(place) {
      ($0.lastUsed, $0.lastUsedAt) = (index, time)
      body(&$0)
    }
    changes?.touched(sessions[place].id)
  }

  private mutating func trim(_ place: Int) {
    let (count, limit) = (limits.records, bytesEach)
    guard sessions[place].isBeyond(count, bytes: limit) else { return }
    let gone = change(place) { $0.forget(beyond: count, bytes: limit) }
    for record in gone.replies { changes?.recorded(record, in: sessions[place].id) }
    if !gone.sequences.isEmpty { changes?.forgotten(gone.sequences, of: sessions[place].id) }
  }

  private mutating func change<Result>(_ place: Int, _ body: (inout Session) -> Result) -> Result {
    let before = (bytes: sessions[place].bytes, digest: sessions[place].digest)
    defer {
      bytes += sessions[place].bytes - before.bytes
      digest &+= sessions[place].digest &- before.digest
    }
    return body(&sessions[place])
  }

  private mutating func end(_ place: Int) {
    let session = sessions.remove(at: place)
    bytes -= session.bytes
    digest &-= session.digest
    changes?.ended(session.id)
  }

  /// What has changed since it was taken last, to be stored with the data.
  mutating func takeChanges() -> [SessionRecord] {
    guard let all = changes?.take({ self[$0] }) else { return [] }
    changes = SessionChanges()
    return all
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
