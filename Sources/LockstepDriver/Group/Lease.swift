import LockstepConsensus

/// Until when the leader can answer as one without asking anybody (thesis section 6.4.1). By three measures at once, each of
/// which began before the round's first message left: the monotonic clock, the wall clock and the ticks. A clock that jumps,
/// stands still or is set back is believed no longer than the two others allow.
struct Lease {
  private struct Moment {
    var monotonic: UInt64
    var wall: UInt64
    var tick: UInt64
    /// The monotonic clock has gone back so often.
    var setBacks: UInt64
  }

  /// In nanoseconds; 0: there are none.
  private let length: UInt64
  private let ticks: UInt64
  private var tick: UInt64 = 0
  private var term = Term.zero
  /// The latest round that was seen to begin, and when: nil if that one was confirmed.
  private var round: UInt64 = 0
  private var began: Moment?
  /// When the latest round began that was confirmed.
  private var held: Moment?

  init(limits: Limits, length: UInt64) {
    self.length = length
    ticks = UInt64(max(0, Replica.peacefulTicks(limits) - 1))
  }

  mutating func isTicked() { tick += 1 }

  /// To be told after whatever may have begun a round, before anything of it has left this node.
  mutating func follow(_ reads: ReadRounds, of leading: Term?, _ context: NodeContext) {
    guard length > 0 else { return }
    guard let leading else { return end() }
    if term != leading {
      end()
      term = leading
    }
    confirm(reads)
    guard reads.current != round else { return }
    round = reads.current
    began = moment(context)
    confirm(reads)
  }

  /// Whether nobody else leads at this moment, so that this node knows all that is committed: its rounds of a term begin
  /// when its first entry of that term is.
  mutating func isHeld(_ reads: ReadRounds, of leading: Term?, _ context: NodeContext) -> Bool {
    guard length > 0, let leading, leading == term else { return false }
    confirm(reads)
    let now = moment(context)
    guard let held, reads.confirmed > reads.withoutLease, held.setBacks == now.setBacks else { return false }
    return now.monotonic - held.monotonic < length && now.wall >= held.wall && now.wall - held.wall < length
      && now.tick - held.tick < ticks
  }

  private mutating func confirm(_ reads: ReadRounds) {
    guard reads.confirmed == round, let began else { return }
    held = began
    self.began = nil
  }

  private mutating func end() { (term, round, began, held) = (.zero, 0, nil, nil) }

  private func moment(_ context: NodeContext) -> Moment {
    Moment(monotonic: context.now, wall: context.wall, tick: tick, setBacks: context.setBacks)
  }
}
