package import LockstepConsensus
internal import LockstepWire

// DIR/snapshot-G-I: the state of group G with entry I as the last that is in it. Records (see Record), one behind the other:
//
//   snapshot       number 1; the body is a SnapshotHeader: which state this is
//   chunk          numbers 2, 3, …; the body is the next piece of the state: sessions first, then the machine
//   snapshotEnd    the body is a SnapshotTrailer: how many chunks, how many bytes; the extent is the size of the file
//   zeros          up to the end of the block
//
// Each record's link is the checksum of the header before it, which covers the checksum of the body before it: so it is a
// running hash over all that stands before. The salt is made of cluster, group and last entry, and of nothing that differs
// between replicas: two that snapshot a machine in memory at the same entry have the same file, and a chunk of one serves in
// the other; a chunk of any other snapshot does not pass.
//
// It is written under snapshot-G-I.new and synced, then renamed, then the directory is synced. A crash leaves the whole
// file, or one that ends in .new, which the next start removes; so whatever is wrong in a file with its own name is damage.
// Older ones than the last two are removed when a new one is there, and the one before it has been read again, whole: a
// crash in between leaves three.

/// Which snapshot a file is.
package struct SnapshotName: Hashable, Comparable, Sendable, CustomStringConvertible {
  static let prefix = "snapshot-"
  /// Of the largest index.
  private static let digits = 20

  package let group: GroupID
  /// Of the last entry that is in it.
  package let index: LogIndex

  package init(group: GroupID, index: LogIndex) {
    self.group = group
    self.index = index
  }

  /// Nil for the name of anything else.
  init?(_ name: String) {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, let group = UInt64(parts[1]), group > 0, let index = UInt64(parts[2]), index > 0 else {
      return nil
    }
    self.init(group: GroupID(group), index: LogIndex(index))
    guard description == name else { return nil }
  }

  package var description: String {
    let number = String(index.rawValue)
    return "\(Self.prefix)\(group)-" + String(repeating: "0", count: max(0, Self.digits - number.count)) + number
  }

  package static func < (left: SnapshotName, right: SnapshotName) -> Bool {
    (left.group, left.index) < (right.group, right.index)
  }
}

enum SnapshotFormat {
  static func salt(_ header: SnapshotHeader) -> UInt64 {
    let name = SnapshotName(group: header.group, index: header.last.id.index)
    return Checksum.of(header.cluster + Array(name.description.utf8))
  }
}
