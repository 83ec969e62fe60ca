package import LockstepConsensus

/// The state of a group right after an entry, which goes on changing elsewhere.
package struct FrozenState: Sendable {
  package let group: GroupID
  /// The last entry that is in it.
  package let last: EntryID
  /// The highest time stamp of the entries that are in it, in nanoseconds since 1970.
  package let time: UInt64
  package let machineVersion: UInt32
  /// Of the machine and the sessions.
  package let digest: UInt64
  /// The sessions, and then the machine. A copy of it is read from its beginning, too.
  package let content: any Snapshot

  package init(
    group: GroupID, last: EntryID, time: UInt64, machineVersion: UInt32, digest: UInt64, content: any Snapshot
  ) {
    self.group = group
    self.last = last
    self.time = time
    self.machineVersion = machineVersion
    self.digest = digest
    self.content = content
  }
}
