/// One node's two clocks, made from the world's time.
struct SimulatedClock {
  /// Of a thousand true nanoseconds the node sees so many.
  var rate: UInt64 = 1000
  private var offset: UInt64 = 1_000_000_000
  private var base: UInt64 = 0
  private var frozenAt: UInt64?
  var wallOffset: Int64 = 0

  /// 2024-01-01; the same in every run.
  static let epoch: Int64 = 1_704_067_200_000_000_000

  func monotonic(_ now: UInt64) -> UInt64 { frozenAt ?? offset + (now - base) * rate / 1000 }

  func wall(_ now: UInt64) -> UInt64 { UInt64(Self.epoch + Int64(now) + wallOffset) }

  var isFrozen: Bool { frozenAt != nil }

  mutating func setRate(_ rate: UInt64, now: UInt64) {
    offset = monotonic(now)
    base = now
    self.rate = rate
  }

  mutating func jump(_ nanoseconds: UInt64, now: UInt64) {
    offset = monotonic(now) + nanoseconds
    base = now
  }

  mutating func setBack(_ nanoseconds: UInt64, now: UInt64) {
    offset = monotonic(now)
    offset -= min(offset, nanoseconds)
    base = now
  }

  mutating func freeze(now: UInt64) { frozenAt = monotonic(now) }

  /// The clock goes on from where it stood.
  mutating func thaw(now: UInt64) {
    guard let frozen = frozenAt else { return }
    frozenAt = nil
    offset = frozen
    base = now
  }
}
