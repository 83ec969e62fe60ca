import LockstepConsensus

/// How much room the disk has for the log of one group, as its last answer says.
struct RoomWatch {
  let context: NodeContext

  /// What is to be told to the core, if it is not as before. `waiting` is in the log and not on the disk, `arriving` is
  /// about to be; `isMeasured`: the disk has been looked at, and how much is missing may be another number.
  func changed(from before: LogRoom, waiting: Int, arriving: Int, isMeasured: Bool) -> LogRoom? {
    guard let space = context.space else { return nil }
    let room = context.limits.room(in: space, waiting: waiting, arriving: arriving, before: before)
    guard room.isAmple != before.isAmple || room.takesEntries != before.takesEntries || isMeasured else { return nil }
    if room.isAmple != before.isAmple {
      let missing = Int(clamping: room.missing)
      context.observe(room.isAmple ? .roomIsBack(space.disk) : .roomIsShort(space.disk, missing: missing))
    }
    return room
  }
}
