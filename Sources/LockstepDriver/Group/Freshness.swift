import LockstepConsensus

/// How fresh this node's state is, told by its own clock alone: when it asked a leader for an index, that leader and a
/// majority had nothing committed beyond what they answered with (read index, thesis section 6.4). A state that has that
/// index applied lacks nothing that was committed before the question.
final class Freshness {
  /// Nothing that was committed by then is missing; nil: not known.
  private(set) var time: UInt64?
  /// Confirmed and not applied yet, each later and further on than the one before.
  private var pending: [(asked: UInt64, index: LogIndex)] = []

  /// An old age was told, or none: it is to be found out what it is now.
  private(set) var isDue = false
  private var soughtAt: UInt64?

  private static let longest = 64
  /// In nanoseconds: an age beyond it leads to a new one, and not more often than that.
  private static let oldAge: UInt64 = 1_000_000_000

  func confirmed(at index: LogIndex, asked: UInt64) {
    // What reaches further and was asked earlier says nothing that this does not say.
    pending.removeAll { $0.asked <= asked && $0.index >= index }
    guard pending.last.map({ $0.asked < asked }) ?? true else { return }
    // What is applied is far behind what is confirmed: it will be as fresh as the last of these, and not before.
    if pending.count == Self.longest { pending.removeLast() }
    pending.append((asked, index))
  }

  func applied(_ index: LogIndex) {
    guard let first = pending.first, first.index <= index else { return }
    let count = pending.prefix { $0.index <= index }.count
    time = max(time ?? 0, pending[count - 1].asked)
    pending.removeFirst(count)
  }

  /// In nanoseconds, at most.
  func age(_ now: UInt64) -> UInt64? { time.map { now - min($0, now) } }

  /// `bound`: nil asks for nothing.
  func satisfies(_ bound: UInt64?, _ now: UInt64) -> Bool {
    guard let bound else { return true }
    return age(now).map { $0 <= bound } ?? false
  }

  // MARK: Finding it out

  /// A reply says that the state is of this age.
  func told(_ age: UInt64?, _ now: UInt64) {
    guard age.map({ $0 > Self.oldAge }) ?? true else { return }
    isDue = isDue || (soughtAt.map { now - min($0, now) > Self.oldAge } ?? true)
  }

  /// An index is asked for now.
  func isSought(_ now: UInt64) { (isDue, soughtAt) = (false, now) }
}
