import LockstepConsensus
import LockstepStorage
import LockstepWire

/// A snapshot from another node, for a group whose leader has no longer what this node needs: one at a time, until the log
/// begins behind it. The state that is there meanwhile answers as before.
final class InstallLane {
  private let group: GroupID
  private let context: NodeContext
  private let others: [NodeID]
  /// The one that was asked for has to reach so far.
  private(set) var atLeast: LogIndex?
  private var began: UInt64 = 0
  /// The log begins behind this, and the disk has still to hear of it.
  private(set) var settling: LogIndex?

  init(group: GroupID, context: NodeContext, members: Members) {
    self.group = group
    self.context = context
    others = members.all.filter { $0 != context.id }
  }

  var progress: InstallProgress? { atLeast == nil ? nil : context.installs.progress(of: group) }

  /// The leader says so, with each of its messages, until it is there. It is asked last: it has enough to do.
  func needed(_ entry: EntryID, leader: NodeID) {
    guard atLeast == nil, settling == nil, !context.stop.isUnderWay else { return }
    let position = others.firstIndex { $0 > context.id } ?? 0
    let sources = others[position...] + others[..<position]
    atLeast = entry.index
    began = context.now
    context.observe(.installBegins(group, atLeast: entry.index, leader: leader))
    context.installs.begin(
      InstallJob(group: group, atLeast: entry.index, sources: sources.filter { $0 != leader } + [leader]))
  }

  /// A leader whose log reaches further back has sent what was missing.
  func cancelIfReached(_ commit: LogIndex) {
    guard let atLeast, commit >= atLeast else { return }
    self.atLeast = nil
    context.installs.cancel(group)
    // It may have arrived in this moment.
    context.installs.settle(group, at: commit, isOfUse: false)
  }

  /// It has arrived. Returns whether anybody still waits for it.
  func arrived() -> Bool {
    defer { atLeast = nil }
    return atLeast != nil
  }

  /// The log begins behind it, or has gone on without it.
  func taken(_ snapshot: StoredSnapshot, isOfUse: Bool) {
    if isOfUse {
      settling = snapshot.last.index
      context.observe(
        .installed(group, snapshot.last, bytes: snapshot.fileBytes, nanoseconds: context.now &- began))
    } else {
      context.installs.settle(group, at: snapshot.last.index, isOfUse: false)
    }
  }

  /// Durably so.
  func baseIsStored(_ base: LogIndex) {
    guard let index = settling, index <= base else { return }
    settling = nil
    context.installs.settle(group, at: index, isOfUse: true)
  }
}
