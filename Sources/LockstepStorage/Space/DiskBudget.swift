import Synchronization

// What may be used of a disk, and by whom:
//
//   0 ──────────── used ──────────┬─ log is prepared ─┬─ reserve ─┬─ slack ─┬──────────────
//                                                                         limit
//
// The limit is `--disk-budget`. Segments of the log are prepared in what is left before the reserve, which is as much as the
// next snapshot is expected to take: only a snapshot lets the log begin further on, so where there is no room for one nothing
// would ever be freed. A log that needs its next segment at once, which no command makes it do (DriverLimits.room), may use
// the reserve, too. Half of what is left before it the log counts on, for what is on its way already: a snapshot that is
// larger than expected does not get that. The slack is for the small files beside them, without which a node could not go on.
//
// Files of the node are counted as they grow, before they do, so that the limit holds at each moment. What a machine with
// its own storage keeps in its directory grows by itself, and is looked at now and then (`refresh`), as is what strangers
// have left of the file system. A node that starts with more than its budget, as it was given less than before, could neither
// end an election nor ever come down to it: until it has, its files may take once more as much. Without a budget nothing is
// refused here; the log gets nine tenths of what the file system has for this node, its own files and what is free together.

/// How much of the disk the files in one node's directory may take, and do.
package final class DiskBudget: Sendable {
  /// Nil: by what the file system has.
  private let bytes: Int?
  private let state = Mutex(State())

  private struct State {
    /// Of the files that this process grows and removes.
    var counted = 0
    /// Of those that grow by themselves, when they were last looked at.
    var others = 0
    /// What the file system had left then, less what was taken since.
    var available = DiskSpace.unlimited
    /// Of the snapshot that was completed last, and of the one that is being written.
    var lastSnapshot = 0
    var growingSnapshot = 0
    /// Promised to the log, beyond the reserve: no snapshot grows into it.
    var keptForLog = 0
    /// How far files may grow all the same, where more than the budget is used since before this process had it.
    var ceiling: Int?
    var used: Int { counted + others }
  }

  package init(bytes: Int?) { self.bytes = bytes }

  private func limit(_ state: State) -> Int { min(bytes ?? .max, state.used + max(0, state.available)) }

  /// For the small files beside the log and the snapshots.
  private var slack: Int { min(1 << 20, (bytes ?? .max) / 64) }

  private func limitForLog(_ state: State) -> Int {
    let limit = limit(state)
    return bytes == nil ? limit / 10 * 9 : limit - slack
  }

  private func reserve(_ state: State) -> Int {
    let expected = max(min(limit(state) / 16, 64 << 20), state.lastSnapshot / 4 * 5)
    return max(0, expected - state.growingSnapshot)
  }

  /// What is used, and what may be.
  package var space: DiskSpace {
    state.withLock { state in
      let limit = bytes == nil ? limitForLog(state) : limit(state)
      return DiskSpace(
        used: state.used, limit: limit, available: max(0, state.available), others: state.others)
    }
  }

  /// More than the budget is used: by what grows by itself, or since before there was this budget.
  package var overdrawn: Int { state.withLock { max(0, $0.used - (bytes ?? .max)) } }

  /// More than the budget is used since before there was this budget, and files may grow until there is less.
  package var isInherited: Bool { state.withLock { $0.ceiling != nil } }

  /// What segments may still be prepared in; negative: so much of the reserve is used.
  package var roomForLog: Int { state.withLock { roomForLog($0) } }

  private func roomForLog(_ state: State) -> Int { limitForLog(state) - state.used - reserve(state) }

  /// How much of that the log may count on, if its next segment has still to be given `more`: half of what is left then,
  /// as a snapshot may be larger than is expected of it. Kept for the log until this is asked again.
  package func promiseLog(besides more: Int) -> Int {
    state.withLock { state in
      let room = roomForLog(state) - more
      let promised = room >= 0 ? room / 2 : room
      state.keptForLog = max(0, more + promised)
      return promised
    }
  }

  // MARK: Counting

  func begin(counted: Int, others: Int, available: Int, lastSnapshot: Int) {
    state.withLock {
      $0.counted = counted
      $0.others = others
      $0.available = available
      $0.lastSnapshot = lastSnapshot
      let used = $0.used
      $0.ceiling = bytes.flatMap { used > $0 ? used + $0 : nil }
    }
  }

  func refresh(others: Int, available: Int) {
    state.withLock {
      $0.others = others
      $0.available = available
      endInheritance(&$0)
    }
  }

  private func endInheritance(_ state: inout State) {
    if state.used <= bytes ?? .max { state.ceiling = nil }
  }

  /// Takes note that a file is about to grow, or says how many bytes are missing for that.
  func grow(by added: Int, as use: FileUse) -> Int? {
    state.withLock { state in
      if let bytes, use != .identity {
        let isSnapshot = use == .growingSnapshot || use == .comingSnapshot
        let limit = state.ceiling ?? bytes
        let room = limit - (use == .other ? 0 : slack) - state.used - (isSnapshot ? state.keptForLog : 0)
        guard added <= room else { return added - room }
      }
      state.counted += added
      state.available -= added
      if use == .growingSnapshot { state.growingSnapshot += added }
      return nil
    }
  }

  /// A file has gone, is about to be shorter, or has not grown as it was to.
  func shrink(by removed: Int, as use: FileUse) {
    state.withLock { state in
      state.counted -= removed
      state.available += removed
      endInheritance(&state)
      guard use == .growingSnapshot else { return }
      // It may have been too large for what was expected: more is, from now on.
      state.lastSnapshot = max(state.lastSnapshot, removed)
      state.growingSnapshot = max(0, state.growingSnapshot - removed)
    }
  }

  /// A snapshot of so many bytes is whole.
  func snapshotIsWhole(bytes: Int, as use: FileUse) {
    state.withLock { state in
      state.lastSnapshot = bytes
      if use == .growingSnapshot { state.growingSnapshot = max(0, state.growingSnapshot - bytes) }
    }
  }
}

