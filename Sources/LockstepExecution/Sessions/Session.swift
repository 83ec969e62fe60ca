import DequeModule
import LockstepConsensus

/// The calls of one client, each of which is carried out once however often it is sent (Raft section 8; thesis section
/// 6.3; RIFL, SOSP 2015): what became of the last of them.
package struct Session: Sendable {
  /// What became of the call under one sequence.
  package struct Record: Sendable, Hashable {
    package enum Result: Sendable, Hashable {
      case reply(Replies.Reply)
      /// It was carried out, and its reply has more bytes than are kept.
      case tooLong(bytes: UInt64)
      /// Somebody asked what became of it before it was there: it is carried out no more.
      case never
      /// Its command waits in the batch that is under way.
      case pending
    }

    let sequence: UInt64
    /// Of method and request: the same sequence with others is another call, and not carried out.
    let fingerprint: UInt64
    /// The entry that carried it out, or said that nothing will.
    let index: LogIndex
    var result: Result

    var isPending: Bool { if case .pending = result { true } else { false } }

    /// Of what is kept of the reply.
    var replyBytes: Int {
      switch result {
      case .reply(.success(let reply)): reply.count
      case .reply(.failure(let status)): status.message.utf8.count
      case .tooLong, .never, .pending: 0
      }
    }

    /// With what it takes itself, about.
    var bytes: Int { Session.recordBytes + replyBytes }
  }

  /// The index of the entry that opened it.
  let id: UInt64
  /// It has ended when it was not used for longer than this, by the log's time, in nanoseconds.
  let patience: UInt64
  var lastUsed: LogIndex
  /// By the log's time.
  var lastUsedAt: UInt64
  /// What became of calls up to here is not known any more.
  var forgotten: UInt64 = 0
  /// In order of sequence, all beyond `forgotten`.
  var records: Deque<Record> = []
  /// How many of them are pending.
  var pending = 0
  /// So many of the first have no reply any more, or none that is kept.
  private var stripped = 0
  /// Of all records that are not pending.
  private(set) var bytes = 0
  /// The sum of theirs.
  private var recordsDigest: UInt64 = 0
  var digest: UInt64 { ownDigest &+ recordsDigest }
  static let recordBytes = 64

  func isOver(at time: UInt64) -> Bool { time > lastUsedAt && time - lastUsedAt > patience }

  /// The place of this sequence, or of the first after it.
  func place(of sequence: UInt64) -> Int {
    guard let last = records.last, last.sequence >= sequence else { return records.count }
    var (low, high) = (0, records.count)
    while low < high {
      let middle = (low + high) / 2
      if records[middle].sequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func record(_ sequence: UInt64) -> Record? {
    let place = place(of: sequence)
    return place < records.count && records[place].sequence == sequence ? records[place] : nil
  }

  init(id: UInt64, patience: UInt64, lastUsed: LogIndex, lastUsedAt: UInt64, forgotten: UInt64 = 0) {
    self.id = id
    self.patience = patience
    self.lastUsed = lastUsed
    self.lastUsedAt = lastUsedAt
    self.forgotten = forgotten
  }

  // MARK: Changes

  /// A call that is carried out now, or never will be.
  mutating func insert(_ record: Record) {
    let place = place(of: record.sequence)
    records.insert(record, at: place)
    stripped = min(stripped, place)
    if record.isPending { pending += 1 } else { settled(record) }
  }

  /// What a pending call has come to.
  mutating func settle(_ place: Int, as result: Record.Result) {
    pending -= 1
    records[place].result = result
    settled(records[place])
    stripped = min(stripped, place)
  }

  private mutating func settled(_ record: Record) {
    bytes += record.bytes
    recordsDigest &+= record.digest(in: id)
  }

  private mutating func unsettled(_ record: Record) {
    bytes -= record.bytes
    recordsDigest &-= record.digest(in: id)
  }

  /// What had to give way to newer calls.
  struct Forgotten {
    /// Their replies are gone, and that they were carried out is known.
    var replies: [Record] = []
    /// Nothing is known any more of calls up to the last of these.
    var sequences: [UInt64] = []
  }

  /// Is there anything to be forgotten?
  func isBeyond(_ count: Int, bytes limit: Int) -> Bool { records.count - pending > count || bytes > limit }

  /// Makes room: the oldest replies go first, and calls as a whole only where there are too many. Counts what is settled
  /// alone, so that the same is forgotten however many calls are carried out at once.
  mutating func forget(beyond count: Int, bytes limit: Int) -> Forgotten {
    var gone = Forgotten()
    while records.count - pending > count { gone.sequences.append(removeFirst()) }
    while bytes > limit, stripped < records.count {
      let length = records[stripped].replyBytes
      if length > 0 {
        unsettled(records[stripped])
        // That it failed stays known.
        if case .reply(.failure(let status)) = records[stripped].result {
          records[stripped].result = .reply(.failure(CallStatus(status.code, "")))
        } else {
          records[stripped].result = .tooLong(bytes: UInt64(length))
        }
        settled(records[stripped])
        gone.replies.append(records[stripped])
      }
      stripped += 1
    }
    while bytes > limit, records.count > pending { gone.sequences.append(removeFirst()) }
    return gone
  }

  private mutating func removeFirst() -> UInt64 {
    let first = records.removeFirst()
    if first.isPending { pending -= 1 } else { unsettled(first) }
    stripped = max(0, stripped - 1)
    forgotten = first.sequence
    return first.sequence
  }
}
