import LockstepConsensus
import LockstepDriver
import LockstepStorage
import Logging

extension RepeatingLog {
  /// A node without a leader campaigns again and again: what is told is that it has none, and for how many tries.
  func log(_ event: NodeEvent, tickMilliseconds: Int) {
    switch event {
    case .roleChanged(let group, let role, let term, let leader):
      let whom = leader.map { "node \($0) leads" } ?? "no leader is known"
      log(
        .notice, "role in group \(group)", leader.map { "\($0)" } ?? "none", "\(role.rawValue) in term \(term): \(whom)"
      )
    case .protocolViolation(let group, let node, let explanation):
      log(
        .error, "violations of node \(node) in group \(group)", explanation, "dropped from node \(node): \(explanation)"
      )
    case .configured(let group, let members):
      log(.notice, "configuration of group \(group)", "\(members)", "configuration of group \(group): \(members.words)")
    case .caughtUp(let group, let applied):
      log(.notice, "caught up in group \(group)", "", "applied all that was stored, up to entry \(applied)")
    case .diskIsSlow(let group, let ticks):
      log(
        .warning, "disk of group \(group)", "slow",
        "the disk has not finished a write for \(ticks * tickMilliseconds) ms: this node hands the lead over if it has it and the others' disks are quicker, and does not vote until its own has caught up; look at the device under the node's directory"
      )
    case .diskAnswersAgain(let group, let ticks):
      log(
        .notice, "disk of group \(group)", "answers",
        "the disk has caught up; it was behind for \(ticks * tickMilliseconds) ms")
    case .roomIsShort(let space, let missing):
      log(
        .error, "room on the disk", "short",
        "no room for more commands: the directory takes \(space.used) of \(space.limit) bytes, the file system has \(space.available) left, \(missing) are missing. What was acknowledged is kept, reads are answered, and commands are taken again when there is room: free some on this file system, or start the node with a larger --disk-budget"
      )
    case .roomIsBack(let space):
      log(
        .notice, "room on the disk", "back",
        "there is room for commands again: the directory takes \(space.used) of \(space.limit) bytes")
    case .snapshotTaken(let group, let last, let bytes, let nanoseconds):
      log(
        .notice, "snapshots of group \(group)", "\(last.index)",
        "snapshot up to entry \(last.index): \(bytes) bytes in \(nanoseconds / 1_000_000) ms")
    case .installBegins(let group, let index, let leader):
      log(
        .notice, "installs of group \(group)", "begins",
        "this node is behind what the log of node \(leader) still has: it fetches a snapshot that reaches entry \(index), and answers from what it has meanwhile"
      )
    case .installWaits(let group, let reason):
      log(
        .warning, "waiting for a snapshot of group \(group)", reason, "no snapshot yet: \(reason); the next try follows"
      )
    case .installed(let group, let last, let bytes, let nanoseconds):
      log(
        .notice, "installs of group \(group)", "\(last.index)",
        "installed the snapshot up to entry \(last.index): \(bytes) bytes in \(nanoseconds / 1_000_000) ms")
    case .snapshotUnsound(let group, let index, let reason):
      log(
        .warning, "sound snapshots of group \(group)", "\(index)",
        "the snapshot up to entry \(index) does not hold any more: \(reason); the log is kept behind the one before it"
      )
    case .snapshotsTrimmed(let group, let last):
      log(
        .warning, "snapshots of group \(group)", "trimmed \(last.index)",
        "for want of room the log begins behind the last snapshot, up to entry \(last.index), which was read whole: the one before it is gone"
      )
    case .snapshotLeft(let group, let reason):
      log(
        .warning, "old snapshots of group \(group)", reason,
        "a snapshot that is not needed cannot be removed: \(reason); it is tried again after the next snapshot")
    case .snapshotFailed(let group, let index, let reason):
      log(
        .error, "snapshots of group \(group)", reason,
        "no snapshot up to entry \(index): \(reason); the log is kept, and the next snapshot is tried when its time comes, or there is more room"
      )
    }
  }
}

extension Members {
  /// Who does what, in words.
  fileprivate var words: String {
    func list(_ nodes: [NodeID]) -> String { nodes.map(\.description).joined(separator: ", ") }
    let voters = "\(list(voters)) vote" + (outgoingVoters.isEmpty ? "" : " after \(list(outgoingVoters))")
    guard !learners.isEmpty else { return voters }
    return voters + "; \(list(learners)) \(learners.count == 1 ? "is a learner, and votes" : "are learners, and vote") "
      + "when caught up"
  }
}
