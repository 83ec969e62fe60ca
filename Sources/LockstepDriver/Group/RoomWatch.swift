import LockstepConsensus

/// How much room the disk has for the log of one group, as its last answer says.
struct RoomWatch {
  let context: NodeContext
  /// The most that the leader of a term has sent at once and there was no room for, in bytes; 0 while there is room. A
  /// follower that had room again as soon as it had refused, or for the smaller piece behind it, would be sent the same at
  /// once, and refuse it again.
  private var refused = 0
  private var term = Term.zero

  init(context: NodeContext) { self.context = context }

  /// The leader of this term has sent so many bytes of entries.
  mutating func arrived(_ bytes: Int, term: Term) {
    follow(term)
    refused = max(refused, bytes)
  }

  private mutating func follow(_ term: Term) {
    guard term > self.term else { return }
    self.term = term
    refused = 0
  }

  /// What is to be told to the core, if it is not as before. `waiting` is in the log and not on the disk, `proposed` is
  /// about to be; `isMeasured`: the disk has been looked at, and how much is missing may be another number.
  mutating func changed(from before: LogRoom, waiting: Int, proposed: Int, term: Term, isMeasured: Bool)
    -> LogRoom?
  {
    guard let space = context.space else { return nil }
    follow(term)
    let arriving = max(proposed, refused)
    let room = context.limits.room(in: space, waiting: waiting, arriving: arriving, before: before)
    if room.isAmple { refused = 0 }
    guard room.isAmple != before.isAmple || room.takesEntries != before.takesEntries || isMeasured else { return nil }
    if room.isAmple != before.isAmple {
      let missing = Int(clamping: room.missing)
      context.observe(room.isAmple ? .roomIsBack(space.disk) : .roomIsShort(space.disk, missing: missing))
    }
    return room
  }
}
