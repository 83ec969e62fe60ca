/// Whether this node's own disk is behind: by how long the oldest write has waited that it has not answered. A disk that
/// hangs is found by that, and one that answers, but less than it is given.
package struct DiskWatch: Hashable, Sendable {
  /// Ticks since the beginning: what writes are dated by.
  package private(set) var now = 0
  /// When the write was handed to it that had waited for the limit.
  private var slowSince: Int?
  package var isSlow: Bool { slowSince != nil }

  package init() {}

  /// `oldest`: when the oldest write without an answer was handed to it. Returns for how long that has waited, when it is
  /// slow as of now.
  package mutating func tick(oldest: Int?, limit: Int) -> Int? {
    now += 1
    guard !isSlow, let oldest, now - oldest >= limit else { return nil }
    slowSince = oldest
    return now - oldest
  }

  /// `oldest`: of what is left. It is no longer slow when that is well below the limit: one that is about as quick as what
  /// comes would otherwise be called slow and quick by turns. Returns for how long it was behind, when that ends.
  package mutating func answered(oldest: Int?, limit: Int) -> Int? {
    guard let slowSince, oldest.map({ now - $0 < limit / 2 }) ?? true else { return nil }
    self.slowSince = nil
    return now - slowSince
  }
}
