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
  /// It has arrived, for the time of the step in which the core decides.
  private var untaken: InstallResult?
  /// The log begins behind this, and the disk has still to hear of it.
  private(set) var settling: LogIndex?

  init(group: GroupID, context: NodeContext, members: Members) {
    self.group = group
    self.context = context
    others = members.all.filter { $0 != context.id }
  }

  var progress: InstallProgress? { atLeast == nil ? nil : context.installs.progress(of: group) }

  /// What comes does not fit on the disk.
  var isWithoutRoom: Bool { progress?.isWithoutRoom ?? false }

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

  /// It has arrived, and the core is to be asked. Returns whether anybody still waits for it; else it is of no use.
  func arrived(_ result: InstallResult) -> Bool {
    guard atLeast != nil else {
      // Not while another one, which the log begins behind, may not be settled yet.
      if settling == nil { context.installs.settle(group, at: result.snapshot.last.index, isOfUse: false) }
      return false
    }
    atLeast = nil
    untaken = result
    return true
  }

  /// The log begins behind it.
  func take() -> InstallResult {
    guard let result = untaken.take() else { preconditionFailure("a log that begins anew, and nothing has arrived") }
    let snapshot = result.snapshot
    settling = snapshot.last.index
    context.observe(.installed(group, snapshot.last, bytes: snapshot.fileBytes, nanoseconds: context.now &- began))
    return result
  }

  /// The core was asked: what it has not taken the log has gone on without.
  func ended() {
    guard let result = untaken.take() else { return }
    context.installs.settle(group, at: result.snapshot.last.index, isOfUse: false)
  }

  /// Durably so.
  func baseIsStored(_ base: LogIndex) {
    guard let index = settling, index <= base else { return }
    settling = nil
    context.installs.settle(group, at: index, isOfUse: true)
  }
}
