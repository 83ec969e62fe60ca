// Reads on a lease (thesis section 6.4.1): once a majority has acknowledged a leader's heartbeats, it goes on leading for the
// least election time-out from when it sent them, less what clocks may drift apart, as none of that majority campaigns or votes
// before (section 4.2.3). How long that is by a clock, the driver says: here are only the rounds that it may be counted from.
//
// What ends a lease before its time:
// - A transfer of the lead: whoever is told TimeoutNow asks for votes that nobody keeps from it. That message may come late,
//   or the transfer be given up: there are no more leases in this term.
// - Another configuration: of it another majority may elect. Rounds count from the next one on.
// - A member's restart, as it does not know any more whom it has heard: it goes on leaving them in peace, for as long as it
//   may have promised to just before.

extension Replica {
  /// A node that had a term may have heard a leader until the moment in which it ended.
  mutating func keepPeaceAfterStart() {
    guard limits.leases != .none, hardState.term > .zero, members.all.count > 1 else { return }
    peaceTicks = limits.electionTicks
  }

  /// Of the round that is under way, too. What was renounced stays so.
  mutating func endLease() { reads.withoutLease = max(reads.withoutLease, reads.current) }

  /// For all of this term.
  mutating func renounceLease() { reads.withoutLease = .max }

  /// The ticks, of its own clock, for which a follower at least leaves the leader in peace that it has heard: one may come
  /// late and the next in its time, so that two follow that word at once.
  package static func peacefulTicks(_ limits: Limits) -> Int { limits.electionTicks - 2 }
}
