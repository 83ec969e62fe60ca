/// What may go wrong with what is under way. Odds are "one in so many"; 0 is never.
struct NetworkFaults {
  var lost = 0
  var duplicated = 0
  var replayed = 0
  var reordered = 0
  var delayed = 0
  var delayedLong = 0
  var flipped = 0
  var pieces = 0
  var coalesced = 0
  var resetInFrame = 0
  var garbage = 0
  /// From one node to the other, in nanoseconds: at least this, and up to four times as much.
  var latency: UInt64 = 50_000

  /// Whether frames may go out twice, or in another order.
  var meddles: Bool { duplicated > 0 || replayed > 0 || reordered > 0 }
}
