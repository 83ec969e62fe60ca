import DequeModule
import LockstepConsensus
import LockstepExecution

/// The last changes of one group that this node has carried out, as many as fit. A value; whoever owns it says what time it
/// is.
///
/// They are kept while somebody follows them, and for a while after that; and from the start until the first is to go: so a
/// stream may begin at the beginning, and load that nobody follows costs nothing in the long run.
struct ChangeWindow {
  /// For so long after the last stream has gone it may come back.
  static let patience: UInt64 = 600_000_000_000

  private let maximumBytes: Int
  /// They are kept whether or not somebody follows them.
  private let isAlwaysKept: Bool
  private(set) var isKept: Bool
  /// In the order of the log; each index at most once.
  private var changes: Deque<Change> = []
  private var bytes = 0
  /// Of the entries from `first` to `last`, all changes are there; `first` is the one after `last` where there are none.
  private(set) var first: LogIndex
  private(set) var last: LogIndex
  private var lastFollowed: UInt64?

  /// `applied`: the last entry that is carried out and not noted.
  init(maximumBytes: Int, isAlwaysKept: Bool, applied: LogIndex) {
    self.maximumBytes = maximumBytes
    self.isAlwaysKept = isAlwaysKept
    isKept = maximumBytes > 0
    first = applied.next
    last = applied
  }

  var isOffered: Bool { maximumBytes > 0 }

  /// From the entry after `submitted` on they are kept, whatever comes.
  mutating func follow(_ now: UInt64, submitted: LogIndex) {
    lastFollowed = now
    guard !isKept else { return }
    isKept = true
    begin(behind: submitted)
  }

  /// Nothing before this entry is there, as another state has taken the place of this node's.
  mutating func begin(behind index: LogIndex) {
    changes = []
    bytes = 0
    (first, last) = (index.next, index)
  }

  /// All entries up to `applied` were carried out, and these were the changes of those that are new. `mayEnd`: where the first
  /// is to go and nobody has followed for long, no more are kept.
  mutating func add(_ more: [Change], applied: LogIndex, now: UInt64, mayEnd: Bool) {
    guard isKept, applied > last else { return }
    for change in more where change.index >= first {
      bytes += change.byteCount
      changes.append(change)
    }
    last = applied
    guard bytes > maximumBytes else { return }
    if mayEnd, !isAlwaysKept, lastFollowed.map({ now >= $0 &+ Self.patience }) ?? true {
      isKept = false
      begin(behind: applied)
      return
    }
    while bytes > maximumBytes, let oldest = changes.popFirst() {
      bytes -= oldest.byteCount
      first = oldest.index.next
    }
  }

  /// Calls `body` with the changes at `index` and behind it, until it returns false. Returns the first index of which nothing
  /// was told; nil: some of it is gone.
  func forEach(from index: LogIndex, _ body: (Change) -> Bool) -> LogIndex? {
    guard index >= first, isKept else { return nil }
    var (low, high) = (0, changes.count)
    while low < high {
      let middle = (low + high) / 2
      if changes[middle].index < index { low = middle + 1 } else { high = middle }
    }
    while low < changes.count {
      guard body(changes[low]) else { return changes[low].index.next }
      low += 1
    }
    return max(index, last.next)
  }

  func check(submitted: LogIndex) {
    precondition(!isKept || last <= submitted, "changes of what is not carried out")
    precondition(changes.isEmpty || changes[0].index >= first && changes[changes.count - 1].index <= last)
  }
}
