package import LockstepConsensus
package import LockstepWire

/// One group's part of a write: term, vote and commit, and entries, which replace what the log has from their first
/// index on.
package struct LogWrite: Sendable {
  package var group: GroupID
  package var hardState: HardState
  /// The entries, in blocks that follow each other; none of them is empty.
  package let blocks: [EntryBlock]
  /// From now on the group's log begins behind this entry, which is committed; a write with a base has no entries, and
  /// is the group's first in a batch. Entries behind it stay if the log holds that entry, otherwise all of them go.
  package let base: LogBase?

  package init(group: GroupID, hardState: HardState, base: LogBase) {
    self.group = group
    self.hardState = hardState
    self.base = base
    blocks = []
  }

  package init(group: GroupID, hardState: HardState, blocks: [EntryBlock]) {
    self.group = group
    self.hardState = hardState
    base = nil
    self.blocks = blocks.filter { !$0.isEmpty }
    precondition(
      zip(self.blocks, self.blocks.dropFirst()).allSatisfy {
        $0.last.next == $1.first && $0.lastChain == $1.previousChain
      },
      "blocks that do not follow each other")
  }

  package init(group: GroupID, hardState: HardState, entries: EntryBlock? = nil) {
    self.init(group: group, hardState: hardState, blocks: entries.map { [$0] } ?? [])
  }

  package var slice: LogSlice? {
    guard let first = blocks.first, let last = blocks.last else { return nil }
    return LogSlice(first: first.first, last: last.last)
  }

  /// By their positions: to go through the blocks themselves is to copy them.
  package var count: Int { blocks.indices.reduce(0) { $0 + blocks[$1].count } }
  package var byteCount: Int { blocks.indices.reduce(0) { $0 + blocks[$1].bytes.count } }
}
