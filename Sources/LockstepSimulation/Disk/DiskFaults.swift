/// What may go wrong with a disk, and how often. A number is "one in so many operations"; 0 is never.
package struct DiskFaults: Sendable {
  package var readFailed = 0
  package var writeFailed = 0
  package var shortWrite = 0
  package var syncFailed = 0
  /// Whoever promises what such a disk has "synced" breaks the promise at the next power cut.
  package var syncLied = 0
  package var misdirectedWrite = 0
  package var staleSector = 0
  /// Bytes that all files together may have.
  package var space = Int.max
  /// What an operation costs, in virtual nanoseconds.
  package var writeTime: UInt64 = 20_000
  package var syncTime: UInt64 = 200_000

  package init() {}
}

/// An operation that changes something or makes it durable.
package enum DiskOperation: String, Sendable, CaseIterable {
  case write
  case sync
  case create
  case rename
  case remove
  case createDirectory
  case syncDirectory
}

/// Whether the process dies at an operation, and how far the operation comes.
package enum DiskDeath: Sendable {
  case before
  /// A write leaves some of its sectors, any other operation happens or does not.
  case within
  case after
}

/// What a power cut does to what was not synced.
package enum PowerCut: Sendable, CaseIterable {
  case losesAll
  case keepsAll
  /// Each sector and each name for itself: torn records, later sectors without earlier ones.
  case keepsAny
}

/// Something that is not durable yet, and that a power cut leaves or does not.
package enum PendingChange: Equatable, Sendable {
  /// Made, replaced or removed.
  case name(String)
  case sector(path: String, number: Int)
  case size(path: String)
}
