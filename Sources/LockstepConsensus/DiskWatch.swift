/// How long this node's own disk has been silent with a write before it: ticks between `Effect.store` and `stored`.
package struct DiskWatch: Hashable, Sendable {
  /// Since the disk answered last, or since the first of the writes that wait was handed to it.
  package private(set) var silentTicks = 0
  /// It has been silent for the limit, which was told, and has not answered since.
  package private(set) var isSlow = false

  package init() {}

  /// Returns whether it is slow as of now.
  package mutating func tick(isWriting: Bool, limit: Int) -> Bool {
    guard isWriting else { return false }
    silentTicks += 1
    guard !isSlow, silentTicks >= limit else { return false }
    isSlow = true
    return true
  }

  /// Returns how long it was silent, if it was called slow.
  package mutating func answered() -> Int? {
    defer { self = DiskWatch() }
    return isSlow ? silentTicks : nil
  }
}
