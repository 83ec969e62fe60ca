// The log's beginning. "Each server takes snapshots independently, covering just the committed entries in its log" (Raft
// section 7). How long it is kept for a member that may still have to be sent it is the driver's business, which is told
// how far all have come; who comes later gets a snapshot.

extension Replica {
  /// On a leader, once a tick: what all members have acknowledged, durably. That stays true whatever comes: a disk that
  /// loses it is not let in again, unless it begins anew, and then it gets a snapshot.
  mutating func noteStoredByAll() {
    let stored = progress.reduce(log.durable) { min($0, $1.match) }
    storedByAll = max(storedByAll, min(stored, commit))
  }

  /// The configuration as of this entry, which is not before the base.
  package func members(at index: LogIndex) -> Members {
    (configurations.last { $0.index <= index } ?? configurations[0]).members
  }

  /// The log begins behind this entry, if it is committed.
  mutating func compact(through id: EntryID) {
    guard id.index <= commit else { return }
    log.compact(through: id)
    guard log.base == id else { return }
    // The configuration as of the base is the first of the list.
    while configurations.count > 1, configurations[1].index <= id.index { configurations.removeFirst() }
    configurations[0].index = max(configurations[0].index, id.index)
    for follower in progress.indices where progress[follower].next <= id.index {
      // It may have all up to the base, and not have said so in this term.
      probe(follower, from: id.index.next)
    }
  }
}