/// What the files of a directory take.
package struct DiskSpace: Sendable, Equatable {
  package let used: Int
  package let limit: Int
  /// What the file system has left.
  package let available: Int
  /// What of `used` the node has not written itself, or its machine has: it grows and goes by itself.
  package let others: Int
  /// More than any disk has, and little enough for sums of it.
  package static let unlimited = 1 << 60

  package init(used: Int, limit: Int, available: Int, others: Int = 0) {
    self.others = others
    self.used = used
    self.limit = limit
    self.available = available
  }
}

/// What a file is for, as its name says.
enum FileUse: Hashable, Sendable {
  case log
  case growingSnapshot
  case snapshot
  /// From another node.
  case comingSnapshot
  /// Without which a node neither starts nor lets its peers in: never refused.
  case identity
  case other

  init(path: String) {
    // Asked for each name of the mark of the log: in bytes, and without copies for what is no snapshot.
    let bytes = path.utf8
    let name = bytes.lastIndex(of: UInt8(ascii: "/")).map { bytes[bytes.index(after: $0)...] } ?? bytes[...]
    if name.starts(with: "log-".utf8) {
      self = .log
    } else if name.starts(with: IdentityFile.name.utf8) {
      self = .identity
    } else if name.starts(with: SnapshotName.prefix.utf8) {
      self = Self.ofSnapshot(String(Substring(name)))
    } else {
      self = .other
    }
  }

  private static func ofSnapshot(_ name: String) -> FileUse {
    if SnapshotName(name) != nil { return .snapshot }
    if name.hasSuffix(LogFiles.unfinished) { return .growingSnapshot }
    return IncomingSnapshot.part(name) != nil ? .comingSnapshot : .other
  }
}
