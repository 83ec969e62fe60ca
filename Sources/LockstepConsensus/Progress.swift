/// What a leader knows of one follower ("nextIndex" and "matchIndex", Raft figure 2) and the window of what is under
/// way to it.
package struct Progress: Sendable {
  package enum State: String, Hashable, Sendable {
    /// Where the logs agree is not known: one message at a time.
    case probing
    /// Messages are sent ahead of their acknowledgements.
    case replicating
    /// The next entries are being read from the disk.
    case loading
    /// It needs entries that are compacted at the leader. It hears that there is a leader, and is sent nothing else
    /// until it has the leader's base.
    case awaitingSnapshot
  }

  package let node: NodeID
  package var match: LogIndex = .zero
  package var next: LogIndex
  package var state: State = .probing
  package var isLinkUp: Bool
  /// Probing: a message is under way.
  package var isProbeSent = false
  /// Heard since the last check of the quorum (thesis section 6.2).
  package var isActive = false
  /// A message is due even when there is no entry to send: a heartbeat, a read round.
  package var isMessageDue = false
  /// Ticks since it last had all that there is, or acknowledged something new.
  package var ticksBehind = 0
  package var commitSent: LogIndex = .zero
  /// It said so itself: it is not to be given the lead yet.
  package var isReplaying = false
  /// Its machine has carried out all up to here, as it said itself.
  package var applied: LogIndex = .zero
  /// Up to where it was asked to say what it has applied.
  package var reportSent: LogIndex = .zero
  /// Of its disk, as it said itself.
  package var room = LogRoom.ample
  /// It has another disk than the configuration means: what it says counts for nothing (see Replica+Replacement).
  package var isReplaced = false
  /// The latest read round that this follower has confirmed.
  package var readRound: UInt64 = 0

  private var window: [(last: LogIndex, bytes: Int)] = []
  package private(set) var windowBytes = 0
  package var windowCount: Int { window.count }

  package init(node: NodeID, next: LogIndex, isLinkUp: Bool) {
    self.node = node
    self.next = next
    self.isLinkUp = isLinkUp
  }

  /// Another disk under the number: what the former one has acknowledged, this one need not have.
  package mutating func beginAnew(at index: LogIndex) {
    (match, readRound, isActive, isReplaying) = (.zero, 0, false, false)
    applied = .zero
    room = .ample
    probe(from: index)
  }

  /// Nothing before this index can be sent.
  package mutating func awaitSnapshot(base: LogIndex) {
    probe(from: base.next)
    state = .awaitingSnapshot
  }

  package mutating func sent(_ slice: LogSlice, bytes: Int) {
    window.append((slice.last, bytes))
    windowBytes += bytes
    next = slice.last.next
  }

  /// The follower has all up to `index`, durably. Returns whether that is news.
  package mutating func acknowledged(_ index: LogIndex) -> Bool {
    let isNews = index > match
    if isNews { ticksBehind = 0 }
    match = max(match, index)
    next = max(next, match.next)
    var freed = 0
    while freed < window.count, window[freed].last <= index {
      windowBytes -= window[freed].bytes
      freed += 1
    }
    window.removeFirst(freed)
    return isNews
  }

  /// What was under way is lost or refused: find out anew where the logs agree, not later than `index`.
  package mutating func probe(from index: LogIndex) {
    state = .probing
    isProbeSent = false
    next = max(match.next, index)
    window.removeAll(keepingCapacity: true)
    windowBytes = 0
  }
}
